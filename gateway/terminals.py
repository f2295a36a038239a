"""Browser terminals: ``/terminals/{livelesson id}/{endpoint}/{presentation}`` over WebSocket.

The protocol. Binary frames carry bytes of the terminal, both ways. Text frames carry one JSON
object each:

from the browser
    ``{"type": "resize", "cols": 80, "rows": 24}``
    ``{"type": "shown", "bytes": N}``: so many more bytes of output are on the screen. Only with
    ``window`` in the query.
from the gateway
    ``{"type": "terminal", "id": ID, "resumed": true, "replay": N}``: always first. With
    ``resumed`` it is the shell that was asked for and the first N bytes are old output: clear the
    screen, and do not send what the screen itself answers to them.
    ``{"type": "error", "code": NAME, "detail": SENTENCE}``: right before closing.

The query may hold ``cols`` and ``rows``, and ``terminal=ID`` to get back a shell within a minute
of losing it. A shell that is gone by then, perhaps because the gateway was restarted, is replaced
by a new one whose first line says so. Each connection without ``terminal`` gets a shell of its
own; the newest that asks for a shell takes it over.

A browser cannot slow down a WebSocket. So that its screen can slow down the shell, the query may
hold ``window=BYTES``: at most so many bytes are sent beyond those it said it has shown.

Close codes are those of ``Close``; who is calling is in ``gateway.credentials``.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from enum import IntEnum
from urllib.parse import parse_qs
from uuid import UUID

from gateway.asgi import ClientGone, Receive, Scope, Send
from gateway.credentials import SUBPROTOCOL, credentials_of
from gateway.database import Database
from gateway.selectors import terminal_target
from gateway.shell_registry import ShellRegistry
from gateway.shells import End, Shell, Size, Viewer
from gateway.usage import Usage
from livelessons.errors import LiveLessonEnded, SessionNotFound
from syringe_project.errors import Conflict, NotFound, SyringeError, TooMany

MIN_WINDOW_BYTES = 4096
CLOSE_TIMEOUT_SECONDS = 2.0
_NEW_SHELL_LINE = b"\x1b[2mYour earlier shell is gone; this is a new one.\x1b[0m\r\n"


class Close(IntEnum):
    """Why a terminal's WebSocket was closed; the reason is a sentence for learners."""

    SHELL_ENDED = 1000
    RESTARTING = 1012
    INVALID = 4400
    NO_SESSION = 4401
    NOT_FOUND = 4404
    TAKEN_OVER = 4408
    NOT_NOW = 4409
    LESSON_ENDED = 4410
    TOO_MANY = 4429
    UNREACHABLE = 4502


