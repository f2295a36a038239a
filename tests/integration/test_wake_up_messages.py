"""What waits in the queue: wake-ups that are of no use after a while, and the sweep's chunks."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import redis
from django.conf import settings

from scheduler.messages import WAKE_UP_SECONDS, enqueue_reconcile
from scheduler.sweep import due_sweep

Waiting = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Return a reader of the headers of the messages that wait, oldest first."""
    client = redis.Redis.from_url(settings.SYRINGE_REDIS_URL, socket_timeout=5)
    queue = f"{settings.SYRINGE_INSTANCE}:lifecycle"
    client.delete(queue)
    yield lambda: [json.loads(text)["headers"] for text in reversed(client.lrange(queue, 0, -1))]  # type: ignore[arg-type]
    client.delete(queue)
    client.close()


def test_a_wake_up_is_thrown_away_once_the_sweep_must_have_come_by(waiting: Waiting):
    enqueue_reconcile([uuid4()])

    [headers] = waiting()
    left = datetime.fromisoformat(headers["expires"]) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=WAKE_UP_SECONDS)


def test_what_the_sweep_claimed_waits_as_long_as_it_takes(waiting: Waiting, make_live_lesson):
    make_live_lesson()

    assert due_sweep() == 1

    [headers] = waiting()
    assert headers["expires"] is None
