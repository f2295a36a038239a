"""The livelesson that a rehearsal needs: started as a learner's, and always ended."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from curriculum.errors import RehearsalImpossible
from curriculum.rehearsals import Notify
from lessons.models import Lesson
from livelessons import services as records
from livelessons.models import LiveLesson
from livelessons.selectors import live_lesson_by_id
from livelessons.states import State
from scheduler.services import lesson_start, live_lesson_end, stage_change

HOLDER = "check_lesson"

_LOOK_SECONDS = 0.1
_PATIENCE = timedelta(seconds=15)
_PATIENCE_AT_THE_END = timedelta(seconds=8)
"""Who has just waited for a worker in vain does not wait for it again."""

_END_SECONDS = 60.0


@contextmanager
def rehearsal_lesson(lesson: Lesson, *, stage: int, notify: Notify) -> Iterator[UUID]:
    """Start the lesson in a session of its own, yield its id once it is READY, and end it.

    It is ended however the block is left. Raises RehearsalImpossible where it does not start.
    """
    session, _ = records.session_create(source_address="127.0.0.1")
    try:
        started = lesson_start(
            session=session, slug=lesson.slug, stage=stage, holder=HOLDER, gated=False
        )
        live_lesson_id = started.live_lesson.pk
        try:
            wait_ready(live_lesson_id, stage=stage, notify=notify)
            yield live_lesson_id
        finally:
            _end(live_lesson_id, notify)
    finally:
        records.session_close(session=session)


def go_to_stage(live_lesson_id: UUID, stage: int, *, notify: Notify) -> None:
    """Move on, gate or no gate, and wait until the stage is READY."""
    live_lesson = live_lesson_by_id(live_lesson_id)
    stage_change(live_lesson=live_lesson, stage=stage, holder=HOLDER, gated=False)
    wait_ready(live_lesson_id, stage=stage, notify=notify)


def wait_ready(live_lesson_id: UUID, *, stage: int, notify: Notify) -> None:
    """Wait until a livelesson is READY at a stage; raise RehearsalImpossible if it will not be."""
    limit = settings.SYRINGE_BOOT_TIMEOUT_SECONDS + settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS
    end = time.monotonic() + limit * settings.SYRINGE_START_ATTEMPTS
    told = ""
    while True:
        row = live_lesson_by_id(live_lesson_id)
        if row.state == State.READY and row.stage == row.desired_stage == stage:
            return
        if row.state in {State.FAILED, State.DELETING, State.DELETED}:
            reason = row.reason or "it was ended by somebody else."
            raise RehearsalImpossible(reason=f"The lesson did not start: {reason}\n{row.log_tail}")
        if _nobody_acts(row, _PATIENCE):
            raise RehearsalImpossible(
                reason="Nothing happens: no worker takes lessons from the queue `lifecycle`. "
                "`make up` starts one with everything else."
            )
        if time.monotonic() > end:
            raise RehearsalImpossible(reason="The lesson does not become ready.")
        says = f"Stage {stage}: {row.state.lower()}" + (f" ({row.reason})" if row.reason else "")
        if says != told and row.state != State.READY:
            notify(says)
            told = says
        time.sleep(_LOOK_SECONDS)


def _nobody_acts(row: LiveLesson, patience: timedelta) -> bool:
    """Say whether the row has been due for so long that no worker can be there."""
    if row.next_look_at is None or row.lease_token is not None:
        return False
    return timezone.now() - row.next_look_at > patience


def _end(live_lesson_id: UUID, notify: Notify) -> None:
    notify("Ending the lesson")
    live_lesson_end(live_lesson=live_lesson_by_id(live_lesson_id), holder=HOLDER)
    end = time.monotonic() + _END_SECONDS
    while (row := live_lesson_by_id(live_lesson_id)).state != State.DELETED:
        if _nobody_acts(row, _PATIENCE_AT_THE_END) or time.monotonic() > end:
            notify("The lesson has not ended yet; workers will see to it.")
            return
        time.sleep(_LOOK_SECONDS)
