"""Running a command over SSH, whatever it prints and however it ends."""

import asyncio
from dataclasses import dataclass
from typing import cast

import asyncssh

from scheduler.checks.scripts import COMMAND

KEPT_BYTES = 64 * 1024
MOST_BYTES = 1024 * 1024
_WINDOW_BYTES = 256 * 1024
_OPEN_SECONDS = 3.0
_LAST_OUTPUT_SECONDS = 1.0


class CommandLost(Exception):
    """The connection broke, so nobody knows what became of the command."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and the end of what it printed.

    ``status`` is None where a signal ended it.
    """

    status: int | None
    output: str


class TookTooLong(Exception):
    """The command did not end within its time; ``output`` is the end of what it printed."""

    def __init__(self, output: str) -> None:
        super().__init__()
        self.output = output


class PrintedTooMuch(Exception):
    """The command printed more than anybody would read."""


class _Session(asyncssh.SSHClientSession[bytes]):
    """Keeps the end of the output and throws away the rest as it comes."""

    def __init__(self) -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status: int | None = None
        self.signal = ""
        self.printed = 0
        self._output = bytearray()

    @property
    def output(self) -> str:
        return self._output[-KEPT_BYTES:].decode(errors="replace")

    @property
    def has_status(self) -> bool:
        return self.status is not None or bool(self.signal)

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.printed += len(data)
        self._output += data[-KEPT_BYTES:]
        if len(self._output) > 2 * KEPT_BYTES:
            del self._output[:-KEPT_BYTES]
        if self.printed > MOST_BYTES:
            self._end()

    def exit_status_received(self, status: int) -> None:
        self.status = status
        self._end_soon()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self.signal = signal
        self._end_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end_soon(self) -> None:
        # The last output may come after the status, or never where a process holds on to it.
        asyncio.get_running_loop().call_later(_LAST_OUTPUT_SECONDS, self._end)

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)


async def run_command(
    connection: asyncssh.SSHClientConnection, script: str, *, timeout_seconds: float
) -> Finished:
    """Have the endpoint's shell read the script; leaving early ends it there.

    Raises CommandLost, TookTooLong or PrintedTooMuch.
    """
    try:
        async with asyncio.timeout(_OPEN_SECONDS):
            channel, made = await connection.create_session(
                _Session, COMMAND, encoding=None, window=_WINDOW_BYTES
            )
            session = cast("_Session", made)
    except TimeoutError:
        raise CommandLost("It opened no session in time.") from None
    except (asyncssh.Error, OSError) as exc:
        raise CommandLost(f"It opened no session: {type(exc).__name__}.") from None
    try:
        channel.write(script.encode())
        async with asyncio.timeout(timeout_seconds):
            await session.ended
    except TimeoutError:
        raise TookTooLong(session.output) from None
    except OSError as exc:
        raise CommandLost(f"The session broke: {type(exc).__name__}.") from None
    finally:
        channel.abort()
    if session.printed > MOST_BYTES:
        raise PrintedTooMuch
    if not session.has_status:
        raise CommandLost("The session ended before the command.")
    return Finished(session.status, session.output)
