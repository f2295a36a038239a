"""What happens in an SSH session: a terminal or a command, pumped to its last byte."""

import asyncio
import fcntl
import os
import pty
import signal
import struct
import termios
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import asyncssh

from scheduler.backends.local.inside.processes import Children

_CHUNK = 65_536
_IDLE_SECONDS = 0.2
_GONE = (asyncssh.Error, ConnectionError, OSError)


class Sessions:
    """Serve sessions as one user."""

    def __init__(self, children: Children, environment: Mapping[str, str]) -> None:
        self._children = children
        self._environment = environment

    async def serve(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Run what the client asks for until it ends or the client has gone."""
        environment = self._session_environment(process)
        try:
            if process.term_type:
                code = await self._terminal(process, environment)
            else:
                code = await self._command(process, environment)
        except _GONE:
            return
        with suppress(*_GONE):
            if code < 0:
                process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                process.exit(code)

    def _session_environment(self, process: "asyncssh.SSHServerProcess[bytes]") -> dict[str, str]:
        environment = dict(self._environment)
        for name, value in process.env.items():
            text = _as_text(name)
            if text == "LANG" or text.startswith("LC_"):
                environment[text] = _as_text(value)
        if process.term_type:
            environment["TERM"] = process.term_type
        return environment

    def _program(self, process: "asyncssh.SSHServerProcess[bytes]") -> list[str]:
        if process.command is None:
            return ["/bin/bash", "-l"]
        return ["/bin/bash", "-c", process.command]

    async def _terminal(
        self, process: "asyncssh.SSHServerProcess[bytes]", environment: dict[str, str]
    ) -> int:
        master, slave = pty.openpty()
        try:
            _resize(master, process.term_size)
            pid = self._children.spawn(
                self._program(process),
                environment,
                environment["HOME"],
                (slave, slave, slave),
                terminal=True,
            )
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        output = _Pump(master, process.stdout)
        typing = asyncio.create_task(_type(process, master, pid))
        try:
            return await self._run(process, pid, [output])
        finally:
            await _cancel(typing)
            os.close(master)

    async def _command(
        self, process: "asyncssh.SSHServerProcess[bytes]", environment: dict[str, str]
    ) -> int:
        ends: list[int] = []
        for _ in range(3):
            ends += os.pipe2(os.O_CLOEXEC)
        stdin_inside, stdin, stdout, stdout_inside, stderr, stderr_inside = ends
        try:
            pid = self._children.spawn(
                self._program(process),
                environment,
                environment["HOME"],
                (stdin_inside, stdout_inside, stderr_inside),
            )
        finally:
            for fd in (stdin_inside, stdout_inside, stderr_inside):
                os.close(fd)
        for fd in (stdin, stdout, stderr):
            os.set_blocking(fd, False)
        pumps = [_Pump(stdout, process.stdout), _Pump(stderr, process.stderr)]
        feeding = asyncio.create_task(_feed(process, stdin, pid))
        try:
            return await self._run(process, pid, pumps)
        finally:
            await _cancel(feeding)
            for fd in (stdout, stderr):
                os.close(fd)

    async def _run(
        self, process: "asyncssh.SSHServerProcess[bytes]", pid: int, pumps: "list[_Pump]"
    ) -> int:
        """Wait for the program's end and for all it wrote; hang up when the client goes first."""
        gone = asyncio.create_task(process.channel.wait_closed())
        ended = asyncio.create_task(self._children.wait(pid))
        try:
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGHUP)
                raise ConnectionResetError("the client has gone")
            for pump in pumps:
                await pump.finish()
            return ended.result()
        finally:
            for pump in pumps:
                await pump.stop()
            for task in (gone, ended):
                await _cancel(task)


class _Pump:
    """Carry everything from a file to the client, no faster than the client takes it."""

    def __init__(self, fd: int, writer: "asyncssh.SSHWriter[bytes]") -> None:
        self._fd = fd
        self._writer = writer
        self._moved = 0
        self._delivering = False
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                data = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                await _ready(self._fd, write=False)
                continue
            except OSError:
                # A terminal whose last program has closed it.
                return
            if not data:
                return
            self._moved += len(data)
            self._delivering = True
            self._writer.write(data)
            await self._writer.drain()
            self._delivering = False
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Wait for the file's end, or for silence: background programs may keep it open."""
        while not self._task.done():
            before = self._moved
            await asyncio.wait({self._task}, timeout=_IDLE_SECONDS)
            if self._moved == before and not self._delivering:
                return
        if not self._task.cancelled() and self._task.exception() is not None:
            raise ConnectionResetError("the client has gone")

    async def stop(self) -> None:
        """Give up what has not been carried."""
        await _cancel(self._task)


async def _type(process: "asyncssh.SSHServerProcess[bytes]", master: int, pid: int) -> None:
    """Carry keystrokes, sizes and signals from the client to a terminal."""
    while not process.stdin.at_eof():
        try:
            data = await process.stdin.read(_CHUNK)
        except asyncssh.TerminalSizeChanged as change:
            _resize(master, change.term_size)
            continue
        except asyncssh.BreakReceived:
            continue
        except asyncssh.SignalReceived as received:
            _send_signal(pid, received.signal)
            continue
        except _GONE:
            return
        await _write(master, data)


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", stdin: int, pid: int) -> None:
    """Carry the client's input to a command, and its end too."""
    try:
        while not process.stdin.at_eof():
            try:
                data = await process.stdin.read(_CHUNK)
            except (asyncssh.TerminalSizeChanged, asyncssh.BreakReceived):
                continue
            except asyncssh.SignalReceived as received:
                _send_signal(pid, received.signal)
                continue
            await _write(stdin, data)
    except _GONE:
        return
    finally:
        os.close(stdin)


def _send_signal(pid: int, name: str) -> None:
    number = getattr(signal, f"SIG{name.removeprefix('SIG')}", None)
    if isinstance(number, signal.Signals):
        with suppress(ProcessLookupError):
            os.killpg(pid, number)


async def _write(fd: int, data: bytes) -> None:
    """Write all, waiting while the program does not read; what nobody can read is dropped."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            await _ready(fd, write=True)
        except OSError:
            return


async def _ready(fd: int, *, write: bool) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    (loop.add_writer if write else loop.add_reader)(fd, wake)
    try:
        await future
    finally:
        (loop.remove_writer if write else loop.remove_reader)(fd)


async def _cancel(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, *_GONE):
        await task


def _resize(master: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = (min(max(value, 0), 0xFFFF) for value in size)
    packed = struct.pack("HHHH", rows, columns, width, height)
    with suppress(OSError):
        fcntl.ioctl(master, termios.TIOCSWINSZ, packed)


def _as_text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
