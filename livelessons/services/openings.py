"""Objectives: when they are checked. Checking them is ``objectives``' business.

Each step is one statement that says itself under which condition it happens, by the database's
clock. Who writes objectives holds the row of their livelesson, so that nobody waits in a ring.

An objective that was passed stays so when the learner goes to another stage and comes back, where
``level`` ones are checked anew. A fresh environment has nothing of the learner's work, so the
objectives of the stage in which it begins start over, unless that stage had been completed
already; a restart that was wished for starts those of all stages over.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F

from lessons.specs import LessonDict, stage_objectives
from livelessons.errors import ObjectiveNotFound, ObjectiveNotOpen
from livelessons.models import LiveLesson, LiveObjective
from livelessons.states import Desired, ObjectiveState, State
from livelessons.wakeups import wake

SHORTEST_PAUSE_SECONDS = 2

NAMES: Mapping[str, str] = {
    "ready": State.READY,
    "running": Desired.RUNNING,
    "waiting": ObjectiveState.WAITING,
    "checking": ObjectiveState.CHECKING,
    "passed": ObjectiveState.PASSED,
}
"""What the statements call states; each is given them beside its own parameters."""

STANDS_STILL = """livelesson.state = %(ready)s AND livelesson.desired = %(running)s
    AND livelesson.desired_stage = livelesson.stage
    AND livelesson.desired_restarts = livelesson.restarts"""
"""It is READY, and nothing else is wished: only then its objectives are checked."""

_NOT_CHECKED = """next_check_at = NULL, claim = NULL, claimed_until = NULL, answered = wishes,
    unanswered_at = NULL,
    state = CASE WHEN objective.state = %(checking)s THEN %(waiting)s ELSE objective.state END"""
_AS_NEW = """state = %(waiting)s, message = '', detail = '', attempts = 0, failures = 0, errors = 0,
    opened_at = NULL, checked_at = NULL, passed_at = NULL, unanswered_at = NULL,
    next_check_at = NULL, claim = NULL, claimed_until = NULL, answered = wishes"""
_HAS_ALL_IT_NEEDS = """NOT EXISTS (
    SELECT FROM livelessons_liveobjective AS needed
    WHERE needed.live_lesson_id = objective.live_lesson_id AND needed.stage = objective.stage
      AND needed.slug = ANY(objective.needs) AND needed.state <> %(passed)s
)"""

# One after another, and then as many seconds apart as there are: together at most one a second.
_OPEN = f"""
    UPDATE livelessons_liveobjective AS objective
    SET next_check_at = statement_timestamp()
            + make_interval(secs => objective.position * %(apart)s),
        opened_at = COALESCE(objective.opened_at, statement_timestamp()),
        pause_seconds = GREATEST(objective.interval_seconds, (
            SELECT count(*) FROM livelessons_liveobjective AS other
            WHERE other.live_lesson_id = objective.live_lesson_id
              AND other.stage = objective.stage
        ))
    FROM livelessons_livelesson AS livelesson
    WHERE livelesson.id = ANY(%(ids)s) AND objective.live_lesson_id = livelesson.id
      AND objective.stage = livelesson.stage AND objective.next_check_at IS NULL
      AND (objective.level OR objective.state <> %(passed)s)
      AND (%(after)s IS NULL OR %(after)s = ANY(objective.needs))
      AND {_HAS_ALL_IT_NEEDS}
"""
_CLOSE = f"""
    UPDATE livelessons_liveobjective AS objective SET {_NOT_CHECKED}
    WHERE objective.live_lesson_id = ANY(%(ids)s) AND objective.next_check_at IS NOT NULL
