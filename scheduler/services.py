"""Asking for work: each function writes one wish and wakes the workers after the commit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from lessons.models import Lesson
from lessons.selectors import current_lesson
from lessons.specs import LessonDict, has_gates, is_gate, stage_objectives, with_guide_endpoint
from livelessons import services as records
from livelessons.errors import (
    InvalidStage,
    LessonNotStartable,
    LiveLessonBusy,
    LiveLessonEnded,
    StageGated,
)
from livelessons.gates import closed_gate, still_missing
from livelessons.models import LiveLesson, LiveSession
from livelessons.selectors import (
    checks_are_on,
    completed_before,
    objective_states,
    wanted_live_lesson,
)
from livelessons.services.locks import RETRY_AFTER_SECONDS
from livelessons.states import LIVE, Action, Desired, EndReason, State
from scheduler.backends.registry import current_backend
from scheduler.failpoints import Failpoint, failpoint
from scheduler.messages import enqueue_reconcile


@dataclass(frozen=True, slots=True)
class LessonStart:
    """The livelesson that serves a request, and whether the request made it."""

    live_lesson: LiveLesson
    created: bool


def lesson_start(
    *,
    session: LiveSession,
    slug: str,
    stage: int = 0,
    holder: str = "learner",
    gated: bool = True,
) -> LessonStart:
    """Give the session this lesson at this stage.

    The session's own livelesson is returned where it stands at that stage or is going there;
    one that is READY elsewhere changes its stage. Unless ``gated`` is False, a stage behind a gate
    cannot be had. Raises LessonNotFound, InvalidStage, StageGated, LessonNotStartable,
    LiveLessonBusy and TooManyLiveLessons.
    """
    lesson = current_lesson(slug)
    existing = wanted_live_lesson(session=session, slug=slug)
    if existing is None:
        # Learners do not pay for what was lost to them: gates that stood open stay open.
        gates = has_gates(lesson.spec)
        completed = completed_before(session=session, lesson=lesson) if gates else []
        if gated and 0 <= stage < len(lesson.spec["stages"]):
            _require_open(lesson.spec, None, stage, completed=completed)
        with transaction.atomic():
            existing, created = _create(
                session=session, lesson=lesson, stage=stage, holder=holder, completed=completed
            )
            if created:
                return LessonStart(existing, created=True)
    if existing.desired_stage != stage:
        stage_change(live_lesson=existing, stage=stage, holder=holder, gated=gated)
    return LessonStart(existing, created=False)


def _create(
    *, session: LiveSession, lesson: Lesson, stage: int, holder: str, completed: Sequence[int]
) -> tuple[LiveLesson, bool]:
    if lesson.missing_images:
        missing = ", ".join(lesson.missing_images)
        raise LessonNotStartable(slug=lesson.slug, reason=f"nobody defines the image {missing}.")
    backend = current_backend()
    live_lesson, created = records.live_lesson_create(
        session=session,
        lesson=lesson,
        spec=with_guide_endpoint(lesson.spec) if backend.runs_guides else lesson.spec,
        stage=stage,
        holder=holder,
        backend=backend.label,
        completed_stages=completed,
    )
    if created:
        _look_after_commit([live_lesson.pk])
    return live_lesson, created


def stage_change(
    *, live_lesson: LiveLesson, stage: int, holder: str = "learner", gated: bool = True
) -> None:
    """Move a READY livelesson to another stage; the same stage again is no wish.

    Raises InvalidStage, LiveLessonBusy while it is not READY, LiveLessonEnded after its end, and
    unless ``gated`` is False StageGated where a stage on the way is to be completed first.
    """
    _require_running(live_lesson)
    if not 0 <= stage < len(live_lesson.spec["stages"]):
        raise InvalidStage(slug=live_lesson.slug, stage=stage)
    if stage == live_lesson.desired_stage:
        return
    if live_lesson.state != State.READY:
        raise _busy(live_lesson)
    if gated:
        _require_open(live_lesson.spec, live_lesson, stage, completed=live_lesson.completed_stages)
    _wish(live_lesson, Action.STAGE_CHANGE, holder, desired_stage=stage)


def live_lesson_restart(*, live_lesson: LiveLesson, holder: str = "learner") -> None:
    """Replace the environment by a fresh one at the same stage, and start all objectives over.

    Raises LiveLessonBusy while another action runs, LiveLessonEnded after its end.
    """
    _require_running(live_lesson)
    with transaction.atomic():
        _wish(
            live_lesson,
            Action.RESTART,
            holder,
            desired_restarts=F("desired_restarts") + 1,
            completed_stages=[],
        )
        records.objectives_restart(live_lesson=live_lesson)


def live_lesson_end(
    *, live_lesson: LiveLesson, reason: EndReason = EndReason.LEARNER, holder: str = "learner"
) -> None:
    """End a livelesson, whatever action runs; ending it again changes nothing."""
    if live_lesson.desired == Desired.GONE or live_lesson.state == State.DELETED:
        return
    wishes: dict[str, object] = {"desired": Desired.GONE}
    if live_lesson.state != State.FAILED:
        # A failed one keeps the reason and the time of its end.
        wishes |= {"end_reason": reason, "ended_at": timezone.now()}
    _wish(live_lesson, Action.DELETE, holder, **wishes)


def live_lesson_extend(*, live_lesson: LiveLesson) -> LiveLesson:
    """Let a livelesson live longer; see ``livelessons.services.live_lesson_extend``."""
    return records.live_lesson_extend(live_lesson=live_lesson)


def live_lesson_retry(*, live_lesson: LiveLesson, holder: str) -> LiveLesson:
    """Give a stuck livelesson a fresh environment, and a failed one a successor.

    For operators: a standing lock is broken first. Returns the livelesson that now runs.
    """
    if live_lesson.state not in LIVE:
        return lesson_start(
            session=live_lesson.session,
            slug=live_lesson.slug,
            stage=live_lesson.desired_stage,
            holder=holder,
            gated=False,
        ).live_lesson
    records.lock_break(live_lesson=live_lesson)
    live_lesson_restart(live_lesson=live_lesson, holder=holder)
    return live_lesson


def lock_break(*, live_lesson: LiveLesson, holder: str) -> bool:
    """Remove a livelesson's action lock and look at it anew; say whether there was one."""
    broken = records.lock_break(live_lesson=live_lesson)
    _wish(live_lesson, None, holder)
    return broken


