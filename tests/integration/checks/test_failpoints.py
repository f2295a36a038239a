"""kill -9 of a checker between any two of its writes: another one finishes, once."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from functools import partial

import pytest
from django.db.models.functions import Now

from events.models import OutboxEvent
from livelessons.models import LiveLesson, LiveObjective
from livelessons.states import ObjectiveState
from scheduler.backends.registry import current_backend
from scheduler.checks.checker import Checker
from scheduler.checks.service import start_checker, stop_checker
from scheduler.checks.threads import in_thread
from scheduler.environments import environment_spec
from scheduler.failpoints import CheckFailpoint
from tests.integration.checks.conftest import checker_process, run
from tests.objectives import due_now
from tests.waiting import PATIENCE, wait_until
from tests.write_log import WriteLog, writes_logged

pytestmark = pytest.mark.django_db(transaction=True)

FILE = {"kind": "file", "path": "checks/it.py", "language": "python"}


@pytest.fixture
def live_lesson(checked_lesson, ssh, settings) -> LiveLesson:
    """Return a livelesson with checks of which one finds nobody and one has no place at first."""
    settings.SYRINGE_FAKE_SCRIPT = json.dumps({"check_seconds": 0.5})
    made = checked_lesson({22: ssh.port}, a=FILE, b=FILE, c=FILE, it=run("true"))
    current_backend().ensure(environment_spec(made))
    return made


@pytest.mark.parametrize("name", CheckFailpoint)
def test_a_checker_killed_there_loses_nothing(live_lesson, ssh, name):
    ssh.refuses = True
    # Two places for jobs.
    with checker_process(SYRINGE_FAILPOINT=name, SYRINGE_CHECKS_AT_ONCE="5") as process:
        assert process.wait(PATIENCE) == -signal.SIGKILL

    ssh.refuses = False
    # As if the claims had expired.
    rows = LiveObjective.objects.filter(live_lesson=live_lesson)
    rows.exclude(claim=None).update(next_check_at=Now(), claimed_until=Now())
    due_now(live_lesson)
    second = start_checker("the second")
    try:
        wait_until(
            lambda: not rows.exclude(state=ObjectiveState.PASSED).exists(),
            what=f"the end of {list(rows.values())}",
        )  # fmt: skip
    finally:
        stop_checker(second)

    assert set(rows.values_list("attempts", "failures", "errors")) == {(1, 0, 0)}
    kinds = [event.type for event in OutboxEvent.objects.all()]
    assert sorted(kinds) == ["objective.passed"] * 4 + ["stage.completed"]
    live_lesson.refresh_from_db()
    assert live_lesson.completed_stages == [0]


@pytest.fixture
def log() -> Iterator[WriteLog]:
    with writes_logged() as log:
        yield log


def only_due(live_lesson: LiveLesson, slug: str) -> None:
    rows = LiveObjective.objects.filter(live_lesson=live_lesson)
    rows.exclude(slug=slug).update(next_check_at=None)
    rows.filter(slug=slug).update(next_check_at=Now())


async def test_every_two_writes_of_a_checker_have_a_failpoint_between_them(
    live_lesson, ssh, log, settings
):
    """One thing after another; what a checker does at the same time is in no order."""
    settings.SYRINGE_CHECKS_AT_ONCE = 5
    ssh.refuses = True
    checker = Checker("slow and steady", asyncio.get_running_loop())

    async def take(slug: str) -> list[asyncio.Task[None]]:
        log.paused = True
        await in_thread(partial(only_due, live_lesson, slug))
        log.paused = False
        await checker._take()
        return [task for _, task in checker._running.values()]

    async def job_begun() -> None:
        await asyncio.to_thread(
            wait_until,
            lambda: log.events[-1] == "failpoint after_check_job",
            what="the job",
        )  # fmt: skip

    await checker._beat()
    tasks = await take("a")
    await job_begun()
    await checker._beat()
    await asyncio.gather(*tasks)
    await asyncio.gather(*await take("it"))
    held = [
        asyncio.create_task(checker._slots.check(asyncio.Event().wait(), is_job=True))
        for _ in range(2)
    ]
    await asyncio.gather(*await take("b"))
    for task in held:
        task.cancel()
    await asyncio.gather(*held, return_exceptions=True)
    await take("c")
    await job_begun()
    await checker.stop()

    assert log.unparted == []
    assert log.failpoints == set(CheckFailpoint)
    assert len(log.writes) >= 12
