"""Leases and moves: how the scheduler alone, and one run of it at a time, writes what is."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import (
    Case,
    DateTimeField,
    F,
    Prefetch,
    Q,
    Value,
    When,
    prefetch_related_objects,
)
from django.db.models.functions import Now

from livelessons.errors import LeaseLost, StaleTransition
from livelessons.models import LiveEndpoint, LiveLesson, LiveLessonChange, LiveLessonLock
from livelessons.services.openings import objectives_close, objectives_open, objectives_renew
from livelessons.states import State, sources_of
from livelessons.wakeups import wake

_OBSERVED = (
    "phase",
    "reason_code",
    "message",
    "host",
    "ports",
    "log_tail",
    "attempt",
)
# Taken and read in one statement. In the order of their ids, so that two runs over the same rows
# never wait for each other in a ring.
_TAKE = """
    UPDATE livelessons_livelesson
    SET lease_token = %(token)s,
        lease_until = statement_timestamp() + %(ttl)s,
        lease_generation = generation
    WHERE id IN (
        SELECT id FROM livelessons_livelesson
        WHERE id = ANY(%(ids)s)
          AND (lease_until IS NULL OR lease_until < statement_timestamp())
        ORDER BY id
        FOR UPDATE
    )
    RETURNING *
"""
_UNLOCKING = frozenset({State.READY, State.FAILED, State.DELETED})


def leases_take(*, live_lesson_ids: Sequence[UUID], ttl: timedelta) -> list[LiveLesson]:
    """Take the lease of every row that nobody else works on, and return those rows.

    The token is new for every run, not the Celery task's id: a message that Redis delivers
    twice has one id and two runs. The generation is remembered with the lease.
    """
    values = {"token": uuid4(), "ttl": ttl, "ids": list(live_lesson_ids)}
    rows = list(LiveLesson.objects.raw(_TAKE, values))
    prefetch_related_objects(rows, Prefetch("endpoints", to_attr="known_endpoints"))
    return rows


def leases_release(*, live_lessons: Sequence[LiveLesson], next_look_at: datetime | None) -> None:
    """Close runs that changed nothing but when to look again, in one statement.

    All rows are of one ``leases_take``. Rows that a wish overtook are released by it as well,
    and stay due.
    """
    if not live_lessons:
        return
    overtaken = ~Q(generation=F("lease_generation"))
    LiveLesson.objects.filter(
        pk__in=[live_lesson.pk for live_lesson in live_lessons],
        lease_token=live_lessons[0].lease_token,
    ).update(
        lease_token=None,
        lease_until=None,
        next_look_at=Case(
            When(overtaken, then=Now()), default=Value(next_look_at, output_field=DateTimeField())
        ),
    )


def live_lessons_move(
    *,
    live_lessons: Sequence[LiveLesson],
    to: State | None,
    at: datetime,
    next_look_at: datetime | None,
    endpoints: Sequence[LiveEndpoint] = (),
    **changes: object,
) -> None:
    """Write what a run found of rows to which the same happened: what alone changes ``state``.

    All rows are of one ``leases_take``. It happens if the run still holds their leases, no wish
    came in between, and ``states`` allows the moves; endpoints, history, locks, objectives and
    wake-ups follow in the same transaction. ``to`` None keeps the state. Raises LeaseLost or
    StaleTransition, having written nothing of any row.
    """
    values: dict[str, object] = {
        **changes,
        "next_look_at": next_look_at,
        "lease_token": None,
        "lease_until": None,
        "version": F("version") + 1,
    }
    ids = [live_lesson.pk for live_lesson in live_lessons]
    held = LiveLesson.objects.filter(
        pk__in=ids, lease_token=live_lessons[0].lease_token, generation=F("lease_generation")
    )
    rows = held
    if to is not None:
        values |= {"state": to, "state_since": at}
        rows = rows.filter(state__in=sources_of(to))
    with transaction.atomic():
        if rows.update(**values) != len(ids):
            # What is still held now was refused by the table of states.
            refused = held.values_list("pk", flat=True).first()
            if refused is not None:
                raise StaleTransition(live_lesson_id=refused, to=to)
            raise LeaseLost(live_lesson_id=ids[0])
        _write_endpoints(endpoints)
        for live_lesson in live_lessons:
            for name, value in changes.items():
                setattr(live_lesson, name, value)
        if to is not None:
            _note(live_lessons, to, at)
            _open_or_close(live_lessons, to)
        wake(*ids)


def _write_endpoints(endpoints: Sequence[LiveEndpoint]) -> None:
    """Write what was observed; a test that found one reachable meanwhile keeps its word."""
    judged = [endpoint for endpoint in endpoints if endpoint.is_judged]
    others = [endpoint for endpoint in endpoints if not endpoint.is_judged]
    for some, fields in ((judged, (*_OBSERVED, "reachable")), (others, _OBSERVED)):
        if some:
            # All in one statement, which for updates alone would be a large one to put together.
            LiveEndpoint.objects.bulk_create(
                some, update_conflicts=True, unique_fields=["id"], update_fields=fields
            )


def _note(live_lessons: Sequence[LiveLesson], to: State, at: datetime) -> None:
    """Let history and action locks follow a move."""
    LiveLessonChange.objects.bulk_create(
        LiveLessonChange(
            live_lesson=live_lesson,
            at=at,
            state=to,
            stage=live_lesson.stage,
            attempt=live_lesson.attempt,
            reason_code=live_lesson.reason_code,
            reason=live_lesson.reason,
        )
        for live_lesson in live_lessons
    )
    if to in _UNLOCKING:
        LiveLessonLock.objects.filter(live_lesson__in=live_lessons).delete()


def _open_or_close(live_lessons: Sequence[LiveLesson], to: State) -> None:
    """Let objectives follow a move; the rows still say from which state."""
    if to == State.READY:
        objectives_open(live_lessons=live_lessons)
    elif to == State.INITIALIZED:
        objectives_renew(live_lessons=live_lessons)
    else:
        objectives_close(live_lessons=[row for row in live_lessons if row.state == State.READY])
