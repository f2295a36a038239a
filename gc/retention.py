"""Deleting rows that nobody needs any more. An environment's row stays until it is gone."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Exists, F, Model, OuterRef, Q
from django.utils import timezone

from events.models import OutboxEvent
from garbage_collector.batches import collect
from livelessons.models import LiveLesson, LiveLessonLock, LiveSession
from livelessons.states import State

DELETED_AT_ONCE = 500


def ended_live_lessons_delete() -> int:
    """Delete livelessons that ended longer ago than the retention time, with all they hold.

    Only those of which the backend has said that nothing is left. Returns their number.
    """
    ended_before = timezone.now() - timedelta(seconds=settings.SYRINGE_RETENTION_SECONDS)
    return collect(
        job="retention",
        rows=LiveLesson.objects.filter(
            ended_at__lt=ended_before,
            state__in=[State.DELETED, State.FAILED],
            environment_gone=True,
        ).only("ended_at"),
        order="ended_at",
        act=lambda rows: LiveLesson.objects.filter(pk__in=_keys(rows)).delete(),
        batch=DELETED_AT_ONCE,
    )


def old_sessions_delete() -> int:
    """Delete sessions that were not used for the session timeout; return their number.

    Those with livelessons, running or kept, stay until these are gone.
    """
    unused_since = timezone.now() - timedelta(seconds=settings.SYRINGE_SESSION_TIMEOUT_SECONDS)
    live_lessons = LiveLesson.objects.filter(session=OuterRef("pk"))
    return collect(
        job="sessions",
        rows=LiveSession.objects.filter(
            ~Exists(live_lessons), last_seen_at__lt=unused_since, persistent=False
        ),
        order="last_seen_at",
        act=lambda rows: LiveSession.objects.filter(pk__in=_keys(rows)).delete(),
        batch=DELETED_AT_ONCE,
    )


def settled_locks_delete() -> int:
    """Remove action locks whose action is over; return their number.

    Over means that the livelesson stands still and has answered every wish, or that the lock
    has expired. The lock of one that is still on its way is taken over by the next action.
    """
    answered = Q(live_lesson__observed_generation=F("live_lesson__generation"))
    over = Q(expires_at__lt=timezone.now()) | answered
    standing = Q(live_lesson__state__in=[State.READY, State.FAILED])
    return collect(
        job="locks",
        rows=LiveLessonLock.objects.filter(
            standing & over | Q(live_lesson__state=State.DELETED)
        ).select_related("live_lesson"),
        order="expires_at",
        act=lambda rows: LiveLessonLock.objects.filter(pk__in=_keys(rows)).delete(),
        lock=("self", "live_lesson"),
    )


def old_events_delete() -> int:
    """Delete events that happened longer ago than the retention time; return their number."""
    happened_before = timezone.now() - timedelta(seconds=settings.SYRINGE_RETENTION_SECONDS)
    return collect(
        job="events",
        rows=OutboxEvent.objects.filter(occurred_at__lt=happened_before),
        order="occurred_at",
        act=lambda rows: OutboxEvent.objects.filter(pk__in=_keys(rows)).delete(),
        batch=DELETED_AT_ONCE,
    )


def _keys(rows: Sequence[Model]) -> list[Any]:
    return [row.pk for row in rows]
