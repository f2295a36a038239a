"""The learners' pages: a list of lessons, and one lesson with its guide and terminals.

The pages hold nothing about who is looking but whether there is a session. Their script opens one
and starts the lesson through ``/api/v1``, and learns of progress by Server-Sent Events.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe

from lessons.models import Stage
from lessons.selectors import catalogue
from lessons.specs import has_guide_endpoint
from livelessons.api.authentication import COOKIE
from livelessons.errors import LiveLessonNotFound
from livelessons.models import LiveLesson
from livelessons.page_addresses import notebook_path, page_hosts
from livelessons.selectors import guide_of, live_lesson_held
from livelessons.session_secrets import is_secret
from livelessons.states import State
from syringe_project.api import DATABASE_ERRORS, foreseen, status_of
from syringe_project.errors import SyringeError, Unavailable
from web.groups import lesson_groups
from web.guides import guide_html

P = ParamSpec("P")
_View = Callable[Concatenate[HttpRequest, P], HttpResponse]

# The terminal's library writes style elements; scripts come from our own files only.
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: https:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
)


def _policy() -> str:
    """Return the pages' content security policy, by which only lessons' pages are framed."""
    return "; ".join((*_POLICY, f"frame-src 'self' {page_hosts()}".rstrip()))


def _page(view: _View[P]) -> _View[P]:
    """Read only, with our policy, and with foreseen failures as pages."""

    @wraps(view)
    def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except (SyringeError, *DATABASE_ERRORS) as exc:
            problem = foreseen(exc) or Unavailable()
            status = status_of(problem)
            response = render(request, "web/problem.html", {"problem": problem}, status=status)
        response["Content-Security-Policy"] = _policy()
        return response

    return require_safe(answer)


@_page
def catalogue_page(request: HttpRequest) -> HttpResponse:
    """List what can be learned."""
    offered = catalogue()
    return render(
        request,
        "web/catalogue.html",
        {"curriculum": offered.curriculum, "groups": lesson_groups(offered)},
    )


@_page
@cache_control(private=True, no_cache=True)
def lesson_page(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one lesson; its script starts it."""
    offered = catalogue()
    lesson = offered.lesson(slug)
    before = [offered.lessons[name] for name in lesson["prerequisites"]]
    context = {
        "lesson": lesson,
        "prerequisites": before,
        "has_session": is_secret(request.COOKIES.get(COOKIE, "")),
    }
    return render(request, "web/lesson.html", context)


@_page
@cache_control(private=True, no_store=True)
def guide_fragment(request: HttpRequest, live_lesson_id: UUID) -> HttpResponse:
    """Return the guide of the stage that the caller's livelesson is at, as HTML."""
    secret = request.COOKIES.get(COOKIE, "")
    if not is_secret(secret):
        raise LiveLessonNotFound
    live_lesson = live_lesson_held(secret=secret, live_lesson_id=live_lesson_id)
    stage = live_lesson.spec["stages"][live_lesson.stage]
    if stage["guide_type"] != Stage.GuideType.MARKDOWN:
        return render(request, "web/notebook.html", _notebook(live_lesson))
    return HttpResponse(guide_html(guide_of(live_lesson)))


def _notebook(live_lesson: LiveLesson) -> dict[str, object]:
    """Return whether notebooks are run here, and the address of one whose server answers."""
    served = has_guide_endpoint(live_lesson.spec)
    ready = served and live_lesson.state == State.READY
    return {"served": served, "address": notebook_path(live_lesson) if ready else ""}
