"""Every shell of this gateway: how many a livelesson may have, and when each has to end."""

import asyncio
import contextlib
from collections import defaultdict
from uuid import UUID

from gateway.selectors import TerminalTarget, has_ended
from gateway.shells import End, Shell, Size, Viewer
from gateway.watching import Watcher
from livelessons.models import LiveLesson
from syringe_project.errors import TooMany

GRACE_SECONDS = 60.0
SHELLS_PER_LIVELESSON = 12


class TooManyTerminals(TooMany):
    code = "too_many_terminals"
    template = "This lesson already has {limit} terminals open. Close one to open another."


class ShellRegistry:
    """Opens shells within a livelesson's limit and ends them with its environment.

    A shell that was left waits a while for its viewer to come back.
    """

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._shells: dict[str, Shell] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._opening: defaultdict[UUID, int] = defaultdict(int)
        self._guards: dict[UUID, asyncio.Task[None]] = {}

    @property
    def shells(self) -> list[Shell]:
        """Every shell, whether somebody looks at it or not."""
        return list(self._shells.values())

    @property
    def left_count(self) -> int:
        """How many shells wait for their browser to come back."""
        return len(self._expiries)

    def find(self, shell_id: str) -> Shell | None:
        """Return a shell that has not ended."""
        shell = self._shells.get(shell_id)
        return shell if shell is not None and shell.end is None else None

    async def open(self, target: TerminalTarget, size: Size) -> Shell:
        """Open a shell; raise TooManyTerminals or EndpointUnreachable."""
        live_lesson_id = target.address.live_lesson_id
        self._make_room(live_lesson_id)
        self._opening[live_lesson_id] += 1
        try:
            shell = await Shell.open(target, size)
        finally:
            self._opening[live_lesson_id] -= 1
            if not self._opening[live_lesson_id]:
                del self._opening[live_lesson_id]
        self._shells[shell.id] = shell
        if live_lesson_id not in self._guards:
            self._guards[live_lesson_id] = asyncio.get_running_loop().create_task(
                self._guard(live_lesson_id)
            )
        return shell

    def attach(self, shell: Shell, window: int | None = None) -> tuple[Viewer, int]:
        """Become the shell's one viewer, as ``Shell.attach`` does."""
        if expiry := self._expiries.pop(shell.id, None):
            expiry.cancel()
        return shell.attach(window)

    def leave(self, shell: Shell, viewer: Viewer) -> None:
        """Stop viewing a shell that may be asked for again."""
        if not shell.detach(viewer):
            return
        if shell.end is not None:
            self._forget(shell)
        else:
            self._expiries[shell.id] = asyncio.get_running_loop().call_later(
                GRACE_SECONDS, self._forget, shell
            )

    def give_up(self, shell: Shell, viewer: Viewer) -> None:
        """Stop viewing a shell that nobody can ask for again."""
        if shell.detach(viewer):
            self._forget(shell)

    def close(self) -> None:
        """End every shell and stop watching."""
        for guard in self._guards.values():
            guard.cancel()
        for expiry in self._expiries.values():
            expiry.cancel()
        for shell in self._shells.values():
            shell.close(End.SHUTDOWN)

    def _make_room(self, live_lesson_id: UUID) -> None:
        """Give up the shell that was left first; raise TooManyTerminals when all are in use."""
        shells = self._shells_of(live_lesson_id)
        if len(shells) + self._opening[live_lesson_id] < SHELLS_PER_LIVELESSON:
            return
        left = [shell for shell in shells if shell.id in self._expiries]
        if not left:
            raise TooManyTerminals(limit=SHELLS_PER_LIVELESSON)
        self._forget(min(left, key=lambda shell: self._expiries[shell.id].when()))

    def _shells_of(self, live_lesson_id: UUID) -> list[Shell]:
        return [
            shell
            for shell in self._shells.values()
            if shell.address.live_lesson_id == live_lesson_id
        ]

    def _forget(self, shell: Shell) -> None:
        if expiry := self._expiries.pop(shell.id, None):
            expiry.cancel()
        self._shells.pop(shell.id, None)
        shell.close(End.LEFT)
        live_lesson_id = shell.address.live_lesson_id
        if not self._shells_of(live_lesson_id) and (
            guard := self._guards.pop(live_lesson_id, None)
        ):
            guard.cancel()

    async def _guard(self, live_lesson_id: UUID) -> None:
        """Close the livelesson's shells when their environment goes."""
        async with contextlib.aclosing(self._watcher.follow(live_lesson_id)) as changes:
            async for live_lesson in changes:
                for shell in self._shells_of(live_lesson_id):
                    if end := _end_of_environment(shell, live_lesson):
                        shell.close(end)
                        if shell.viewer is None:
                            self._forget(shell)


def _end_of_environment(shell: Shell, live_lesson: LiveLesson | None) -> End | None:
    if live_lesson is None or has_ended(live_lesson):
        return End.LESSON_ENDED
    return End.LESSON_RESTARTED if live_lesson.attempt != shell.address.attempt else None
