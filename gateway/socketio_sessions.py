"""One page's Socket.IO session: what it typed, what it is to be shown, and the shell in between.

Transports come and go; they put packets in and take packets out. The session ends when the page
says so, is silent for too long, or has been told that its shell ended. Its shell ends with it:
the page has no way to ask for the same one again.

Events of the page: ``geometry`` (columns, rows), ``resize`` ({cols, rows}) and ``data`` (keys);
the first of them opens the shell. Events for the page: ``data`` (text) and ``ssherror`` (sentence).
"""

import asyncio
import codecs
import contextlib
import secrets
from collections.abc import Callable, Sequence
from uuid import UUID

from gateway.bounded_queue import BoundedQueue
from gateway.database import Database
from gateway.engineio import (
    CLOSE,
    DISCONNECTED,
    NOOP,
    PONG,
    Packet,
    Type,
    event,
    read_event,
)
from gateway.racing import race
from gateway.selectors import Address, granted_terminal_target
from gateway.shell_registry import ShellRegistry
from gateway.shells import End, Shell, Size, Viewer
from gateway.usage import Usage
from livelessons.terminal_tokens import TerminalGrant
from syringe_project.errors import SyringeError

PING_SECONDS = 20.0
"""How often the page is to ping; proxies cut what is silent for a minute."""
PONG_SECONDS = 60.0
"""How long either side then waits: browsers run the timers of hidden pages once a minute."""
UPGRADING_POLL_SECONDS = 0.1
TYPED_BYTES = 256 * 1024
SHOWN_CHARACTERS = 64 * 1024
_EVENT_BYTES = 64
_DISCONNECT = "1"


