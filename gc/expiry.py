"""Ending livelessons that nobody uses or whose time is over. Persistent sessions are spared."""

from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from garbage_collector.batches import collect
from livelessons.models import LiveLesson
from livelessons.states import LIVE, Desired, EndReason
from scheduler.services import live_lesson_end

UNUSED = "garbage collection: unused"
TOO_OLD = "garbage collection: lifetime over"


def idle_live_lessons_end() -> int:
    """End livelessons that were not used for the idle timeout; return their number."""
    unused_since = timezone.now() - timedelta(seconds=settings.SYRINGE_IDLE_TIMEOUT_SECONDS)
    return collect(
        job="idle",
        rows=_endable().filter(last_active_at__lt=unused_since),
        order="last_active_at",
        act=lambda rows: _end(rows, UNUSED),
    )


def expired_live_lessons_end() -> int:
    """End livelessons that are past their absolute end; return their number."""
    return collect(
        job="lifetime",
        rows=_endable().filter(expires_at__lte=timezone.now()),
        order="expires_at",
        act=lambda rows: _end(rows, TOO_OLD),
    )


def _endable() -> QuerySet[LiveLesson, LiveLesson]:
    # The states must read as in the conditions of the two indexes.
    return LiveLesson.objects.filter(
        state__in=sorted(LIVE), desired=Desired.RUNNING, session__persistent=False
    ).defer("spec", "log_tail")


def _end(rows: Sequence[LiveLesson], holder: str) -> None:
    for row in rows:
        live_lesson_end(live_lesson=row, reason=EndReason.EXPIRED, holder=holder)
