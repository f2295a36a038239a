"""``/exp``: sessions and livelessons."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from lessons.errors import LessonNotFound
from lessons.slugs import is_slug
from livelessons.errors import SessionNotFound
from livelessons.exp.endpoints import answer, exp_endpoint, integer_field, read_body, text_field
from livelessons.exp.entities import live_lesson_entity
from livelessons.exp.errors import Code, ExpError, invalid
from livelessons.exp.ids import exp_id, live_lesson_id_of
from livelessons.selectors import live_lesson_by_id, live_lesson_running, session_by_secret
from livelessons.services import session_create, session_touch, touch_if_stale
from livelessons.session_secrets import is_secret
from livelessons.source_address import request_source_address
from scheduler.services import lesson_start
from syringe_project.json_bodies import json_bytes


@exp_endpoint("POST")
def live_session_create(request: HttpRequest) -> HttpResponse:
    read_body(request)
    _, secret = session_create(source_address=request_source_address(request))
    return answer(json_bytes({"ID": secret}))


@exp_endpoint("POST")
def live_lesson_request(request: HttpRequest) -> HttpResponse:
    """Start a lesson, move it to another stage, or find the one that runs already.

    The order of the checks is part of the contract: for an invalid session alone the page gets
    a new one and asks again.
    """
    body = read_body(request)
    secret = text_field(body, "sessionId")
    slug = text_field(body, "lessonSlug")
    stage = integer_field(body, "lessonStage")
    if not secret:
        raise invalid("Session ID cannot be nil")
    if not is_secret(secret):
        raise invalid(f"Invalid session ID {secret}")
    if is_slug(slug):
        running = live_lesson_running(secret=secret, slug=slug, stage=stage)
        if running is not None:
            touch_if_stale(running)
            return answer(json_bytes({"id": exp_id(running.pk)}))
    try:
        session = session_by_secret(secret)
    except SessionNotFound:
        raise invalid(f"Invalid session ID {secret}") from None
    if not slug:
        raise invalid("Lesson Slug cannot be nil")
    unknown = ExpError(404, Code.NOT_FOUND, f"Couldn't find lesson slug '{slug}'")
    if not is_slug(slug):
        raise unknown
    try:
        start = lesson_start(session=session, slug=slug, stage=stage)
    except LessonNotFound:
        raise unknown from None
    session_touch(session=session)
    return answer(json_bytes({"id": exp_id(start.live_lesson.pk)}))


@exp_endpoint("GET")
def live_lesson_one(request: HttpRequest, live_lesson_id: str) -> HttpResponse:
    """Show a livelesson. Being polled counts as use; after READY the gateway notes use."""
    if not live_lesson_id:
        raise invalid("LiveLesson ID cannot be empty")
    live_lesson = live_lesson_by_id(live_lesson_id_of(live_lesson_id))
    entity = live_lesson_entity(live_lesson, now=timezone.now())
    touch_if_stale(live_lesson)
    return answer(json_bytes(entity))
