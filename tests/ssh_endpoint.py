"""An endpoint's SSH server with real shells, for checks: in a thread of a test, or a process.

Anybody may log in, unless it ``refuses``. As a program it prints its port and serves until it is
told to end; it can stand for many endpoints, which it tells apart by their passwords::

    python -m tests.ssh_endpoint FOLDER [--home-of-each]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncssh

from tests.waiting import FOR_EVER, PATIENCE


class _Server(asyncssh.SSHServer):
    def __init__(self, endpoint: SshEndpoint) -> None:
        self._endpoint = endpoint
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._endpoint.connections.append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        if self._connection is not None:
            self._connection.set_extra_info(home=self._endpoint.home_of(password))
        return not self._endpoint.refuses


class SshEndpoint:
    """Serves on a loopback port while it is entered; commands begin in ``home``.

    ``shell`` is that of the login. Entered again it serves on the same port with another key, as
    after a restart.
    """

    def __init__(self, home: Path, *, home_of_each: bool = False) -> None:
        self.home = home
        self._home_of_each = home_of_each
        self.port = 0
        self.refuses = False
        self.shell = "/bin/sh"
        self.connections: list[asyncssh.SSHServerConnection] = []
        self._loop: asyncio.AbstractEventLoop
        self._commands: set[asyncio.Task[None]] = set()
        self._endings: set[asyncio.Task[None]] = set()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result(PATIENCE)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self.close(), self._loop).result(PATIENCE)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(PATIENCE)
        self._loop.close()

    def home_of(self, password: str) -> Path:
        """Return where commands of whoever has this password begin."""
        return self.home / password if self._home_of_each else self.home

    async def listen(self) -> None:
        """Serve on the running loop."""
        self._acceptor = await asyncssh.create_server(
            lambda: _Server(self), "127.0.0.1", self.port, encoding=None,
            process_factory=self._serve, backlog=1000,
            server_host_keys=[asyncssh.generate_private_key("ssh-ed25519")],
        )  # fmt: skip
        self.port = self._acceptor.get_port()

    async def close(self) -> None:
        """End every connection."""
        for connection in self.connections:
            connection.abort()
        self.connections.clear()
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        await asyncio.gather(*self._commands)
        serving = asyncio.all_tasks() - {asyncio.current_task()} - self._endings
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
        await asyncio.gather(*self._endings)

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        # It ends with its connection, and is not cancelled before: asyncio may wait without end
        # for a process whose start is cancelled.
        command = asyncio.create_task(self._run(process))
        self._commands.add(command)
        command.add_done_callback(self._commands.discard)
        await asyncio.shield(command)

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        # A session of its own and no word at the end of the connection, as with OpenSSH.
        home = process.channel.get_connection().get_extra_info("home")
        shell = await asyncio.create_subprocess_exec(
            self.shell, "-c", process.command or "exec sh",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT, start_new_session=True, cwd=home,
            env={"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        pipes = shell.stdin, shell.stdout
        assert pipes[0] is not None
        assert pipes[1] is not None
        feeding = asyncio.create_task(_feed(process, pipes[0]))
        printing = asyncio.create_task(_print(process, pipes[1]))
        gone = asyncio.create_task(process.channel.wait_closed())
        ended = asyncio.create_task(_end(shell, printing))
        try:
            await asyncio.wait({gone, ended}, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                process.exit(ended.result())
        finally:
            tasks = (feeding, printing, gone, ended)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            ending = asyncio.create_task(_leave(shell, pipes[0], pipes[1]))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)


async def _end(shell: asyncio.subprocess.Process, printing: asyncio.Task[None]) -> int:
    status = await shell.wait()
    await printing
    return status


async def _leave(
    shell: asyncio.subprocess.Process, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader
) -> None:
    """Close the command's files as OpenSSH does; it has to notice by itself."""
    stdin.close()
    try:
        async with asyncio.timeout(FOR_EVER):
            while await stdout.read(65536):
                pass
            await shell.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        await shell.wait()


async def _feed(process: asyncssh.SSHServerProcess[bytes], stdin: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await process.stdin.read(65536):
            stdin.write(data)
            await stdin.drain()
    stdin.close()


async def _print(process: asyncssh.SSHServerProcess[bytes], stdout: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while data := await stdout.read(65536):
            process.stdout.write(data)
            await process.stdout.drain()


async def _serve_until_told() -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    endpoint = SshEndpoint(Path(sys.argv[1]), home_of_each="--home-of-each" in sys.argv)
    await endpoint.listen()
    print(endpoint.port, flush=True)
    await stopped.wait()
    await endpoint.close()


if __name__ == "__main__":
    asyncio.run(_serve_until_told())
