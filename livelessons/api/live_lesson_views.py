"""``/api/v1/livelessons``: the caller's own, and no others."""

from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from lessons.errors import LessonNotFound
from lessons.slugs import is_slug
from livelessons.api.authentication import HasSession, SessionAuthentication, holder_of
from livelessons.api.bodies import optional_integer, required_integer, required_text
from livelessons.api.documents import (
    BUSY,
    BUSY_OR_GATED,
    LIVE_LESSON_EXAMPLE,
    NOT_YOURS,
    SUMMARY_EXAMPLE,
    UNAUTHENTICATED,
    LiveLessonDocument,
    LiveLessonListDocument,
    StageChangeDocument,
    StartDocument,
    live_lesson_response,
)
from livelessons.check_limits import limit_checks
from livelessons.errors import ChecksOff
from livelessons.models import LiveLesson
from livelessons.selectors import (
    LISTED,
    checks_are_on,
    checks_tag,
    live_lesson_held,
    live_lesson_running,
    live_lesson_whole,
    live_lessons_held,
    running_action_of,
)
from livelessons.services import session_touch, touch_if_stale
from livelessons.services.openings import objective_ask
from livelessons.snapshots import snapshot, summary
from scheduler import services as scheduler
from syringe_project.api_documents import NOT_MODIFIED, problem
from syringe_project.json_bodies import json_bytes
from syringe_project.responses import json_response, not_modified, tagged_response

_TAGS = ["livelessons"]
_INVALID_STAGE = problem(
    "The lesson has no such stage", "invalid_stage", "The lesson linux-basics has no stage 9."
)


class _SessionView(APIView):
    authentication_classes = [SessionAuthentication]
    permission_classes = [HasSession]


class LiveLessonListView(_SessionView):
    @extend_schema(
        operation_id="livelessons_list",
        summary="List the session's livelessons",
        description=f"The newest {LISTED}, newest first, with those that ended.",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                LiveLessonListDocument,
                examples=[OpenApiExample("livelessons", {"livelessons": [SUMMARY_EXAMPLE]})],
            ),
            401: UNAUTHENTICATED,
        },
    )
    def get(self, request: Request) -> HttpResponseBase:
        holder = holder_of(request)
        rows = live_lessons_held(secret=holder.secret)
        if not rows:
            # None at all, or no session: the second query tells.
            holder.session()
        return json_response(json_bytes({"livelessons": [summary(row) for row in rows]}))

    @extend_schema(
        operation_id="livelessons_create",
        summary="Start a lesson",
        description="A session has at most one livelesson of a lesson: where one runs, it is "
        "returned with 200, moved to the stage asked for when it is READY.",
        tags=_TAGS,
        request=StartDocument,
        examples=[OpenApiExample("start", {"lesson": "linux-basics"}, request_only=True)],
        responses={
            200: live_lesson_response("It runs already"),
            201: live_lesson_response("It is new"),
            400: _INVALID_STAGE,
            401: UNAUTHENTICATED,
            404: problem("Unknown lesson", "lesson_not_found", "There is no lesson x."),
            409: BUSY_OR_GATED,
            429: problem(
                "The session has as many as it may",
                "too_many_livelessons",
                "This session already has 5 livelessons, which is the limit.",
            ),
            503: problem(
                "The lesson cannot be started",
                "lesson_not_startable",
                "The lesson x cannot be started: nobody defines the image y.",
            ),
        },
    )
    def post(self, request: Request) -> HttpResponseBase:
        holder = holder_of(request)
        slug = required_text(request, "lesson")
        stage = optional_integer(request, "stage")
        if not is_slug(slug):
            raise LessonNotFound(slug=slug)
        running = live_lesson_running(secret=holder.secret, slug=slug, stage=stage)
        if running is not None:
            touch_if_stale(running)
            return json_response(json_bytes(summary(running)))
        session = holder.session()
        start = scheduler.lesson_start(session=session, slug=slug, stage=stage or 0)
        session_touch(session=session)
        live_lesson = live_lesson_held(secret=holder.secret, live_lesson_id=start.live_lesson.pk)
        response = json_response(
            json_bytes(summary(live_lesson)), status=201 if start.created else 200
        )
        response["Location"] = f"/api/v1/livelessons/{live_lesson.pk}"
        return response


