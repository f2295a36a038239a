"""One reader for everybody who watches livelessons.

Redis only wakes it. The truth is one query a second for the versions of all watched rows; what
changed is then read whole, once, however many watch it.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from uuid import UUID

import redis
import redis.asyncio

from gateway.database import Database
from gateway.selectors import versions_of
from lessons.specs import stage_objectives
from livelessons.models import LiveLesson
from livelessons.selectors import checks_on_of, live_lessons_by_id
from syringe_project.api import DatabaseUnavailable

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 1.0
# Changes come in bursts of several within one reconciliation; a reader wants the last of them.
SETTLE_SECONDS = 0.01
RECONNECT_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Watch:
    """What is known of one watched livelesson; ``row`` is None when it does not exist."""

    version: int = -1
    row: LiveLesson | None = None
    reads: int = 0
    followers: set[asyncio.Event] = field(default_factory=set)

    def is_old(self, version: int, checks_on: bool) -> bool:
        """Say whether the row looks other now than it was read."""
        if version != self.version:
            return True
        return (
            self.row is not None
            and checks_on_of(self.row) != checks_on
            and bool(stage_objectives(self.row.spec, self.row.stage))
        )


class Watcher:
    """Tells followers of a livelesson how it is, at once and after every change."""

    def __init__(self, database: Database, *, redis_url: str, channel: str) -> None:
        self._database = database
        self._redis_url = redis_url
        self._channel = channel
        self._watches: dict[UUID, _Watch] = {}
        self._wake = asyncio.Event()

    @property
    def watched_count(self) -> int:
        """How many livelessons somebody watches."""
        return len(self._watches)

    async def run(self) -> None:
        """Read and listen until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._read_for_ever())
            tasks.create_task(self._listen_for_ever())

    async def follow(self, live_lesson_id: UUID) -> AsyncGenerator[LiveLesson | None, None]:
        """Yield the livelesson now and whenever it looks different; None once it is gone.

        A slow follower misses what lay between, never the last. Endpoints are read ahead.
        """
        watch = self._watches.setdefault(live_lesson_id, _Watch())
        news = asyncio.Event()
        watch.followers.add(news)
        try:
            if watch.version >= 0:
                news.set()
            else:
                self._wake.set()
            seen = 0
            while True:
                await news.wait()
                news.clear()
                if watch.reads != seen:
                    seen = watch.reads
                    yield watch.row
        finally:
            watch.followers.discard(news)
            if not watch.followers and self._watches.get(live_lesson_id) is watch:
                del self._watches[live_lesson_id]

    async def _read_for_ever(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._wake.wait()
            await asyncio.sleep(SETTLE_SECONDS)
            self._wake.clear()
            if self._watches:
                try:
                    await self._read()
                except DatabaseUnavailable:
                    logger.warning("The database is away; watched livelessons are not read.")
                except Exception:
                    # Nobody waits for this task: what ended it would be seen by nobody.
                    logger.exception("Watched livelessons could not be read; trying again.")

    async def _read(self) -> None:
        watched = dict(self._watches)
        versions, checks_on = await self._database.run(versions_of, watched)
        changed = [
            live_lesson_id
            for live_lesson_id, watch in watched.items()
            if watch.is_old(versions.get(live_lesson_id, 0), checks_on)
        ]
        if not changed:
            return
        rows = await self._database.run(live_lessons_by_id, changed)
        for live_lesson_id in changed:
            watch = watched[live_lesson_id]
            watch.row = rows.get(live_lesson_id)
            watch.version = watch.row.version if watch.row else 0
            watch.reads += 1
            for news in watch.followers:
                news.set()

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (redis.RedisError, OSError) as exc:
                # Nothing is lost without it: changes are only seen up to a second later.
                logger.debug("No wake-ups from Redis: %s", type(exc).__name__)
            except Exception:
                logger.exception("Wake-ups could not be heard; trying again.")
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _listen(self) -> None:
        client = redis.asyncio.Redis.from_url(
            self._redis_url, socket_connect_timeout=2, socket_timeout=5, health_check_interval=10
        )
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(self._channel)
            self._wake.set()
            while True:
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=3)
                if message is not None and _live_lesson_id(message["data"]) in self._watches:
                    self._wake.set()


def _live_lesson_id(data: bytes) -> UUID | None:
    try:
        return UUID(data.decode())
    except ValueError:
        return None
