"""What workers of the ``lifecycle`` queue do: ids in, one call, nothing out."""

from uuid import UUID

from celery import shared_task

from scheduler.messages import RECONCILE
from scheduler.reconciler import reconcile
from scheduler.sweep import due_sweep


@shared_task(name=RECONCILE)
def reconcile_live_lessons(live_lesson_ids: list[str]) -> None:
    """Take these livelessons towards where they should be."""
    reconcile([UUID(pk) for pk in live_lesson_ids])


@shared_task(name="scheduler.sweep")
def sweep() -> None:
    """Find the livelessons that are due."""
    due_sweep()