class LiveLessonView(_SessionView):
    @extend_schema(
        operation_id="livelessons_read",
        summary="Describe one livelesson with endpoints and guide",
        description="Reading is no use: a page that only looks does not keep a livelesson alive.",
        tags=_TAGS,
        responses={
            200: OpenApiResponse(
                LiveLessonDocument, examples=[OpenApiExample("livelesson", LIVE_LESSON_EXAMPLE)]
            ),
            304: NOT_MODIFIED,
            401: UNAUTHENTICATED,
            404: NOT_YOURS,
        },
    )
    def get(self, request: Request, live_lesson_id: UUID) -> HttpResponseBase:
        live_lesson, endpoints = live_lesson_whole(
            secret=holder_of(request).secret, live_lesson_id=live_lesson_id
        )
        # A lock that runs out changes the answer without a new version.
        action = running_action_of(live_lesson) or "none"
        checks = checks_tag(live_lesson)
        etag = f'"{live_lesson.pk.hex}-{live_lesson.version}-{action}{checks}"'
        unchanged = not_modified(request, etag)
        if unchanged is not None:
            return unchanged
        body = json_bytes(snapshot(live_lesson, endpoints))
        return tagged_response(body, etag, private=True)

    @extend_schema(
        operation_id="livelessons_end",
        summary="End a livelesson",
        description="Whatever action runs; ending it again changes nothing.",
        tags=_TAGS,
        responses={202: live_lesson_response(), 401: UNAUTHENTICATED, 404: NOT_YOURS, 409: BUSY},
    )
    def delete(self, request: Request, live_lesson_id: UUID) -> HttpResponseBase:
        live_lesson = _own(request, live_lesson_id)
        scheduler.live_lesson_end(live_lesson=live_lesson)
        return _accepted(request, live_lesson)


class StageChangeView(_SessionView):
    @extend_schema(
        operation_id="livelessons_change_stage",
        summary="Move a READY livelesson to another stage",
        tags=_TAGS,
        request=StageChangeDocument,
        examples=[OpenApiExample("stage", {"stage": 1}, request_only=True)],
        responses={
            202: live_lesson_response(),
            400: _INVALID_STAGE,
            401: UNAUTHENTICATED,
            404: NOT_YOURS,
            409: BUSY_OR_GATED,
        },
    )
    def post(self, request: Request, live_lesson_id: UUID) -> HttpResponseBase:
        stage = required_integer(request, "stage")
        live_lesson = _own(request, live_lesson_id)
        scheduler.stage_change(live_lesson=live_lesson, stage=stage)
        return _accepted(request, live_lesson)


class ObjectiveCheckView(_SessionView):
    @extend_schema(
        operation_id="livelessons_check_objective",
        summary="Have an objective of the present stage checked now",
        description="Objectives are checked by themselves; this is for who does not want to wait. "
        "The result shows in the livelesson, and counts as use.",
        tags=_TAGS,
        request=None,
        responses={
            202: live_lesson_response(),
            401: UNAUTHENTICATED,
            404: problem(
                "Unknown, or another session's, or of another stage",
                "objective_not_found",
                "The lesson's present stage has no objective make-notes.",
            ),
            409: problem(
                "The livelesson is not READY, or another objective has to be passed first",
                "objective_not_open",
                "The objective make-notes cannot be checked now.",
            ),
            429: problem(
                "Asked for too often; `Retry-After` says when to ask again",
                "too_many_checks",
                "Checks can be asked for 30 times a minute.",
            ),
            503: problem(
                "Nobody checks objectives",
                "checks_off",
                "Objectives are not checked here at the moment.",
            ),
        },
    )
    def post(self, request: Request, live_lesson_id: UUID, slug: str) -> HttpResponseBase:
        limit_checks(request, key=f"{holder_of(request).secret}:{live_lesson_id}")
        live_lesson = _own(request, live_lesson_id)
        if not checks_are_on():
            raise ChecksOff
        objective_ask(live_lesson=live_lesson, slug=slug)
        touch_if_stale(live_lesson)
        return _accepted(request, live_lesson)


class ExtensionView(_SessionView):
    @extend_schema(
        operation_id="livelessons_extend",
        summary="Let a livelesson live longer",
        tags=_TAGS,
        request=None,
        responses={
            202: live_lesson_response(),
            401: UNAUTHENTICATED,
            404: NOT_YOURS,
            409: problem(
                "Nothing can be added",
                "lifetime_exhausted",
                "The livelesson cannot live longer than it already may.",
            ),
        },
    )
    def post(self, request: Request, live_lesson_id: UUID) -> HttpResponseBase:
        live_lesson = _own(request, live_lesson_id)
        scheduler.live_lesson_extend(live_lesson=live_lesson)
        return _accepted(request, live_lesson)


class RestartView(_SessionView):
    @extend_schema(
        operation_id="livelessons_restart",
        summary="Replace the environment by a fresh one at the same stage",
        tags=_TAGS,
        request=None,
        responses={202: live_lesson_response(), 401: UNAUTHENTICATED, 404: NOT_YOURS, 409: BUSY},
    )
    def post(self, request: Request, live_lesson_id: UUID) -> HttpResponseBase:
        live_lesson = _own(request, live_lesson_id)
        scheduler.live_lesson_restart(live_lesson=live_lesson)
        return _accepted(request, live_lesson)


def _own(request: Request, live_lesson_id: UUID) -> LiveLesson:
    return live_lesson_held(secret=holder_of(request).secret, live_lesson_id=live_lesson_id)


def _accepted(request: Request, live_lesson: LiveLesson) -> HttpResponseBase:
    """Answer with the livelesson as it is after the wish was written."""
    return json_response(json_bytes(summary(_own(request, live_lesson.pk))), status=202)
