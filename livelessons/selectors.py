"""Reading sessions and livelessons."""

from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.utils import timezone

from lessons.models import Stage
from livelessons.errors import LiveLessonNotFound, SessionNotFound
from livelessons.models import LiveEndpoint, LiveLesson, LiveLessonLock, LiveSession
from livelessons.session_secrets import secret_digest
from livelessons.states import LIVE, Desired


def session_by_secret(secret: str) -> LiveSession:
    """Return the session with this secret; raise SessionNotFound."""
    session = LiveSession.objects.filter(secret_sha256=secret_digest(secret)).first()
    if session is None:
        raise SessionNotFound
    return session


def live_lessons() -> QuerySet[LiveLesson, LiveLesson]:
    """Livelessons in one query: session joined, ``guide`` of the stage and ``running_action``."""
    guide = Stage.objects.filter(lesson=OuterRef("lesson"), position=OuterRef("stage"))
    return LiveLesson.objects.select_related("session").annotate(
        guide=Subquery(guide.values("guide")[:1]),
        running_action=_running_action(),
    )


def _running_action() -> Subquery:
    lock = LiveLessonLock.objects.filter(live_lesson=OuterRef("pk"), expires_at__gt=timezone.now())
    return Subquery(lock.values("action")[:1])


def live_lesson_of_session(*, secret: str, live_lesson_id: UUID) -> LiveLesson:
    """Return the caller's own livelesson; raise LiveLessonNotFound for anything else."""
    live_lesson = (
        live_lessons()
        .filter(pk=live_lesson_id, session__secret_sha256=secret_digest(secret))
        .first()
    )
    if live_lesson is None:
        raise LiveLessonNotFound
    return live_lesson


def live_lessons_of_session(*, secret: str) -> list[LiveLesson]:
    """Return the caller's livelessons, newest first, ended ones included."""
    return list(live_lessons().filter(session__secret_sha256=secret_digest(secret)))


def wanted_live_lesson(*, session: LiveSession, slug: str) -> LiveLesson | None:
    """Return the session's running livelesson of this lesson, without its guide."""
    return (
        LiveLesson.objects.filter(
            session=session, slug=slug, state__in=LIVE, desired=Desired.RUNNING
        )
        .annotate(running_action=_running_action())
        .first()
    )


def live_endpoints(live_lesson: LiveLesson) -> list[LiveEndpoint]:
    """Return a livelesson's endpoints in the order of the lesson file."""
    return list(live_lesson.endpoints.all())