"""
_CLOSE_WHAT_NEEDS = f"""{_CLOSE} AND %(lost)s = ANY(objective.needs)
    AND objective.state <> %(passed)s"""
_RENEW = f"""
    UPDATE livelessons_liveobjective AS objective SET {_AS_NEW}
    FROM livelessons_livelesson AS livelesson
    WHERE livelesson.id = ANY(%(ids)s) AND objective.live_lesson_id = livelesson.id
      AND objective.stage = livelesson.stage
      AND NOT objective.stage = ANY(livelesson.completed_stages)
"""
_RESTART = f"""
    UPDATE livelessons_liveobjective AS objective SET {_AS_NEW}
    WHERE objective.live_lesson_id = %(id)s
"""
# What is being checked is not made due, or a second checker would take it.
_SOONER = """CASE WHEN objective.claimed_until > statement_timestamp()
    THEN objective.next_check_at ELSE {soon} END"""
_AN_INTERVAL = "make_interval(secs => objective.interval_seconds)"
# Never later than an interval from now, wherever a clock that was set has left the last check.
_AS_SOON_AS_ALLOWED = f"""LEAST(
    objective.next_check_at,
    statement_timestamp() + {_AN_INTERVAL},
    GREATEST(
        statement_timestamp(),
        GREATEST(objective.checked_at, objective.unanswered_at) + {_AN_INTERVAL}
    )
)"""
# It holds many livelessons, so it must not wait for one that another holds.
_WAKE = f"""
    WITH held AS MATERIALIZED (
        SELECT id FROM livelessons_livelesson WHERE id = ANY(%(ids)s) AND state = %(ready)s
        FOR NO KEY UPDATE SKIP LOCKED
    ), woken AS (
        UPDATE livelessons_liveobjective AS objective
        SET pause_seconds = objective.interval_seconds,
            next_check_at = {_SOONER.format(soon=_AS_SOON_AS_ALLOWED)}
        FROM held
        WHERE objective.live_lesson_id = held.id AND objective.next_check_at IS NOT NULL
          AND (objective.pause_seconds > objective.interval_seconds
               OR objective.next_check_at > statement_timestamp() + {_AN_INTERVAL})
    )
    SELECT id FROM livelessons_livelesson WHERE id = ANY(%(ids)s) AND state = %(ready)s
    EXCEPT SELECT id FROM held
"""
_ASK = f"""
    WITH held AS MATERIALIZED (
        SELECT id, stage FROM livelessons_livelesson AS livelesson
        WHERE id = %(id)s AND {STANDS_STILL}
        FOR NO KEY UPDATE
    )
    UPDATE livelessons_liveobjective AS objective
    SET wishes = objective.wishes + 1,
        pause_seconds = objective.interval_seconds,
        next_check_at = {_SOONER.format(soon="statement_timestamp()")},
        state = CASE WHEN objective.state = %(passed)s THEN objective.state ELSE %(checking)s END
    FROM held
    WHERE objective.live_lesson_id = held.id AND objective.stage = held.stage
      AND objective.slug = ANY(%(slugs)s) AND objective.next_check_at IS NOT NULL
    RETURNING objective.slug
"""


def has_objectives(spec: LessonDict) -> bool:
    """Say whether any stage has objectives; lessons without them cost no statement."""
    return any(stage.get("objectives") for stage in spec["stages"])


def objectives_create(*, live_lesson: LiveLesson) -> None:
    """Make the rows of a new livelesson's objectives, of all its stages."""
    rows = [
        LiveObjective(
            live_lesson=live_lesson,
            stage=stage,
            position=position,
            slug=objective["slug"],
            level=objective["mode"] == "level",
            needs=objective["needs"],
            interval_seconds=max(SHORTEST_PAUSE_SECONDS, objective["check"]["interval_seconds"]),
            timeout_seconds=objective["check"]["timeout_seconds"],
        )
        for stage in range(len(live_lesson.spec["stages"]))
        for position, objective in enumerate(stage_objectives(live_lesson.spec, stage))
    ]
    if rows:
        LiveObjective.objects.bulk_create(rows)


