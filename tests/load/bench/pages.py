"""People at their lessons' pages: they type into a terminal, and the page hears what they reached.

All of it through the gateway, as browsers do: keys by WebSocket, news as an event stream.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence

import httpx
from websockets.asyncio.client import ClientConnection, connect

_TYPING_SECONDS = 1.0
_DEED_SECONDS = 9.0
_PATIENCE_SECONDS = 60.0
_OPEN_SECONDS = 20.0


def deeds_done(port: int, rows: Sequence[dict[str, str]], deeds: int) -> list[float]:
    """Have people do one thing after the other, typing all the while.

    Return the seconds from each last key of a deed until the page of that person knew.
    """

    async def work() -> list[list[float]]:
        async with asyncio.TaskGroup() as group:
            people = [group.create_task(_person(port, row, deeds)) for row in rows]
        return [person.result() for person in people]

    return [seconds for person in asyncio.run(work()) for seconds in person]


async def _person(port: int, row: dict[str, str], deeds: int) -> list[float]:
    who = {"Authorization": f"Bearer {row['secret']}"}
    place = f"127.0.0.1:{port}"
    events = f"http://{place}/api/v1/livelessons/{row['id']}/events"
    known: dict[int, float] = {}
    async with (
        connect(
            f"ws://{place}/terminals/{row['id']}/linux1/cli",
            additional_headers=who, compression=None, open_timeout=_OPEN_SECONDS,
        ) as terminal,
        httpx.AsyncClient(timeout=httpx.Timeout(_OPEN_SECONDS, read=None)) as client,
        client.stream("GET", events, headers=who) as page,
        asyncio.timeout(deeds * _DEED_SECONDS + _PATIENCE_SECONDS),
    ):  # fmt: skip
        page.raise_for_status()
        looking = asyncio.create_task(_look(terminal))
        hearing = asyncio.create_task(_hear(page, known, deeds))
        try:
            done = [await _do(terminal, number) for number in range(deeds)]
            while not hearing.done():
                await _key(terminal)
            await hearing
        finally:
            looking.cancel()
            hearing.cancel()
    return [known[number] - at for number, at in enumerate(done)]


async def _do(terminal: ClientConnection, number: int) -> float:
    """Type for a while, then do something; return when its last key went out."""
    begin = time.monotonic() + _DEED_SECONDS - random.uniform(0, 3)
    while time.monotonic() < begin:
        await _key(terminal)
    await terminal.send(f"touch made-{number}\n".encode())
    return time.monotonic()


async def _key(terminal: ClientConnection) -> None:
    await terminal.send(b"\n")
    await asyncio.sleep(_TYPING_SECONDS)


async def _look(terminal: ClientConnection) -> None:
    async for _ in terminal:
        pass


async def _hear(page: httpx.Response, known: dict[int, float], deeds: int) -> None:
    """Note when the page is first told of each objective that it is passed."""
    async for line in page.aiter_lines():
        if not line.startswith("data: "):
            continue
        items = json.loads(line.removeprefix("data: "))["objectives"]["items"]
        for number, item in enumerate(items):
            if item["state"] == "passed":
                known.setdefault(number, time.monotonic())
        if len(known) == deeds:
            return
    raise AssertionError("the event stream ended")
