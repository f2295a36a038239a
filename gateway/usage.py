"""Noting that a livelesson is used, seldom enough to cost nothing."""

import asyncio
import logging
import time
from uuid import UUID

from gateway.database import Database
from gateway.selectors import Address
from livelessons.services import live_lesson_touch, objectives_wake
from syringe_project.api import DatabaseUnavailable

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 20.0
WAKE_SECONDS = 1.0
"""Between two statements that wake objectives: the last use is followed by one, too."""


class Usage:
    """Remembers when each livelesson was last noted as used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[UUID, float] = {}
        self._active: set[UUID] = set()
        self._waking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_waking(self) -> bool:
        """Tell whether somebody's objectives are being woken."""
        return self._waking is not None

    def note(self, address: Address) -> None:
        """Record a use in the background, unless one was recorded moments ago.

        Where there are objectives, what was just done may have reached one: they are checked soon.
        """
        if address.has_objectives:
            self._active.add(address.live_lesson_id)
            if self._waking is None:
                self._waking = asyncio.get_running_loop().create_task(self._wake_active())
        now = time.monotonic()
        if now - self._noted.get(address.live_lesson_id, -INTERVAL_SECONDS) < INTERVAL_SECONDS:
            return
        self._noted[address.live_lesson_id] = now
        task = asyncio.get_running_loop().create_task(self._touch(address.live_lesson_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self) -> None:
        """Record the next use of every livelesson, however soon."""
        self._noted.clear()

    async def _wake_active(self) -> None:
        """Wake the objectives of all that were used, in one statement at a time."""
        try:
            while self._active:
                active, self._active = self._active, set()
                self._active |= await self._wake(active)
                await asyncio.sleep(WAKE_SECONDS)
        finally:
            self._waking = None

    async def _wake(self, active: set[UUID]) -> set[UUID]:
        try:
            return set(await self._database.run(objectives_wake, live_lesson_ids=active))
        except DatabaseUnavailable:
            # The next use wakes them.
            return set()

    async def _touch(self, live_lesson_id: UUID) -> None:
        try:
            await self._database.run(live_lesson_touch, live_lesson_id=live_lesson_id)
        except DatabaseUnavailable:
            self._noted.pop(live_lesson_id, None)
        else:
            self._forget_old()

    def _forget_old(self) -> None:
        oldest = time.monotonic() - INTERVAL_SECONDS
        self._noted = {key: at for key, at in self._noted.items() if at >= oldest}
