"""Redis flushed, restarted and away; PostgreSQL restarted; beat stopped: nothing is lost."""

from __future__ import annotations

import base64
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import redis

from scheduler.messages import RECONCILE
from syringe_project.celery import app
from tests.chaos.conftest import QUICK, UNNEEDED
from tests.chaos.learner import ChaosLearner, prepare
from tests.servers import OwnServer
from tests.stack import FAKE, Stack
from tests.waiting import WaitedInVain, wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.xdist_group("servers-away")]

AWAY_SECONDS = float(os.environ.get("CHAOS_AWAY_SECONDS", "2"))
"""How long things stay away; `make chaos` sets a minute."""

BEAT_LOCK_SECONDS: float = app.conf.redbeat_lock_timeout


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


def wait_for(stack: Stack, condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition, replacing what ended as the supervisor would.

    beat exits when Redis lost its lock, and Celery's worker may when it loses Redis with
    messages in hand.
    """

    def came() -> bool:
        for name in stack.names():
            if not stack.alive(name):
                stack.start(name)
        return condition()

    try:
        wait_until(came, what=what)
    except WaitedInVain as exc:
        exc.add_note(stack.logs(15))
        raise


def wait_for_ready(stack: Stack, learner: ChaosLearner, stage: int = 0) -> None:
    """Wait until the session's one livelesson that has not ended is READY at a stage."""
    sql = (
        "SELECT state, stage FROM livelessons_livelesson "
        "WHERE session_id = %s AND state <> 'DELETED'"
    )
    wait_for(
        stack,
        lambda: learner.rows(sql, learner.session_id) == [("READY", stage)],
        f"one livelesson, READY at stage {stage}",
    )
    assert learner.strangers() == []


def flush(server: OwnServer) -> None:
    with redis.Redis.from_url(server.url) as client:
        client.flushall()


def restart(server: OwnServer) -> None:
    server.stop(signal.SIGKILL)
    server.start()


def wake_ups(stack: Stack, server: OwnServer) -> list[str]:
    """Return the livelessons that messages in the queue are about."""
    with redis.Redis.from_url(server.url) as client:
        messages = map(json.loads, client.lrange(f"{stack.instance}:lifecycle", 0, -1))
        bodies = [m["body"] for m in messages if m["headers"]["task"] == RECONCILE]
    return [pk for body in bodies for pk in json.loads(base64.b64decode(body))[0][0]]


@pytest.mark.parametrize("lose", [flush, restart])
def test_what_redis_loses_is_found(stack, own_redis, learner, lose):
    stack.kill("worker-1")
    assert learner.start().status_code < 300
    [live_lesson] = learner.states()
    assert live_lesson in wake_ups(stack, own_redis)

    lose(own_redis)

    assert live_lesson not in wake_ups(stack, own_redis)
    wait_for_ready(stack, learner)
    # In the middle of the work it is the worker, too, that loses Redis.
    answer = learner.http.post(f"/livelessons/{live_lesson}/stage", json={"stage": 1})
    assert answer.status_code < 300

    lose(own_redis)

    wait_for_ready(stack, learner, stage=1)


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


def test_beat_stopped_for_longer_than_its_lock(stack, learner):
    os.kill(stack.pid("beat"), signal.SIGSTOP)
    try:
        assert learner.start().status_code < 300
        # Without a sweep, messages and timers bring it there.
        learner.wait_for("READY")
        wait_until(lambda: stays_due(learner), what="the end of messages and timers")
        time.sleep(max(AWAY_SECONDS, BEAT_LOCK_SECONDS + 2))
        assert is_due(learner)
    finally:
        os.kill(stack.pid("beat"), signal.SIGCONT)

    wait_for(stack, lambda: not is_due(learner), "a look that no message asked for")
    assert set(learner.states().values()) == {"READY"}


def stays_due(learner: ChaosLearner) -> bool:
    """Make the session's row due; say whether no message that was on its way serves it."""
    learner.be_due()
    time.sleep(1)
    return is_due(learner)


def is_due(learner: ChaosLearner) -> bool:
    """Say whether anything of the session waits for a look."""
    sql = "SELECT 1 FROM livelessons_livelesson WHERE session_id = %s AND next_look_at IS NOT NULL"
    return bool(learner.rows(sql, learner.session_id))