def objectives_open(*, live_lessons: Sequence[LiveLesson]) -> None:
    """Have the objectives checked of the stages at which these livelessons are READY now.

    Within the transaction that moves them.
    """
    ids = [row.pk for row in live_lessons if stage_objectives(row.spec, row.stage)]
    if ids:
        _execute(_OPEN, ids=ids, apart=1, after=None)


def objectives_open_after(*, live_lesson: LiveLesson, slug: str) -> None:
    """Have those objectives checked that waited for this one alone, which was passed.

    Within a transaction that holds the livelesson.
    """
    _execute(_OPEN, ids=[live_lesson.pk], apart=0, after=slug)


def objectives_close_after(*, live_lesson: LiveLesson, slug: str) -> None:
    """Stop checking what needs this objective, which was lost, unless it is passed itself.

    Within a transaction that holds the livelesson.
    """
    _execute(_CLOSE_WHAT_NEEDS, ids=[live_lesson.pk], lost=slug)


def objectives_close(*, live_lessons: Sequence[LiveLesson]) -> None:
    """Check nothing of these livelessons any more, and let claims that stand come to nothing.

    Within the transaction that moves them.
    """
    ids = [row.pk for row in live_lessons if has_objectives(row.spec)]
    if ids:
        _execute(_CLOSE, ids=ids)


def objectives_renew(*, live_lessons: Sequence[LiveLesson]) -> None:
    """Close, and start those objectives over that a fresh environment has nothing of.

    Within the transaction that moves them, after their stage was written.
    """
    ids = [row.pk for row in live_lessons if has_objectives(row.spec)]
    if ids:
        _execute(_CLOSE, ids=ids)
        _execute(_RENEW, ids=ids)


def objectives_restart(*, live_lesson: LiveLesson) -> None:
    """Start the objectives of all stages over, within the transaction of the wish."""
    if has_objectives(live_lesson.spec):
        _execute(_RESTART, id=live_lesson.pk)


def objectives_wake(*, live_lesson_ids: Iterable[UUID]) -> list[UUID]:
    """Check the open objectives of livelessons in use soon, as if it were the first time.

    No objective is checked more often than its interval says. Returns the livelessons that were
    passed over because somebody wrote them at this moment; they want to be woken again.
    """
    return [row[0] for row in _rows(_WAKE, ids=list(live_lesson_ids))]


@transaction.atomic
def objectives_ask(*, live_lesson: LiveLesson, slugs: Sequence[str]) -> list[str]:
    """Have these objectives of the present stage checked now; return those that will be.

    A check in progress may have looked before the learner was done, so another one follows it.
    """
    asked: list[str] = [row[0] for row in _rows(_ASK, id=live_lesson.pk, slugs=list(slugs))]
    if asked:
        live_lesson_show(live_lesson_id=live_lesson.pk)
    return asked


def objective_ask(*, live_lesson: LiveLesson, slug: str) -> None:
    """Have one objective of the present stage checked now; a passed one needs no check.

    Raises ObjectiveNotFound, or ObjectiveNotOpen while the livelesson is not READY or another
    objective has to be passed first.
    """
    if objectives_ask(live_lesson=live_lesson, slugs=[slug]):
        return
    rows = LiveObjective.objects.filter(
        live_lesson=live_lesson, stage=F("live_lesson__stage"), slug=slug
    )
    state = rows.values_list("state", flat=True).first()
    if state is None:
        raise ObjectiveNotFound(slug=slug)
    if state != ObjectiveState.PASSED:
        raise ObjectiveNotOpen(slug=slug)


def live_lesson_show(*, live_lesson_id: UUID) -> None:
    """Tell whoever watches the livelesson that it looks other than before."""
    LiveLesson.objects.filter(pk=live_lesson_id).update(version=F("version") + 1)
    wake(live_lesson_id)


def _execute(statement: str, **values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, {**NAMES, **values})


def _rows(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, {**NAMES, **values})
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
