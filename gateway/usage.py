"""Noting that a livelesson is used, seldom enough to cost nothing."""

import asyncio
import logging
import time
from uuid import UUID

from gateway.database import Database
from livelessons.services import live_lesson_touch
from syringe_project.api import DatabaseUnavailable

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 20.0


class Usage:
    """Remembers when each livelesson was last noted as used."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._noted: dict[UUID, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, live_lesson_id: UUID) -> None:
        """Record a use in the background, unless one was recorded moments ago."""
        now = time.monotonic()
        if now - self._noted.get(live_lesson_id, -INTERVAL_SECONDS) < INTERVAL_SECONDS:
            return
        self._noted[live_lesson_id] = now
        task = asyncio.get_running_loop().create_task(self._touch(live_lesson_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self) -> None:
        """Record the next use of every livelesson, however soon."""
        self._noted.clear()

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
