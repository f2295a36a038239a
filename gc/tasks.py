"""What workers of the ``gc`` queue do when beat says so; ``syringe_project.celery_settings``
says how often."""

from datetime import timedelta

from celery import shared_task

from garbage_collector import expiry, orphans, retention
from lessons.services import lesson_collect

LESSON_GRACE = timedelta(hours=1)
"""How long a replaced version of a lesson is kept for requests that have just read it."""


@shared_task(name="garbage_collector.idle")
def idle() -> None:
    """End livelessons that nobody uses."""
    expiry.idle_live_lessons_end()


@shared_task(name="garbage_collector.lifetime")
def lifetime() -> None:
    """End livelessons whose time is over."""
    expiry.expired_live_lessons_end()


@shared_task(name="garbage_collector.environments")
def environments() -> None:
    """Find environments without a row, and rows without an environment."""
    orphans.environments_compare()


@shared_task(name="garbage_collector.locks")
def locks() -> None:
    """Remove action locks that were left over."""
    retention.settled_locks_delete()


@shared_task(name="garbage_collector.live_lessons")
def live_lessons() -> None:
    """Delete rows of livelessons that ended long ago."""
    retention.ended_live_lessons_delete()


@shared_task(name="garbage_collector.sessions")
def sessions() -> None:
    """Delete sessions that nobody uses."""
    retention.old_sessions_delete()


@shared_task(name="garbage_collector.events")
def events() -> None:
    """Delete events of long ago."""
    retention.old_events_delete()


@shared_task(name="garbage_collector.lessons")
def lessons() -> None:
    """Delete versions of lessons that nothing refers to."""
    lesson_collect(older_than=LESSON_GRACE)
