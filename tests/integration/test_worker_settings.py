"""What the settings of Celery promise, of a real worker on a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
import redis
from celery.contrib.testing.worker import start_worker
from django.conf import settings as django_settings
from django.db import OperationalError

from livelessons.models import LiveLesson
from scheduler.backends.fake import FakeBackend
from scheduler.messages import enqueue_reconcile
from scheduler.sweep import due_sweep
from syringe_project.celery import app
from tests.waiting import FOR_EVER, PATIENCE, wait_until

PREFIX = f"{django_settings.SYRINGE_INSTANCE}:"


class Held:
    """A task that says when it runs, and that ends when it is let go."""

    def __init__(self) -> None:
        self.runs, self.may_end, self.number = Event(), Event(), 0

    def __call__(self) -> str:
        self.number += 1
        self.runs.set()
        assert self.may_end.wait(FOR_EVER)
        return "a result"


@pytest.fixture
def held() -> Iterator[Held]:
    held = Held()

    @app.task(name="scheduler.held")
    def run() -> str:
        return held()

    yield held
    held.may_end.set()
    del app.tasks["scheduler.held"]


@pytest.fixture
def client() -> Iterator[redis.Redis]:
    with redis.Redis.from_url(django_settings.SYRINGE_REDIS_URL) as client:
        client.delete(f"{PREFIX}lifecycle", f"{PREFIX}unacked")
        yield client
        client.delete(f"{PREFIX}lifecycle", f"{PREFIX}unacked")


@pytest.fixture
def worker(client: redis.Redis, held: Held) -> Iterator[None]:
    """Run a worker of one thread in this process, which knows the task."""
    with start_worker(app, pool="threads", perform_ping_check=False, queues=["lifecycle"]):
        yield


class BrokenBackend(FakeBackend):
    """Loses the database when it observes."""

    asked = 0

    def observe(self, refs: Any) -> Any:
        type(self).asked += 1
        raise OperationalError


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("worker")
def test_a_message_is_given_back_only_when_its_task_is_over(
    client: redis.Redis,
    held: Held,
    make_live_lesson: Callable[..., LiveLesson],
    settings: Any,
) -> None:
    def waiting() -> tuple[int, int]:
        return client.hlen(f"{PREFIX}unacked"), client.llen(f"{PREFIX}lifecycle")  # type: ignore[return-value]

    for _ in range(3):
        app.send_task("scheduler.held")
    assert held.runs.wait(PATIENCE)
    # Whoever answers has done what came before.
    assert app.control.broadcast("ping", reply=True, timeout=PATIENCE, limit=1)
    # One is worked on and could be given to another worker yet; no more than that is taken.
    assert waiting() == (1, 2)
    held.may_end.set()
    wait_until(lambda: waiting() == (0, 0), what="an empty queue")
    assert [key for key in client.scan_iter(f"{PREFIX}*") if b"task-meta" in key] == []

    # What is no JSON is not read, and what breaks loses nothing: neither stops what follows.
    app.send_task("scheduler.held", serializer="pickle")
    settings.SYRINGE_BACKEND = f"{__name__}.{BrokenBackend.__name__}"
    live_lesson = make_live_lesson(state="BOOTING")
    enqueue_reconcile([live_lesson.pk])
    held.runs.clear()
    app.send_task("scheduler.held")
    assert held.runs.wait(PATIENCE)
    wait_until(lambda: waiting() == (0, 0), what="an empty queue")
    assert (held.number, BrokenBackend.asked) == (4, 1)
    assert due_sweep() == 1
