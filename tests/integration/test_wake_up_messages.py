"""What waits in the queue: wake-ups that are of no use after a while, and the sweep's chunks."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
from django.conf import settings

from scheduler.messages import WAKE_UP_SECONDS, enqueue_reconcile
from scheduler.sweep import due_sweep

Waiting = Callable[[UUID], list[dict[str, Any]]]


@pytest.fixture
def waiting() -> Iterator[Waiting]:
    """Return a reader of the headers of the messages about a livelesson that wait.

    Timers of this process may still send others, which tests before these had set.
    """
    client = redis.Redis.from_url(settings.SYRINGE_REDIS_URL, socket_timeout=5)
    queue = f"{settings.SYRINGE_INSTANCE}:lifecycle"
    client.delete(queue)

    def read(live_lesson_id: UUID) -> list[dict[str, Any]]:
        messages = [json.loads(text)["headers"] for text in client.lrange(queue, 0, -1)]  # type: ignore[union-attr]
        return [headers for headers in messages if str(live_lesson_id) in headers["argsrepr"]]

    yield read
    client.delete(queue)
    client.close()


def test_a_wake_up_is_thrown_away_once_the_sweep_must_have_come_by(waiting: Waiting):
    live_lesson_id = uuid4()

    enqueue_reconcile([live_lesson_id])

    [headers] = waiting(live_lesson_id)
    left = datetime.fromisoformat(headers["expires"]) - datetime.now(UTC)
    assert timedelta(0) < left <= timedelta(seconds=WAKE_UP_SECONDS)


def test_what_the_sweep_claimed_waits_as_long_as_it_takes(waiting: Waiting, make_live_lesson):
    live_lesson = make_live_lesson()

    assert due_sweep() == 1

    [headers] = waiting(live_lesson.pk)
    assert headers["expires"] is None
