"""Sending wake-ups to the workers. Redis being away costs time, never a wish."""

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice
from uuid import UUID

import redis
from celery import current_app
from django.conf import settings
from kombu import pools
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


@cache
def _producers() -> pools.ProducerPool:
    """Return this process's producers, which give up on a Redis that is frozen or cut off, too."""
    patience = settings.SYRINGE_REDIS_WAIT_SECONDS
    connection = current_app.connection_for_write(
        transport_options={"socket_timeout": patience, "socket_connect_timeout": patience}
    )
    producers: pools.ProducerPool = pools.producers[connection]
    return producers


def enqueue_reconcile(
    live_lesson_ids: Sequence[UUID], *, expires: int | None = WAKE_UP_SECONDS
) -> bool:
    """Ask a worker to look at these livelessons; say whether the broker took the message.

    Never raises because the broker is away: the sweep finds the rows that are due.
    """
    args = [[str(pk) for pk in live_lesson_ids]]
    try:
        with _producers().acquire(
            block=True, timeout=settings.SYRINGE_REDIS_WAIT_SECONDS
        ) as producer:
            current_app.send_task(RECONCILE, args=args, expires=expires, producer=producer)
    except (KombuError, redis.RedisError, OSError) as exc:
        logger.warning("wake-up not sent, the sweep will find it: %s", type(exc).__name__)
        return False
    return True
