"""Taking checks that are due, having them made on the loop, and writing what came of them."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError

from livelessons.services.checkers import checker_beat, checker_leave, checks_follow_clock
from livelessons.services.objectives import (
    Claimed,
    claims_keep,
    claims_standing,
    objective_broken,
    objective_failed,
    objective_passed,
    objective_postpone,
    objective_release,
    objectives_claim,
)
from scheduler.checks.connections import Connections
from scheduler.checks.jobs import Jobs
from scheduler.checks.kinds import verdict_of
from scheduler.checks.slots import NoSlot, Slots
from scheduler.checks.threads import in_thread
from scheduler.checks.verdicts import Outcome, Verdict
from scheduler.failpoints import CheckFailpoint, failpoint
from scheduler.messages import CHECK_OBJECTIVES
from scheduler.periodic import note_consumer

logger = logging.getLogger(__name__)

_T = TypeVar("_T")

MOST_OF_ONE = 3
"""Of one livelesson at a time."""

BATCH = 50
"""Taken at once, so that a rush leaves the loop time for those that run."""

NO_SLOT_PAUSE = timedelta(seconds=5)
"""Until a check is tried again for which there was no place."""

CLAIM_TTL = timedelta(seconds=15)
"""How long checks of a killed process wait beyond their own time."""

BEAT_SECONDS = 5.0
_WATCH_SECONDS = 1.0
_TICK_SECONDS = 0.5
_BUSY_SECONDS = 10.0
"""While there was something to do lately it looks by itself; else beat's messages are enough."""

_SHORTEST_PAUSE_SECONDS = 0.05


