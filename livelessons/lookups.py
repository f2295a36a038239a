"""Reading one livelesson where the request shows no session, or none has to be read first."""

import re
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from livelessons.errors import LiveLessonNotFound
from livelessons.models import LiveLesson
from livelessons.selectors import live_lessons
from livelessons.services import live_lesson_touch
from livelessons.session_secrets import secret_digest
from livelessons.states import LIVE, Desired

_TOUCH_INTERVAL = timedelta(seconds=30)
_STAGES = range(2**15)
_SECRET = re.compile(r"[!-~]{1,200}")


def is_secret(text: str) -> bool:
    """Say whether a session's secret could look like this, so that it is worth a query."""
    return _SECRET.fullmatch(text) is not None


def live_lesson_by_id(live_lesson_id: UUID) -> LiveLesson:
    """Return a livelesson whose id is known to be shown by its holder, in one query."""
    live_lesson: LiveLesson | None = (
        live_lessons().select_related(None).filter(pk=live_lesson_id).first()
    )
    if live_lesson is None:
        raise LiveLessonNotFound
    return live_lesson


def live_lesson_running(*, secret: str, slug: str, stage: int | None) -> LiveLesson | None:
    """Return the session's running livelesson of a lesson, if it is wished at this stage.

    What most requests for a lesson ask for, in one query and without a transaction; ``stage``
    None means whichever it is at.
    """
    if stage is not None and stage not in _STAGES:
        return None
    rows = live_lessons().filter(
        session__secret_sha256=secret_digest(secret),
        slug=slug,
        state__in=LIVE,
        desired=Desired.RUNNING,
    )
    if stage is not None:
        rows = rows.filter(desired_stage=stage)
    return rows.first()


def guide_of(live_lesson: LiveLesson) -> str:
    """Return the guide of the stage, which ``livelessons.selectors`` read along."""
    return getattr(live_lesson, "guide", None) or ""


def running_action_of(live_lesson: LiveLesson) -> str | None:
    """Return the action that runs, which ``livelessons.selectors`` read along."""
    return getattr(live_lesson, "running_action", None)


def touch_if_stale(live_lesson: LiveLesson) -> None:
    """Note that the livelesson is in use, without a query where that was noted just now."""
    if timezone.now() - live_lesson.last_active_at >= _TOUCH_INTERVAL:
        live_lesson_touch(live_lesson_id=live_lesson.pk)
