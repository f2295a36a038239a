"""Looks that are due sooner than the sweep would find them: ticks of the worker's loop.

They only make things fast: the row's due time stands in the database, and when many livelessons
boot at once the sweep's batches serve them better, so only so many ids are kept. Those that are
due at about the same time go in one message, which costs a worker little more than one of them.
"""

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from scheduler.loop import spawn
from scheduler.messages import enqueue_reconcile

LEFT_TO_SWEEPS = timedelta(seconds=0.5)
"""Longer waits need no tick: a sweep comes each second, and its batches cost less."""

MAX_WAITING = 100
_SHORTEST_TICK = 0.02

_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="timers")
_waiting: set[UUID] = set()
_ticks: dict[float, list[UUID]] = defaultdict(list)


def look_soon(live_lesson_ids: Sequence[UUID], delay: timedelta) -> None:
    """Ask for a look after ``delay`` if no sweep is likely to come sooner; return at once."""
    if live_lesson_ids and delay <= LEFT_TO_SWEEPS:
        spawn(_keep(list(live_lesson_ids), _tick(time.monotonic(), delay.total_seconds())))


def _tick(now: float, delay: float) -> float:
    """Return when the look happens: on a grid, so that looks meet, half as wide as the delay."""
    width = max(_SHORTEST_TICK, delay / 2)
    return math.ceil((now + delay) / width) * width


async def _keep(live_lesson_ids: Sequence[UUID], tick: float) -> None:
    """Put the ids on their tick; whoever comes to a new tick waits for it and sends its ids."""
    fresh = [pk for pk in live_lesson_ids if pk not in _waiting][: MAX_WAITING - len(_waiting)]
    if not fresh:
        return
    _waiting.update(fresh)
    waited_for = tick in _ticks
    _ticks[tick] += fresh
    if waited_for:
        return
    try:
        await asyncio.sleep(tick - time.monotonic())
    finally:
        ids = _ticks.pop(tick)
        _waiting.difference_update(ids)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(_sender, enqueue_reconcile, ids)