class Checker:
    """All checks of this process. Belongs to one loop, but for ``wake``."""

    def __init__(self, name: str, loop: asyncio.AbstractEventLoop) -> None:
        self._name = name
        self._loop = loop
        self._wanted = asyncio.Event()
        self._connections = Connections()
        self._jobs = Jobs()
        self._slots = Slots(settings.SYRINGE_CHECKS_AT_ONCE)
        self._running: dict[UUID, tuple[Claimed, asyncio.Task[None]]] = {}
        self._more_is_due = False
        self._busy = -_BUSY_SECONDS
        self._last_beat: datetime | None = None
        self._serving: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Look at once what is due. Thread-safe."""
        self._loop.call_soon_threadsafe(self._wanted.set)

    async def start(self) -> None:
        """Check from now on, until ``stop``."""
        self._serving = asyncio.create_task(self._serve())

    async def stop(self) -> None:
        """End all checks and give them back, so that others have them at once."""
        if self._serving is not None:
            self._serving.cancel()
            await asyncio.gather(self._serving, return_exceptions=True)
        claims = [claimed for claimed, _ in self._running.values()]
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._connections.close()
        with contextlib.suppress(DatabaseError):
            for claimed in claims:
                await _write(CheckFailpoint.CHECK_GIVEN_BACK, partial(objective_release, claimed))
            await in_thread(partial(checker_leave, name=self._name))

    async def _serve(self) -> None:
        """Look when somebody says so, or often while there is much to do; end what is unwanted."""
        beaten = watched = -BEAT_SECONDS
        while True:
            now = time.monotonic()
            try:
                if now - beaten >= BEAT_SECONDS:
                    beaten = now
                    await self._beat()
                if self._running and now - watched >= _WATCH_SECONDS:
                    watched = now
                    await self._end_unwanted()
                busy = self._more_is_due or now - self._busy < _BUSY_SECONDS
                if busy or self._wanted.is_set():
                    self._wanted.clear()
                    await self._take()
            except DatabaseError as exc:
                logger.warning("objectives not looked at: %s", type(exc).__name__)
            except Exception:
                logger.exception("objectives not looked at")
            await asyncio.sleep(_SHORTEST_PAUSE_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wanted.wait()

    async def _beat(self) -> None:
        """Say that checks are made here, and look without being asked: messages may get lost."""
        self._wanted.set()
        await in_thread(partial(note_consumer, CHECK_OBJECTIVES))
        beat = partial(checker_beat, name=self._name)
        now = await _write(CheckFailpoint.CHECKER_SEEN, beat)
        if self._last_beat is None or now < self._last_beat:
            follow = partial(checks_follow_clock, ttl=CLAIM_TTL)
            await _write(CheckFailpoint.CLOCK_FOLLOWED, follow)
        self._last_beat = now
        if claims := [claimed for claimed, _ in self._running.values()]:
            keep = partial(claims_keep, claims, ttl=CLAIM_TTL)
            await _write(CheckFailpoint.CLAIMS_KEPT, keep)

    async def _end_unwanted(self) -> None:
        claims = [claimed for claimed, _ in self._running.values()]
        standing = await in_thread(partial(claims_standing, claims))
        for claimed in claims:
            token = _token(claimed)
            if token not in standing and token in self._running:
                self._running[token][1].cancel()

    async def _take(self) -> None:
        """Take as much as there is room for, and begin with it."""
        limit = min(BATCH, self._slots.free, settings.SYRINGE_CHECKS_AT_ONCE - len(self._running))
        self._more_is_due = True
        if limit <= 0:
            return
        claim = partial(
            objectives_claim,
            checker=self._name,
            limit=limit,
            per_live_lesson=MOST_OF_ONE,
            ttl=CLAIM_TTL,
        )
        claims = await _write(CheckFailpoint.CHECKS_CLAIMED, claim)
        if claims:
            self._busy = time.monotonic()
        for claimed in claims:
            token = _token(claimed)
            self._running[token] = claimed, asyncio.create_task(self._check(claimed, token))
        self._more_is_due = len(claims) == limit
        if self._more_is_due:
            self._wanted.set()

    async def _check(self, claimed: Claimed, token: UUID) -> None:
        try:
            await self._check_and_write(claimed)
        except DatabaseError as exc:
            # The claim expires, and the check is made again.
            logger.warning("result of a check not written: %s", type(exc).__name__)
        finally:
            del self._running[token]
            if self._more_is_due:
                self._wanted.set()

    async def _check_and_write(self, claimed: Claimed) -> None:
        work = verdict_of(claimed, connections=self._connections, jobs=self._jobs)
        try:
            verdict = await self._slots.check(work, is_job=claimed.check["kind"] == "file")
        except NoSlot:
            release = partial(objective_release, claimed, pause=NO_SLOT_PAUSE)
            await _write(CheckFailpoint.CHECK_GIVEN_BACK, release)
            return
        failpoint(CheckFailpoint.CHECK_JUDGED)
        await _write(CheckFailpoint.CHECK_WRITTEN, _result(claimed, verdict))
        if verdict.outcome == Outcome.PASSED:
            # Others may have waited for this one.
            self._wanted.set()


def _result(claimed: Claimed, verdict: Verdict) -> Callable[[], bool]:
    """Return what writes the verdict."""
    match verdict:
        case Verdict(Outcome.PASSED, message, detail):
            return partial(objective_passed, claimed, message=message, detail=detail)
        case Verdict(Outcome.FAILED, message, detail):
            return partial(objective_failed, claimed, message=message, detail=detail)
        case Verdict(Outcome.BROKEN, _, detail):
            return partial(objective_broken, claimed, detail=detail)
        case Verdict(Outcome.UNREACHABLE, _, detail):
            return partial(objective_postpone, claimed, detail=detail)
    raise ValueError(verdict.outcome)


async def _write(point: CheckFailpoint, call: Callable[[], _T]) -> _T:
    """Write, and then be where a test can kill the process."""
    written = await in_thread(call)
    failpoint(point)
    return written


def _token(claimed: Claimed) -> UUID:
    token = claimed.objective.claim
    if token is None:
        raise ValueError("a claim without a token")
    return token
