"""Redis flushed, restarted and away; PostgreSQL restarted; beat stopped: nothing is lost."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial

import pytest
import redis

from tests.chaos.conftest import QUICK, UNNEEDED
from tests.chaos.learner import ChaosLearner, prepare
from tests.servers import OwnServer
from tests.stack import FAKE, Stack, wait_until

pytestmark = pytest.mark.chaos

AWAY_SECONDS = float(os.environ.get("CHAOS_AWAY_SECONDS", "2"))
"""How long things stay away; `make chaos` sets a minute."""


@pytest.fixture(scope="module")
def own_redis() -> Iterator[OwnServer]:
    with OwnServer("redis") as server:
        yield server


@pytest.fixture(scope="module")
def own_postgresql() -> Iterator[OwnServer]:
    with OwnServer("postgresql") as server:
        yield server


@pytest.fixture(scope="module")
def stack(own_redis: OwnServer, own_postgresql: OwnServer, slow_script: str) -> Iterator[Stack]:
    with Stack(
        backend=FAKE,
        env={**QUICK, "SYRINGE_FAKE_SCRIPT": slow_script},
        redis_url=own_redis.url,
        database_url=own_postgresql.url,
        without=UNNEEDED,
    ) as stack:
        prepare(stack)
        yield stack


@pytest.fixture
def learner(stack: Stack) -> Iterator[ChaosLearner]:
    for name in stack.names():
        if not stack.alive(name):
            stack.start(name)
    learner = ChaosLearner(stack)
    yield learner
    learner.close()


def wait_for_ready(stack: Stack, learner: ChaosLearner) -> None:
    """Wait for READY, replacing what ended as the supervisor would.

    beat exits when Redis lost its lock, and Celery's worker may when it loses Redis with
    messages in hand.
    """

    def ready() -> bool:
        for name in stack.names():
            if not stack.alive(name):
                stack.start(name)
        return "READY" in learner.states().values()

    wait_until(ready, seconds=60, what=f"READY, have {learner.states()}\n{stack.logs(15)}")
    assert learner.strangers() == []


def test_redis_flushed_while_lessons_start(stack, own_redis, learner):
    assert learner.start().status_code < 300

    with redis.Redis.from_url(own_redis.url) as client:
        client.flushall()

    wait_for_ready(stack, learner)


def test_redis_restarted_while_lessons_start(stack, own_redis, learner):
    assert learner.start().status_code < 300

    own_redis.stop(signal.SIGKILL)
    own_redis.start()

    wait_for_ready(stack, learner)


@pytest.mark.parametrize("frozen", [False, True], ids=["stopped", "frozen"])
def test_wishes_while_redis_is_away_are_taken_at_once_and_come_true_later(
    stack, own_redis, learner, frozen
):
    # So that web has connections to lose.
    begun = learner.start().json()["id"]

    away, back = (
        (own_redis.freeze, own_redis.thaw)
        if frozen
        else (partial(own_redis.stop, signal.SIGKILL), own_redis.start)
    )
    away()
    try:
        # The first loses connections, and the second finds none.
        answers = [learner.end(begun), learner.start()]
        time.sleep(AWAY_SECONDS)
    finally:
        back()

    assert [answer.status_code for answer in answers] == [202, 201]
    # No measure of speed: with one retry, or one timeout too long, it would be seconds.
    assert max(answer.elapsed.total_seconds() for answer in answers) < 1
    wait_for_ready(stack, learner)


def test_postgresql_restarted_while_lessons_start(stack, own_postgresql, learner):
    assert learner.start().status_code < 300

    own_postgresql.stop()
    time.sleep(AWAY_SECONDS)
    own_postgresql.start()

    wait_for_ready(stack, learner)


def test_beat_stopped_for_a_while(stack, learner):
    os.kill(stack.pid("beat"), signal.SIGSTOP)
    assert learner.start().status_code < 300
    time.sleep(AWAY_SECONDS)
    os.kill(stack.pid("beat"), signal.SIGCONT)

    wait_for_ready(stack, learner)