class Session:
    """A page's terminal. ``gone`` is set at its end, whereupon ``on_gone`` was called."""

    def __init__(
        self,
        grant: TerminalGrant,
        port: int,
        *,
        database: Database,
        shells: ShellRegistry,
        usage: Usage,
        on_gone: Callable[["Session"], None],
    ) -> None:
        self.id = secrets.token_urlsafe(20)
        self.upgraded = False
        self.upgrading = asyncio.Event()
        self.polling = False
        self.posting = False
        self.restarting = False
        self.gone = asyncio.Event()
        self._grant = grant
        self._port = port
        self._address: Address | None = None
        self._database = database
        self._shells = shells
        self._usage = usage
        self._on_gone = on_gone
        self._typed: BoundedQueue[Size | str] = BoundedQueue(TYPED_BYTES)
        self._shown: BoundedQueue[Packet] = BoundedQueue(SHOWN_CHARACTERS)
        self._pong_waits = False
        loop = asyncio.get_running_loop()
        self._heard_at = loop.time()
        self._silence = loop.call_later(PING_SECONDS + PONG_SECONDS, self._end_if_silent)
        self._work = loop.create_task(self._run())

    @property
    def live_lesson_id(self) -> UUID:
        return self._grant.live_lesson_id

    @property
    def finished(self) -> bool:
        """Tell whether all that is left is to show what is here."""
        return self._shown.closed

    def close(self) -> None:
        """End at once; does nothing when it has ended."""
        if self.gone.is_set():
            return
        self.gone.set()
        self._silence.cancel()
        self._work.cancel()
        self._shown.close()
        self._on_gone(self)

    def restart(self) -> None:
        """End in such a way that the page comes back by itself: without the last word."""
        self.restarting = True
        self._work.cancel()
        self._shown.close()

    def heard(self) -> None:
        """Note that the page is there. After the end it has so long to read what is left."""
        if not self.finished:
            self._heard_at = asyncio.get_running_loop().time()

    async def hear(self, packet: Packet) -> None:
        """Take a packet from the page, waiting while the shell does not read."""
        self.heard()
        match packet.type:
            case Type.PING if not self._pong_waits:
                self._pong_waits = True
                self._shown.put_now(PONG)
            case Type.CLOSE:
                self.close()
            case Type.MESSAGE if packet.data == _DISCONNECT:
                self.close()
            case Type.MESSAGE:
                await self._hear_event(packet.data)

    async def _hear_event(self, message: str) -> None:
        match read_event(message):
            case ("geometry", numbers):
                await self._typed.put(_size(numbers) or Size(), _EVENT_BYTES)
            case ("resize", [{"cols": columns, "rows": rows}, *_]):
                if size := _size((columns, rows)):
                    await self._typed.put(size, _EVENT_BYTES)
            case ("data", [str() as keys, *_]):
                if self._address is not None:
                    self._usage.note(self._address)
                await self._typed.put(keys, _EVENT_BYTES + len(keys))

    async def wait(self) -> bool:
        """Wait for something to tell the page; return whether there will ever be more."""
        await self._shown.wait()
        return not self._shown.exhausted

    def take(self) -> list[Packet]:
        """Return everything that the page is to be told."""
        self._pong_waits = False
        return self._shown.take_all()

    async def wait_for_poll(self) -> None:
        """Wait until a poll is to be answered.

        While the page moves to a WebSocket, that is soon: it waits for the end of its poll.
        """
        if self.upgrading.is_set():
            await race(self._shown.wait(), asyncio.sleep(UPGRADING_POLL_SECONDS))
        else:
            await race(self._shown.wait(), self.upgrading.wait())

    def take_for_poll(self) -> list[Packet]:
        """Return what answers a poll, which cannot be nothing."""
        if self.upgraded:
            return [NOOP]
        if self._shown.exhausted:
            self.close()
            return [CLOSE]
        return self.take() or [NOOP]

    def _end_if_silent(self) -> None:
        loop = asyncio.get_running_loop()
        at = self._heard_at + PING_SECONDS + PONG_SECONDS
        if loop.time() >= at:
            self.close()
        else:
            self._silence = loop.call_at(at, self._end_if_silent)

    async def _run(self) -> None:
        try:
            end = await self._use_shell()
            if end is End.SHUTDOWN:
                self.restarting = True
            else:
                self._say(refusal(end.value))
        except SyringeError as exc:
            self._say(refusal(str(exc)))
        finally:
            self._shown.close()
            self._typed.close()

    def _say(self, packets: list[Packet]) -> None:
        for packet in packets:
            self._shown.put_now(packet)

    async def _use_shell(self) -> End:
        """Open a shell when the page asks for it, and return how it ended."""
        await self._typed.wait()
        first = self._typed.take()
        target = await self._database.run(
            granted_terminal_target, grant=self._grant, port=self._port
        )
        self._address = target.address
        self._usage.note(target.address)
        size = first if isinstance(first, Size) else Size()
        shell = await self._shells.open(target, size)
        viewer, _ = self._shells.attach(shell)
        try:
            if isinstance(first, str):
                await _type(shell, first)
            await race(self._type_all(shell), self._show_all(shell, viewer))
        finally:
            self._shells.give_up(shell, viewer)
        return shell.end or End.EXITED

    async def _type_all(self, shell: Shell) -> None:
        while True:
            await self._typed.wait()
            match self._typed.take():
                case Size() as size:
                    shell.resize(size)
                case str() as keys:
                    await _type(shell, keys)

    async def _show_all(self, shell: Shell, viewer: Viewer) -> None:
        # The pieces of the output end anywhere, within a character, too.
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        async with contextlib.aclosing(shell.output(viewer)) as output:
            async for data in output:
                await self._show(decoder.decode(data))
        await self._show(decoder.decode(b"", final=True))

    async def _show(self, text: str) -> None:
        if text:
            await self._shown.put(event("data", text), len(text))


def refusal(sentence: str) -> list[Packet]:
    """Return the last words to a page: why, and that it need not come back."""
    return [event("ssherror", sentence), DISCONNECTED]


async def _type(shell: Shell, keys: str) -> None:
    # Half a surrogate pair has no UTF-8.
    await shell.write(keys.encode(errors="replace"))


def _size(numbers: Sequence[object]) -> Size | None:
    match numbers:
        case [int() | float() as columns, int() | float() as rows, *_]:
            with contextlib.suppress(ValueError, OverflowError):
                return Size.clamped(int(columns), int(rows))
    return None
