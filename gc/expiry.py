"""Ending livelessons that nobody uses or whose time is over, which spares persistent sessions,
and those that run where this installation runs lessons no longer."""

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from garbage_collector.batches import collect
from livelessons.models import LiveLesson
from livelessons.states import LIVE, Desired, EndReason
from scheduler.backends.registry import current_backend
from scheduler.services import live_lesson_end

UNUSED = "garbage collection: unused"
TOO_OLD = "garbage collection: lifetime over"
ORPHANED = "garbage collection: backend no longer in use"


def idle_live_lessons_end() -> int:
    """End livelessons that were not used for the idle timeout; return their number."""
    unused_since = timezone.now() - timedelta(seconds=settings.SYRINGE_IDLE_TIMEOUT_SECONDS)
    return collect(
        job="idle",
        rows=_endable().filter(session__persistent=False, last_active_at__lt=unused_since),
        order="last_active_at",
        act=lambda rows: _end(rows, UNUSED),
    )


def expired_live_lessons_end() -> int:
    """End livelessons that are past their absolute end; return their number."""
    return collect(
        job="lifetime",
        rows=_endable().filter(session__persistent=False, expires_at__lte=timezone.now()),
        order="expires_at",
        act=lambda rows: _end(rows, TOO_OLD),
    )


def orphaned_live_lessons_end() -> int:
    """End livelessons of another backend than the present one; return their number.

    What they had there cannot be reached from here any more. Whoever runs that backend for this
    instance again destroys it.
    """
    return collect(
        job="orphaned",
        rows=_endable().exclude(backend=current_backend().label),
        order="last_active_at",
        act=lambda rows: _end(rows, ORPHANED, EndReason.ORPHANED),
    )


def _endable() -> QuerySet[LiveLesson, LiveLesson]:
    # The states must read as in the conditions of the two indexes.
    return LiveLesson.objects.filter(state__in=sorted(LIVE), desired=Desired.RUNNING).defer(
        "spec", "log_tail"
    )


def _end(rows: Sequence[LiveLesson], holder: str, reason: EndReason = EndReason.EXPIRED) -> None:
    for row in rows:
        live_lesson_end(live_lesson=row, reason=reason, holder=holder)
