"""Start and reap processes as the first process of a PID namespace has to."""

import asyncio
import fcntl
import os
import resource
import signal
import termios
from collections.abc import Mapping, Sequence
from typing import NamedTuple

_ADJUST = 'echo 500 >/proc/self/oom_score_adj; exec "$@"'


class Limits(NamedTuple):
    """What each process may use; ``processes`` counts all of them together."""

    processes: int
    memory_bytes: int
    open_files: int


class Children:
    """All processes below this one, our own and orphans."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[int, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)

    def spawn(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: str,
        files: tuple[int, int, int],
        *,
        terminal: bool = False,
    ) -> int:
        """Start a process in a session of its own and return its pid; raise OSError.

        The kernel ends it before this server when memory runs out. A shell sets that, because
        this process hides from its own children.
        """
        pid = os.fork()
        if pid == 0:
            try:
                os.setsid()
                if terminal:
                    fcntl.ioctl(files[0], termios.TIOCSCTTY, 0)
                for number, fd in enumerate(files):
                    os.dup2(fd, number)
                os.closerange(3, 4096)
                for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL)
                self._limit()
                os.chdir(folder)
                wrapped = ["/bin/sh", "-c", _ADJUST, "sh", *command]
                os.execve("/bin/sh", wrapped, dict(environment))  # noqa: S606 (a shell on purpose)
            finally:
                os._exit(127)
        self._waiting[pid] = self._loop.create_future()
        return pid

    async def wait(self, pid: int) -> int:
        """Return the exit code, negative for a signal."""
        return await self._waiting[pid]

    def _limit(self) -> None:
        for kind, value in (
            (resource.RLIMIT_NPROC, self._limits.processes),
            (resource.RLIMIT_DATA, self._limits.memory_bytes),
            (resource.RLIMIT_NOFILE, self._limits.open_files),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (value, value))

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            future = self._waiting.pop(pid, None)
            if future is not None and not future.done():
                future.set_result(os.waitstatus_to_exitcode(status))