def live_lessons_look(*, live_lesson_ids: Sequence[UUID]) -> None:
    """Have livelessons compared with the world again, for instance since they vanished."""
    with transaction.atomic():
        records.live_lessons_look(live_lesson_ids=live_lesson_ids)
        _look_after_commit(live_lesson_ids)


def _wish(live_lesson: LiveLesson, action: Action | None, holder: str, **wishes: object) -> None:
    with transaction.atomic():
        records.live_lesson_wish(live_lesson=live_lesson, action=action, holder=holder, **wishes)
        _look_after_commit([live_lesson.pk])


def _look_after_commit(live_lesson_ids: Sequence[UUID]) -> None:
    transaction.on_commit(partial(_look, live_lesson_ids))


def _look(live_lesson_ids: Sequence[UUID]) -> None:
    failpoint(Failpoint.WISH_COMMITTED)
    enqueue_reconcile(live_lesson_ids)


def _require_open(
    spec: LessonDict, live_lesson: LiveLesson | None, stage: int, *, completed: Collection[int]
) -> None:
    at = live_lesson.stage if live_lesson else 0
    if not any(is_gate(spec, passed) for passed in range(at, stage)):
        return
    states = objective_states(live_lesson, stage=at) if live_lesson else {}
    gate = closed_gate(
        spec, at=at, stage=stage, completed=completed, states=states, checked=checks_are_on()
    )
    if gate is None:
        return
    if live_lesson and gate != at:
        states = objective_states(live_lesson, stage=gate)
    missing = still_missing(stage_objectives(spec, gate), states)
    if missing:
        raise StageGated(
            objectives="; ".join(objective["description"] for objective in missing),
            missing=[objective["slug"] for objective in missing],
        )


def _require_running(live_lesson: LiveLesson) -> None:
    if live_lesson.state not in LIVE or live_lesson.desired == Desired.GONE:
        raise LiveLessonEnded


def _busy(live_lesson: LiveLesson) -> LiveLessonBusy:
    action = getattr(live_lesson, "running_action", None) or live_lesson.state.lower()
    return LiveLessonBusy(action=action, retry_after=RETRY_AFTER_SECONDS)
