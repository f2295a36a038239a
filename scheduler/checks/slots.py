"""How many checks run at a time, so that those that take long hold up none of the others."""

import asyncio
import contextlib
from collections.abc import Coroutine, Iterator
from typing import Any

from scheduler.checks.verdicts import Verdict

QUICK_SECONDS = 2.0


class NoSlot(Exception):
    """As many checks take long as may."""


class Slots:
    """The places of one process: a fifth for quick checks, the rest for slow ones and for jobs.

    Every check begins in a quick place. One that is still there after ``QUICK_SECONDS`` moves to a
    slow one, or is ended where all are taken. So quick places become free all the time, whatever
    hangs. Jobs wait for others, and have places of their own from the start. Belongs to one loop.
    """

    def __init__(self, number: int) -> None:
        self._most_quick = max(1, number // 5)
        self._most_slow = self._most_jobs = max(1, number * 2 // 5)
        self._quick = self._slow = self._jobs = 0

    @property
    def free(self) -> int:
        """How many more checks can be taken now."""
        return self._most_quick - self._quick

    async def check(self, work: Coroutine[Any, Any, Verdict], *, is_job: bool) -> Verdict:
        """Return the verdict; raise NoSlot where the check had to be ended or could not begin."""
        if is_job and self._jobs >= self._most_jobs:
            work.close()
            raise NoSlot
        with self._job() if is_job else contextlib.nullcontext():
            return await (work if is_job else self._unless_slow(work))

    async def _unless_slow(self, work: Coroutine[Any, Any, Verdict]) -> Verdict:
        checking = asyncio.create_task(work)
        try:
            self._quick += 1
            try:
                await asyncio.wait({checking}, timeout=QUICK_SECONDS)
            finally:
                self._quick -= 1
            if checking.done():
                return checking.result()
            if self._slow >= self._most_slow:
                raise NoSlot
            self._slow += 1
            try:
                return await checking
            finally:
                self._slow -= 1
        finally:
            checking.cancel()
            await asyncio.wait({checking})

    @contextlib.contextmanager
    def _job(self) -> Iterator[None]:
        self._jobs += 1
        try:
            yield
        finally:
            self._jobs -= 1
