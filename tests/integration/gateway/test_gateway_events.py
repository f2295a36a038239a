"""Server-Sent Events of livelessons, against PostgreSQL and Redis."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, ParamSpec, TypeVar
from uuid import uuid4

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.db import connection, connections
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from gateway import events, watching
from gateway.database import Database
from gateway.selectors import versions_of
from livelessons.models import LiveLesson
from livelessons.states import State
from livelessons.wakeups import wake
from tests.integration.gateway.conftest import RunningGateway
from tests.waiting import PATIENCE

P = ParamSpec("P")
T = TypeVar("T")


class Stream:
    """Reads events one by one."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.headers = answer.headers
        self._lines = answer.aiter_lines()

    async def block(self) -> dict[str, str]:
        """Return the fields of the next block; a comment's name is empty."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            async for line in self._lines:
                if not line and fields:
                    return fields
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
        raise EOFError

    async def livelesson(self) -> dict[str, Any]:
        """Return the next event's data."""
        while "data" not in (fields := await self.block()):
            pass
        assert fields["event"] == "livelesson"
        data: dict[str, Any] = json.loads(fields["data"])
        assert fields["id"].split("-")[0] == str(data["version"])
        return data


def secret_of(live_lesson: LiveLesson) -> str:
    secret: str = live_lesson.session.secret  # type: ignore[attr-defined]
    return secret


def bearer(live_lesson: LiveLesson) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret_of(live_lesson)}"}


@asynccontextmanager
async def opened(
    browser: httpx.AsyncClient, live_lesson: LiveLesson, **headers: str
) -> AsyncIterator[Stream]:
    url = f"/api/v1/livelessons/{live_lesson.pk}/events"
    async with browser.stream("GET", url, headers=bearer(live_lesson) | headers) as answer:
        yield Stream(answer)


async def change(live_lesson: LiveLesson, **changes: Any) -> None:
    await LiveLesson.objects.filter(pk=live_lesson.pk).aupdate(version=F("version") + 1, **changes)
    await sync_to_async(wake)(live_lesson.pk)


async def test_the_livelesson_comes_at_once_and_after_every_change(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)(state=State.BOOTING)
    async with opened(browser, live_lesson) as stream:
        assert stream.headers["content-type"] == "text/event-stream"
        first = await stream.livelesson()
        assert (first["id"], first["state"]) == (str(live_lesson.pk), "BOOTING")
        assert first["guide"]["contents"] == "# Guide of stage 0"
        assert [endpoint["name"] for endpoint in first["endpoints"]] == ["linux1"]

        await change(live_lesson, state=State.READY, healthy_tests=1)
        second = await stream.livelesson()
        assert (second["state"], second["healthy_tests"]) == ("READY", 1)


