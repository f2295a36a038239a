"""Telling whoever watches that a livelesson changed. Missing one only makes things slower."""

import logging
from collections.abc import Sequence
from functools import cache, partial
from uuid import UUID

import redis
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

CHANNEL = f"{settings.SYRINGE_INSTANCE}:livelessons"
"""Redis pub/sub channel whose messages are ids of livelessons that changed."""


@cache
def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.SYRINGE_REDIS_URL,
        socket_timeout=settings.SYRINGE_REDIS_WAIT_SECONDS,
        socket_connect_timeout=settings.SYRINGE_REDIS_WAIT_SECONDS,
        retry=None,
        max_connections=16,
    )


def _publish(live_lesson_ids: Sequence[UUID]) -> None:
    # Kept while its pipeline works: threads that come first may each make a client, and one that
    # nobody holds closes its connections.
    client = _client()
    try:
        with client.pipeline(transaction=False) as pipeline:
            for live_lesson_id in live_lesson_ids:
                pipeline.publish(CHANNEL, str(live_lesson_id))
            pipeline.execute()
    except redis.RedisError as exc:
        logger.warning("wake-up not sent: %s", type(exc).__name__)


def wake(*live_lesson_ids: UUID) -> None:
    """Publish after the current transaction commits; never raise because Redis is away."""
    transaction.on_commit(partial(_publish, live_lesson_ids))
