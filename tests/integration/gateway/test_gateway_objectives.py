"""Objectives at the gateway: use has them checked soon, and pages hear what became of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.db.models import F
from django.utils import timezone

from gateway.selectors import Address
from gateway.usage import Usage
from livelessons.models import LiveLesson, LiveObjective
from livelessons.services.checkers import checker_beat, checker_leave
from livelessons.services.objectives import (
    objective_failed,
    objective_passed,
)
from tests.conftest import objective_dict, stage_dict
from tests.integration.gateway.conftest import RunningGateway
from tests.integration.gateway.ssh_server import SshServer
from tests.integration.gateway.test_gateway_events import opened
from tests.objectives import claim_one, open_all
from tests.waiting import FOR_EVER, PATIENCE


@pytest.fixture
def running(
    make_lesson: Callable[..., Any], make_running: Callable[..., LiveLesson], ssh: SshServer
) -> LiveLesson:
    """A livelesson with one objective, which failed so often that its next check is far."""
    lesson = make_lesson(stages=[stage_dict(objective_dict("make-notes"))])
    live_lesson = make_running({22: ssh.port}, lesson=lesson)
    open_all(live_lesson)
    objective_failed(claim_one(live_lesson, "make-notes"), message="No notes.")
    back_off()
    return live_lesson


def address_of(live_lesson: LiveLesson, *, has_objectives: bool) -> Address:
    return Address(
        live_lesson_id=live_lesson.pk,
        attempt=1,
        endpoint="linux1",
        presentation="cli",
        port=22,
        host="127.0.0.1",
        relayed_port=22,
        has_objectives=has_objectives,
    )


def back_off() -> None:
    now = timezone.now()
    LiveObjective.objects.update(
        checked_at=now - timedelta(seconds=30),
        next_check_at=now + timedelta(seconds=30),
        pause_seconds=60,
    )


async def woken() -> None:
    async with asyncio.timeout(PATIENCE):
        while not await LiveObjective.objects.filter(pause_seconds=2).aexists():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    row = await LiveObjective.objects.aget()
    assert row.next_check_at is not None
    assert row.next_check_at <= timezone.now()


async def test_typing_has_objectives_checked_soon(gateway: RunningGateway, running: LiveLesson):
    async with gateway.terminal(running) as socket:
        # Opening a terminal is use as well.
        await woken()
        for _ in range(2):
            await sync_to_async(back_off)()
            await socket.send(b"true\r")
            await woken()


async def test_a_livelesson_that_is_being_written_is_woken_a_moment_later(
    gateway: RunningGateway, running: LiveLesson
):
    usage = gateway.application.usage
    held, free = asyncio.Event(), asyncio.Event()
    async with holding(running, held, free):
        usage.note(address_of(running, has_objectives=True))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await woken()
    await woken()


@asynccontextmanager
async def holding(
    live_lesson: LiveLesson, held: asyncio.Event, free: asyncio.Event
) -> AsyncIterator[None]:
    """Write the livelesson's row in a transaction that stays open."""
    loop = asyncio.get_running_loop()

    def write() -> None:
        connection = connections.create_connection("default")
        try:
            with connection.cursor() as cursor:
                cursor.execute("BEGIN")
                cursor.execute(
                    "UPDATE livelessons_livelesson SET version = version WHERE id = %s",
                    [live_lesson.pk],
                )
                loop.call_soon_threadsafe(held.set)
                asyncio.run_coroutine_threadsafe(free.wait(), loop).result(FOR_EVER)
                cursor.execute("COMMIT")
        finally:
            connection.close()

    writing = asyncio.create_task(asyncio.to_thread(write))
    await held.wait()
    try:
        yield
    finally:
        free.set()
        await writing


async def test_lessons_without_objectives_wake_nothing(gateway: RunningGateway):
    usage: Usage = gateway.application.usage
    usage.note(address_of(LiveLesson(), has_objectives=False))

    assert not usage.is_waking


async def test_a_pass_shows_at_once(browser: Any, running: LiveLesson):
    async with opened(browser, running) as stream:
        (item,) = (await stream.livelesson())["objectives"]["items"]
        assert (item["state"], item["message"]) == ("failed", "No notes.")

        claimed = await sync_to_async(claim_one)(running, "make-notes")
        await sync_to_async(objective_passed)(claimed, message="Well done.")

        seen = (await stream.livelesson())["objectives"]
        assert seen["items"][0]["state"] == "passed"
        assert (seen["summary"], seen["complete"]) == ("1 of 1", True)


async def test_pages_hear_that_checks_are_on_and_off(gateway: RunningGateway, running: LiveLesson):
    other = gateway.application.watcher
    async with aclosing(other.follow(running.pk)) as changes:
        for on in (False, True, False):
            if on:
                await sync_to_async(checker_beat)(name="checker")
            else:
                await sync_to_async(checker_leave)(name="checker")
            async with asyncio.timeout(PATIENCE):
                row: Any = await anext(changes)
            assert row.checks_on is on


async def test_a_stream_tells_that_checks_are_off(browser: Any, running: LiveLesson):
    await sync_to_async(checker_beat)(name="checker")
    async with opened(browser, running) as stream:
        assert (await stream.livelesson())["objectives"]["checking"] is True
        await sync_to_async(checker_leave)(name="checker")
        seen = await stream.livelesson()
        assert seen["objectives"]["checking"] is False
        # What the browser knows is not sent again when it comes back.
        known = f"{seen['version']}-unchecked"
    async with opened(browser, running, **{"Last-Event-ID": known}) as stream:
        await LiveLesson.objects.filter(pk=running.pk).aupdate(version=F("version") + 5)
        assert (await stream.livelesson())["version"] == seen["version"] + 5
