"""Looks that are due sooner than the sweep would find them: a few timers on the worker's loop.

They only make things fast: the row's due time stands in the database, and when many livelessons
boot at once the sweep's batches serve them better, so only so many timers are kept.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

from scheduler.loop import spawn
from scheduler.messages import enqueue_reconcile

SWEEP_INTERVAL = timedelta(seconds=1)
MAX_TIMERS = 100

_sender = ThreadPoolExecutor(max_workers=1, thread_name_prefix="timers")
_waiting: set[UUID] = set()


def look_soon(live_lesson_ids: Sequence[UUID], delay: timedelta) -> None:
    """Ask for a look after ``delay`` if that is before the sweep comes by; return at once."""
    if delay < SWEEP_INTERVAL:
        for pk in live_lesson_ids:
            if len(_waiting) < MAX_TIMERS and pk not in _waiting:
                _waiting.add(pk)
                spawn(_look(pk, delay.total_seconds()))


async def _look(live_lesson_id: UUID, seconds: float) -> None:
    try:
        await asyncio.sleep(seconds)
    finally:
        _waiting.discard(live_lesson_id)
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(_sender, enqueue_reconcile, [live_lesson_id])
