"""Running a command over SSH, whatever it prints and however it ends."""

import asyncio
from dataclasses import dataclass
from typing import cast

import asyncssh

from scheduler.checks.scripts import COMMAND, what_was_printed

KEPT_BYTES = 64 * 1024
_MARKS_BYTES = 256
"""Room for what says how the command ended."""

MOST_BYTES = 1024 * 1024
_WINDOW_BYTES = 256 * 1024
_OPEN_SECONDS = 3.0
_LAST_OUTPUT_SECONDS = 1.0


class CommandLost(Exception):
    """Nobody knows what became of the command: the connection broke, or it was not run."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, and the end of what it printed."""

    status: int
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
        self.printed = 0
        self._output = bytearray()

    @property
    def output(self) -> str:
        return self._output.decode(errors="replace")

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        self.printed += len(data)
        self._output += data
        if len(self._output) > 2 * KEPT_BYTES:
            del self._output[: -(KEPT_BYTES + _MARKS_BYTES)]
        if self.printed > MOST_BYTES:
            self._end()

    def exit_status_received(self, status: int) -> None:
        self._end_soon()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
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
    connection: asyncssh.SSHClientConnection, text: str, *, mark: str, timeout_seconds: float
) -> Finished:
    """Have the endpoint's shell read a ``check_script``; leaving early ends it there.

    Only what stands between its marks counts, whatever the shell exits with. Raises
    CommandLost, TookTooLong or PrintedTooMuch.
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
        channel.write(text.encode())
        async with asyncio.timeout(timeout_seconds):
            await session.ended
    except TimeoutError:
        printed, _ = what_was_printed(session.output, mark=mark)
        raise TookTooLong(printed[-KEPT_BYTES:]) from None
    except OSError as exc:
        raise CommandLost(f"The session broke: {type(exc).__name__}.") from None
    finally:
        channel.abort()
    if session.printed > MOST_BYTES:
        raise PrintedTooMuch
    printed, status = what_was_printed(session.output, mark=mark)
    if status is None:
        raise CommandLost("The session ended before the command did, or without running it.")
    return Finished(status, printed[-KEPT_BYTES:])