async def test_a_wake_up_makes_it_fast(
    browser: httpx.AsyncClient,
    make_live_lesson: Callable[..., LiveLesson],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(watching, "INTERVAL_SECONDS", 60.0)
    live_lesson = await sync_to_async(make_live_lesson)(state=State.BOOTING)
    async with opened(browser, live_lesson) as stream:
        await stream.livelesson()
        await change(live_lesson, state=State.READY)
        assert (await stream.livelesson())["state"] == "READY"


@pytest.fixture
def redis_away(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SYRINGE_REDIS_URL = "redis://127.0.0.1:1/0"


async def test_redis_away_makes_it_slower_and_nothing_else(
    redis_away: None, browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)(state=State.BOOTING)
    async with opened(browser, live_lesson) as stream:
        await stream.livelesson()
        await LiveLesson.objects.filter(pk=live_lesson.pk).aupdate(version=7, state=State.READY)
        assert (await stream.livelesson())["state"] == "READY"


def _connected() -> list[int]:
    """Return the backends that serve the tests' database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [pid for (pid,) in cursor.fetchall()]


def _end_connections_but(kept: list[int]) -> int:
    """Do to others what a restart of PostgreSQL does; return how many there were."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND NOT pid = ANY(%s)",
            [kept],
        )
        return len(cursor.fetchall())


async def test_a_restart_of_the_database_is_survived(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)(state=State.BOOTING)
    ours = await sync_to_async(_connected)()
    async with opened(browser, live_lesson) as stream:
        await stream.livelesson()
        assert await sync_to_async(_end_connections_but)(ours)
        await change(live_lesson, state=State.READY)
        assert (await stream.livelesson())["state"] == "READY"
    async with opened(browser, live_lesson) as stream:
        assert (await stream.livelesson())["state"] == "READY"


class FailsOnce(Database):
    """A database whose first answer is a fault that nobody foresaw."""

    failed = False

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if not self.failed:
            self.failed = True
            raise LookupError("unforeseen")
        return await super().run(function, *args, **kwargs)


async def test_what_nobody_foresaw_is_logged_and_does_not_end_the_watch(
    transactional_db: None,
    make_live_lesson: Callable[..., LiveLesson],
    settings: LazySettings,
    caplog: pytest.LogCaptureFixture,
):
    live_lesson = await sync_to_async(make_live_lesson)()
    database = FailsOnce()
    watcher = watching.Watcher(
        database, redis_url=settings.SYRINGE_REDIS_URL, channel="nobody publishes here"
    )
    task = asyncio.create_task(watcher.run())
    try:
        async with asyncio.timeout(PATIENCE), aclosing(watcher.follow(live_lesson.pk)) as changes:
            assert await anext(changes) == live_lesson
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await database.close()
        await sync_to_async(connections.close_all)()
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.levelname == "ERROR"
    assert isinstance(record.exc_info[1], LookupError)


async def test_a_known_version_is_not_sent_again(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)(version=5)
    async with opened(browser, live_lesson, **{"Last-Event-ID": "5"}) as stream:
        assert "retry" in await stream.block()
        await change(live_lesson, healthy_tests=1)
        assert (await stream.livelesson())["version"] == 6


async def test_the_stream_ends_with_the_livelesson_and_then_says_so(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)(state=State.DELETING)
    async with opened(browser, live_lesson) as stream:
        await stream.livelesson()
        await change(live_lesson, state=State.DELETED)
        last = await stream.livelesson()
        assert last["state"] == "DELETED"
        with pytest.raises(EOFError):
            await stream.block()

    async with opened(browser, live_lesson, **{"Last-Event-ID": str(last["version"])}) as stream:
        assert stream.status == 204


async def test_a_row_that_is_removed_ends_the_stream(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)()
    async with opened(browser, live_lesson) as stream:
        await stream.livelesson()
        await LiveLesson.objects.filter(pk=live_lesson.pk).adelete()
        with pytest.raises(EOFError):
            await stream.block()


async def test_silence_is_filled_with_comments(
    browser: httpx.AsyncClient,
    make_live_lesson: Callable[..., LiveLesson],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(events, "KEEPALIVE_SECONDS", 0.02)
    live_lesson = await sync_to_async(make_live_lesson)()
    async with opened(browser, live_lesson) as stream:
        await stream.livelesson()
        assert await stream.block() == {"": "still here"}


async def test_without_a_session_it_is_401(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)()
    answer = await browser.get(f"/api/v1/livelessons/{live_lesson.pk}/events")
    assert (answer.status_code, answer.json()["code"]) == (401, "session_not_found")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_what_is_not_the_callers_does_not_exist(
    browser: httpx.AsyncClient, make_live_lesson: Callable[..., LiveLesson]
):
    mine = await sync_to_async(make_live_lesson)()
    others = await sync_to_async(make_live_lesson)()
    for live_lesson_id in (others.pk, uuid4()):
        answer = await browser.get(
            f"/api/v1/livelessons/{live_lesson_id}/events", headers=bearer(mine)
        )
        assert (answer.status_code, answer.json()["code"]) == (404, "livelesson_not_found")


async def test_the_cookie_works_from_our_pages_only(
    gateway: RunningGateway,
    browser: httpx.AsyncClient,
    make_live_lesson: Callable[..., LiveLesson],
):
    live_lesson = await sync_to_async(make_live_lesson)()
    url = f"/api/v1/livelessons/{live_lesson.pk}/events"
    headers = {"Cookie": f"syringe_session={secret_of(live_lesson)}"}
    async with browser.stream("GET", url, headers=headers) as answer:
        assert answer.status_code == 200
    foreign = await browser.get(url, headers=headers | {"Origin": "https://evil.example"})
    assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")


async def test_many_streams_are_read_together(
    gateway: RunningGateway, make_live_lesson: Callable[..., LiveLesson]
):
    live_lessons = [await sync_to_async(make_live_lesson)() for _ in range(3)]
    followed = [gateway.application.watcher.follow(row.pk) for row in live_lessons for _ in "ab"]
    for changes in followed:
        await anext(changes)

    await change(live_lessons[0], state=State.READY)
    seen = [await anext(followed[0]), await anext(followed[1])]
    assert [row.state for row in seen if row] == [State.READY, State.READY]
    # Both were shown what one look read.
    assert seen[0] is seen[1]
    for changes in followed:
        await changes.aclose()


def test_a_look_at_any_number_of_versions_is_one_query(
    db: None, make_live_lesson: Callable[..., LiveLesson]
):
    live_lessons = [make_live_lesson() for _ in range(3)]
    with CaptureQueriesContext(connection) as captured:
        versions, checks_on = versions_of([row.pk for row in live_lessons])
    assert versions == {row.pk: 1 for row in live_lessons}
    assert not checks_on
    assert len(captured) == 1


async def test_a_follower_that_leaves_is_forgotten(
    gateway: RunningGateway, make_live_lesson: Callable[..., LiveLesson]
):
    live_lesson = await sync_to_async(make_live_lesson)()
    watcher = gateway.application.watcher
    async with aclosing(watcher.follow(live_lesson.pk)) as changes:
        await anext(changes)
        assert watcher.watched_count == 1
    assert watcher.watched_count == 0
