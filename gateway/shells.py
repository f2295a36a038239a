"""SSH shells on endpoints, each with the end of its output, whether somebody looks or not."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from enum import Enum
from typing import Self

import asyncssh

from gateway.scrollback import Scrollback
from gateway.selectors import Address, TerminalTarget
from syringe_project.errors import Unavailable

CONNECT_TIMEOUT_SECONDS = 5.0
LOGIN_TIMEOUT_SECONDS = 10.0
KEEPALIVE_SECONDS = 15
CLOSE_TIMEOUT_SECONDS = 2.0
SCROLLBACK_BYTES = 256 * 1024
READ_BYTES = 32 * 1024
# What the SSH library may hold on top; its default is 2 MB a shell.
WINDOW_BYTES = 256 * 1024


class EndpointUnreachable(Unavailable):
    code = "endpoint_unreachable"
    template = "The terminal could not reach {endpoint}: {reason}"


class End(Enum):
    """How a shell ended, as a sentence for learners."""

    EXITED = "The shell ended."
    LOST = "The connection to the endpoint was lost."
    LESSON_ENDED = "The lesson has ended."
    LESSON_RESTARTED = "The lesson was restarted, and this shell went with it."
    LEFT = "Nobody came back to this terminal."
    SHUTDOWN = "The gateway is restarting."


@dataclass(frozen=True, slots=True)
class Size:
    """A terminal's size in characters."""

    columns: int = 80
    rows: int = 24

    @classmethod
    def clamped(cls, columns: int, rows: int) -> Self:
        """Return a size that no program chokes on."""
        return cls(min(max(columns, 2), 1000), min(max(rows, 1), 1000))


@dataclass(slots=True, eq=False)
class Viewer:
    """One browser looking at a shell: how far it has read, and whether it still may.

    With a ``window`` it is sent at most so many bytes beyond those that it said it has shown.
    """

    place: int
    window: int | None = None
    shown: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    replaced: asyncio.Event = field(default_factory=asyncio.Event)


class Shell:
    """One shell on one endpoint. At most one viewer reads it; without one its output goes on."""

    def __init__(
        self,
        address: Address,
        connection: asyncssh.SSHClientConnection,
        process: asyncssh.SSHClientProcess[bytes],
    ) -> None:
        self.id = secrets.token_urlsafe(12)
        self.address = address
        self.viewer: Viewer | None = None
        self.end: End | None = None
        self._connection = connection
        self._process = process
        self._scrollback = Scrollback(SCROLLBACK_BYTES)
        self._room = asyncio.Event()
        self._pump = asyncio.get_running_loop().create_task(self._read_for_ever())

    @classmethod
    async def open(cls, target: TerminalTarget, size: Size) -> Self:
        """Log in and start a shell; raise EndpointUnreachable saying why not."""
        address = target.address
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS + LOGIN_TIMEOUT_SECONDS):
                connection = await asyncssh.connect(
                    address.host,
                    address.relayed_port,
                    username=target.login.username,
                    password=target.login.password,
                    # Endpoints are fresh and make their keys when they start.
                    known_hosts=None,
                    client_keys=None,
                    agent_path=None,
                    config=None,
                    preferred_auth=("password", "keyboard-interactive"),
                    connect_timeout=CONNECT_TIMEOUT_SECONDS,
                    login_timeout=LOGIN_TIMEOUT_SECONDS,
                    keepalive_interval=KEEPALIVE_SECONDS,
                )
                try:
                    process = await connection.create_process(
                        term_type="xterm-256color",
                        term_size=(size.columns, size.rows),
                        encoding=None,
                        stderr=asyncssh.STDOUT,
                        window=WINDOW_BYTES,
                    )
                except BaseException:
                    connection.abort()
                    raise
        except TimeoutError:
            raise EndpointUnreachable(
                endpoint=address.endpoint, reason="it did not answer in time."
            ) from None
        except asyncssh.PermissionDenied:
            raise EndpointUnreachable(
                endpoint=address.endpoint, reason="it refused the login."
            ) from None
        except (asyncssh.Error, OSError) as exc:
            raise EndpointUnreachable(
                endpoint=address.endpoint, reason=f"{type(exc).__name__}."
            ) from exc
        return cls(address, connection, process)

    @property
    def bytes_taken(self) -> int:
        """How much output was taken from the shell so far."""
        return self._scrollback.end

    def attach(self, window: int | None = None) -> tuple[Viewer, int]:
        """Become the one viewer, and return it with the bytes of old output it will read first."""
        if self.viewer is not None:
            self.viewer.replaced.set()
        start = self._scrollback.replay_start()
        viewer = Viewer(place=start, window=window, shown=start)
        viewer.news.set()
        self.viewer = viewer
        self._room.set()
        return viewer, self._scrollback.end - viewer.place

    def detach(self, viewer: Viewer) -> bool:
        """Stop viewing; tell whether nobody looks now."""
        if self.viewer is viewer:
            self.viewer = None
            self._room.set()
        return self.viewer is None

    def acknowledge(self, viewer: Viewer, count: int) -> None:
        """Note that the viewer has shown so many bytes more."""
        viewer.shown = min(viewer.shown + count, viewer.place)
        viewer.news.set()

    async def output(self, viewer: Viewer) -> AsyncGenerator[bytes, None]:
        """Yield what the viewer has not read yet, until the shell ends."""
        while self.viewer is viewer:
            wanted = READ_BYTES
            if viewer.window is not None:
                wanted = min(wanted, viewer.shown + viewer.window - viewer.place)
            if wanted > 0 and (data := self._scrollback.read(viewer.place, wanted)):
                yield data
                viewer.place += len(data)
                self._room.set()
            elif self.end is not None and viewer.place == self._scrollback.end:
                return
            else:
                viewer.news.clear()
                await viewer.news.wait()

    async def write(self, data: bytes) -> None:
        """Type into the shell, waiting while it does not read."""
        with contextlib.suppress(BrokenPipeError, ConnectionError, asyncssh.Error):
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    def resize(self, size: Size) -> None:
        """Tell the shell how large its terminal is."""
        if self.end is None:
            self._process.change_terminal_size(size.columns, size.rows)

    def announce(self, line: bytes) -> None:
        """Put a line of ours into the output."""
        self._scrollback.append(line)

    def close(self, end: End) -> None:
        """End the shell; its viewer learns the reason. Does nothing when it ended before."""
        self._finish(end)
        self._pump.cancel()

    def _finish(self, end: End) -> None:
        if self.end is None:
            self.end = end
            if self.viewer is not None:
                self.viewer.news.set()

    async def _read_for_ever(self) -> None:
        try:
            while data := await self._process.stdout.read(READ_BYTES):
                while not self._room_for(data):
                    self._room.clear()
                    await self._room.wait()
                self._scrollback.append(data)
                if self.viewer is not None:
                    self.viewer.news.set()
            self._finish(End.EXITED)
        except (asyncssh.Error, OSError):
            self._finish(End.LOST)
        finally:
            self._connection.close()
            with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
                async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                    await self._connection.wait_closed()
            self._connection.abort()

    def _room_for(self, data: bytes) -> bool:
        """Tell whether nothing is forgotten that the viewer has not read."""
        if self.viewer is None:
            return True
        return self._scrollback.end - self.viewer.place + len(data) <= SCROLLBACK_BYTES
