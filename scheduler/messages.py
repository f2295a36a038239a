"""Sending wake-ups to the workers. Redis being away costs time, never a wish."""

import logging
from collections.abc import Iterable, Sequence
from itertools import islice
from uuid import UUID

import redis
from celery import current_app
from kombu.exceptions import KombuError

logger = logging.getLogger(__name__)

RECONCILE = "scheduler.reconcile"
CHECK_OBJECTIVES = "objectives.check"
CHUNK = 100
"""Livelessons in one message, and so in one call to the backend."""

WAKE_UP_SECONDS = 5
"""A wake-up that waited longer is thrown away: the sweep has found the livelesson since.

So a rush of starts cannot keep the workers busy with what the sweep's chunks do at less cost.
"""


def chunks(ids: Iterable[UUID], size: int = CHUNK) -> Iterable[list[UUID]]:
    """Cut the ids into lists of at most ``size``."""
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk


def enqueue_reconcile(
    live_lesson_ids: Sequence[UUID], *, expires: int | None = WAKE_UP_SECONDS
) -> bool:
    """Ask a worker to look at these livelessons; say whether the broker took the message.

    Never raises because the broker is away: the sweep finds the rows that are due.
    """
    try:
        current_app.send_task(
            RECONCILE, args=[[str(pk) for pk in live_lesson_ids]], expires=expires
        )
    except (KombuError, redis.RedisError, OSError) as exc:
        logger.warning("wake-up not sent, the sweep will find it: %s", type(exc).__name__)
        return False
    return True
