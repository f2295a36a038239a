"""What workers of the ``objectives`` queue do."""

from celery import shared_task

from scheduler.checks.service import wake_checker
from scheduler.messages import CHECK_OBJECTIVES


@shared_task(name=CHECK_OBJECTIVES)
def check_objectives() -> None:
    """Have the checks made that are due."""
    wake_checker()
