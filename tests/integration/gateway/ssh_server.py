"""An SSH server with real shells on real PTYs, and what a test wants to know of it."""

import asyncio
import contextlib
import fcntl
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import asyncssh


@dataclass(eq=False)
class SshServer(asyncssh.SSHServer):
    """``delay`` holds up logins; ``passwords`` are those that were tried."""

    port: int = 0
    delay: float = 0.0
    refuses: bool = False
    passwords: list[str] = field(default_factory=list)
    shells: list[asyncio.subprocess.Process] = field(default_factory=list)
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections = {conn for conn in self.connections if not conn.is_closed()}

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        self.passwords.append(password)
        await asyncio.sleep(self.delay)
        return not self.refuses

    async def serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        master, slave = os.openpty()
        # Not by threads: one that waits for a terminal nobody reads could never be stopped.
        os.set_blocking(master, False)
        _resize(master, *process.term_size[:2])

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        shell = await asyncio.create_subprocess_exec(
            "bash", "--norc", "--noprofile", "-i", stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, preexec_fn=take_terminal,
            env={"PS1": "$ ", "TERM": "xterm", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        )  # fmt: skip
        os.close(slave)
        self.shells.append(shell)
        try:
            async with asyncio.TaskGroup() as tasks:
                printing = tasks.create_task(self._print(process, master))
                typing = tasks.create_task(self._type(process, master))
                await asyncio.wait({printing, typing}, return_when=asyncio.FIRST_COMPLETED)
                shell_ended = printing.done()
                printing.cancel()
                typing.cancel()
            if shell_ended:
                process.exit(await shell.wait())
        finally:
            # A mere SIGHUP can get lost: bash does not see one between its prompt and its read.
            os.close(master)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            await shell.wait()

    async def _print(self, process: asyncssh.SSHServerProcess[bytes], master: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            while data := await _read(master):
                process.stdout.write(data)
                await process.stdout.drain()

    async def _type(self, process: asyncssh.SSHServerProcess[bytes], master: int) -> None:
        while True:
            try:
                data = await process.stdin.read(4096)
            except asyncssh.TerminalSizeChanged as change:
                _resize(master, change.width, change.height)
                continue
            except asyncssh.BreakReceived:
                continue
            if not data:
                return
            await _write(master, data)


async def _until(
    add: Callable[[int, Callable[[], None]], None], remove: Callable[[int], bool], master: int
) -> None:
    ready = asyncio.Event()
    add(master, ready.set)
    try:
        await ready.wait()
    finally:
        remove(master)


async def _read(master: int) -> bytes:
    loop = asyncio.get_running_loop()
    while True:
        try:
            return os.read(master, 65536)
        except BlockingIOError:
            await _until(loop.add_reader, loop.remove_reader, master)
        except OSError:
            return b""


async def _write(master: int, data: bytes) -> None:
    loop = asyncio.get_running_loop()
    while data:
        try:
            data = data[os.write(master, data) :]
        except BlockingIOError:
            await _until(loop.add_writer, loop.remove_writer, master)
        except OSError:
            return


def _resize(master: int, columns: int, rows: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@contextlib.asynccontextmanager
async def ssh_server() -> AsyncIterator[SshServer]:
    """Listen on a free loopback port until the block ends."""
    server = SshServer()
    acceptor = await asyncssh.create_server(
        lambda: server, "127.0.0.1", 0, encoding=None, process_factory=server.serve,
        server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
    )  # fmt: skip
    server.port = acceptor.get_port()
    try:
        yield server
    finally:
        for conn in list(server.connections):
            conn.abort()
        for shell in server.shells:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)
            await shell.wait()
        acceptor.close()
        await acceptor.wait_closed()
