"""Whether endpoints answer: concurrent tests on the worker's loop, each with its own limit.

A claimed batch is handed over and tested until it answers or its window ends. What is found goes
to the endpoint's row, and the livelesson is looked at again at once. A process that dies in the
meantime loses nothing: the livelesson is due again soon and is tested anew.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import UUID

from django.db import DatabaseError, close_old_connections

from livelessons.models import LiveEndpoint
from scheduler.failpoints import Failpoint, failpoint
from scheduler.loop import spawn
from scheduler.messages import enqueue_reconcile

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS = 2.0
WINDOW_SECONDS = 10.0
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
_MAX_CONNECTIONS = 200

_writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="reachability")
_tested: set[tuple[UUID, int]] = set()
_connections = asyncio.Semaphore(_MAX_CONNECTIONS)


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint's address; ``ports`` holds (port on ``host``, ``ssh`` or ``http``)."""

    endpoint: str
    host: str
    ports: tuple[tuple[int, str], ...]


def watch(live_lesson_id: UUID, attempt: int, targets: Sequence[Target]) -> None:
    """Test the endpoints in the background; return at once."""
    spawn(_watch(live_lesson_id, attempt, targets))


async def _watch(live_lesson_id: UUID, attempt: int, targets: Sequence[Target]) -> None:
    key = (live_lesson_id, attempt)
    if key in _tested:
        return
    _tested.add(key)
    try:
        answered = await asyncio.gather(*(_wait_for(target) for target in targets))
        found = [t for t, ok in zip(targets, answered, strict=True) if ok]
        if found:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(_writer, _record, live_lesson_id, attempt, found)
    finally:
        _tested.discard(key)


async def _wait_for(target: Target) -> bool:
    """Say whether every port of the endpoint answers before the window ends."""
    try:
        async with asyncio.timeout(WINDOW_SECONDS):
            for port, kind in target.ports:
                pause = _FIRST_PAUSE
                while not await answers(target.host, port, kind):
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LAST_PAUSE)
    except TimeoutError:
        return False
    return True


async def answers(host: str, port: int, kind: str) -> bool:
    """Test once: an SSH banner for ``ssh``, an HTTP answer for ``http``, else a connection."""
    try:
        async with _connections, asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                if kind == "ssh":
                    return (await reader.read(4)).startswith(b"SSH-")
                if kind == "http":
                    writer.write(b"HEAD / HTTP/1.0\r\nHost: reachability\r\n\r\n")
                    return (await reader.read(5)).startswith(b"HTTP/")
                return True
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


def _record(live_lesson_id: UUID, attempt: int, found: Sequence[Target]) -> None:
    close_old_connections()
    try:
        for target in found:
            LiveEndpoint.objects.filter(
                live_lesson=live_lesson_id,
                name=target.endpoint,
                attempt=attempt,
                host=target.host,
            ).update(reachable=True)
            failpoint(Failpoint.REACHABILITY_WRITTEN)
    except DatabaseError as exc:
        logger.warning("reachability not recorded, it is tested again: %s", type(exc).__name__)
        return
    finally:
        close_old_connections()
    enqueue_reconcile([live_lesson_id])