_CODES = {
    End.EXITED: Close.SHELL_ENDED,
    End.LOST: Close.UNREACHABLE,
    End.LESSON_ENDED: Close.LESSON_ENDED,
    End.LESSON_RESTARTED: Close.NOT_NOW,
    End.LEFT: Close.SHELL_ENDED,
    End.SHUTDOWN: Close.RESTARTING,
}
_CATEGORIES: list[tuple[type[SyringeError], Close]] = [
    (SessionNotFound, Close.NO_SESSION),
    (NotFound, Close.NOT_FOUND),
    (TooMany, Close.TOO_MANY),
    (LiveLessonEnded, Close.LESSON_ENDED),
    (Conflict, Close.NOT_NOW),
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a browser asks for."""

    live_lesson_id: UUID
    endpoint: str
    presentation: str
    terminal: str
    size: Size
    window: int | None

    @classmethod
    def read(cls, scope: Scope, live_lesson_id: UUID, endpoint: str, presentation: str) -> "Wanted":
        """Read the query; raise ValueError for what makes no sense."""
        query: dict[str, list[str]] = parse_qs(scope["query_string"].decode("latin-1"))

        def value(name: str, default: str) -> str:
            return query.get(name, [default])[-1]

        size = Size.clamped(int(value("cols", "80")), int(value("rows", "24")))
        window = max(int(value("window", "0")), MIN_WINDOW_BYTES) if "window" in query else None
        return cls(live_lesson_id, endpoint, presentation, value("terminal", ""), size, window)


class Terminals:
    """The WebSockets that look at shells."""

    def __init__(self, database: Database, shells: ShellRegistry, usage: Usage) -> None:
        self._database = database
        self._shells = shells
        self._usage = usage

    async def serve(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        live_lesson_id: UUID,
        endpoint: str,
        presentation: str,
    ) -> None:
        """Serve one WebSocket from handshake to close."""
        await receive()
        credentials = credentials_of(scope)
        if credentials.foreign_origin:
            await send({"type": "websocket.close"})
            return
        offered = SUBPROTOCOL in scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if offered else None})
        try:
            wanted = Wanted.read(scope, live_lesson_id, endpoint, presentation)
            shell, resumed = await self._shell_for(wanted, credentials.secret)
        except ValueError:
            await _close(send, Close.INVALID, "invalid", "The numbers in the query make no sense.")
        except SyringeError as exc:
            await _close(send, _close_code(exc), exc.code, str(exc))
        else:
            await self._connect(shell, wanted, resumed, receive, send)

    async def _shell_for(self, wanted: Wanted, secret: str) -> tuple[Shell, bool]:
        if not secret:
            raise SessionNotFound
        target = await self._database.run(
            terminal_target,
            secret=secret,
            live_lesson_id=wanted.live_lesson_id,
            endpoint=wanted.endpoint,
            presentation=wanted.presentation,
        )
        self._usage.note(target.address)
        shell = self._shells.find(wanted.terminal)
        if shell is not None and shell.address == target.address:
            shell.resize(wanted.size)
            return shell, True
        shell = await self._shells.open(target, wanted.size)
        if wanted.terminal:
            shell.announce(_NEW_SHELL_LINE)
        return shell, False

    async def _connect(
        self, shell: Shell, wanted: Wanted, resumed: bool, receive: Receive, send: Send
    ) -> None:
        """Be the shell's viewer until the shell, the browser or a newer viewer ends that."""
        viewer, replay = self._shells.attach(shell, wanted.window)
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[object]] = set()
        try:
            hello = {"type": "terminal", "id": shell.id, "resumed": resumed, "replay": replay}
            await send({"type": "websocket.send", "text": json.dumps(hello)})
            reading = loop.create_task(self._read(shell, viewer, receive))
            writing = loop.create_task(_write(shell, viewer, send))
            replaced = loop.create_task(viewer.replaced.wait())
            tasks |= {reading, writing, replaced}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if viewer.replaced.is_set():
                writing.cancel()
                await _close(
                    send, Close.TAKEN_OVER, "taken_over", "This terminal was opened elsewhere."
                )
            elif reading.done():
                reading.result()
            else:
                writing.result()
                end = shell.end or End.EXITED
                await _close(send, _CODES[end], end.name.lower(), end.value)
        except (ClientGone, OSError):
            pass  # The browser went; its shell waits for it.
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._shells.leave(shell, viewer)

    async def _read(self, shell: Shell, viewer: Viewer, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                raise ClientGone
            if data := message.get("bytes"):
                self._usage.note(shell.address)
                await shell.write(data)
            else:
                match _control(message.get("text") or ""):
                    case Size() as size:
                        shell.resize(size)
                    case int() as count:
                        shell.acknowledge(viewer, count)


async def _write(shell: Shell, viewer: Viewer, send: Send) -> None:
    async with contextlib.aclosing(shell.output(viewer)) as output:
        async for data in output:
            await send({"type": "websocket.send", "bytes": data})


async def _close(send: Send, close: Close, code: str, detail: str) -> None:
    """Say why and close, but do not wait for a browser that reads nothing."""
    error = {"type": "error", "code": code, "detail": detail}
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await send({"type": "websocket.send", "text": json.dumps(error)})
            # The reason of a close frame has at most 123 bytes.
            reason = detail.encode()[:120].decode(errors="ignore")
            await send({"type": "websocket.close", "code": int(close), "reason": reason})


def _close_code(error: SyringeError) -> Close:
    for category, close in _CATEGORIES:
        if isinstance(error, category):
            return close
    return Close.UNREACHABLE


def _control(text: str) -> Size | int | None:
    """Read a message: a new size, or how many bytes were shown; None for anything else."""
    try:
        message = json.loads(text)
        match message["type"]:
            case "resize":
                return Size.clamped(int(message["cols"]), int(message["rows"]))
            case "shown":
                return max(0, int(message["bytes"]))
            case _:
                return None
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
