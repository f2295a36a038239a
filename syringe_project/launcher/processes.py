"""Starting programs so that they cannot outlive the launcher unnoticed."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
_LOG_BYTES = 10 * 1024 * 1024


def die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what a child calls before it becomes its program.

    The kernel sends the signal when the THREAD that started the child ends, so the launcher
    starts everything from its only thread; that also makes running Python after fork safe.
    """
    parent = os.getpid()

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def open_log(path: Path) -> IO[bytes]:
    """Open a log for appending, keeping one older file once it has grown large."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "ab", buffering=0)


def log_tail(path: Path, lines: int) -> str:
    """Return the last lines of a log, indented."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, path.stat().st_size - 16384))
            text = log.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(f"    {line}" for line in text.strip().splitlines()[-lines:])


def spawn(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    death_signal: signal.Signals = signal.SIGKILL,
    standard_input: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own, so that the terminal's Ctrl-C reaches only us."""
    with open_log(log) as output:
        process = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.PIPE if standard_input else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),  # noqa: PLW1509  (one thread: see above)
        )
    if process.stdin is not None:
        try:
            process.stdin.write(standard_input)
            process.stdin.close()
        except BrokenPipeError:
            # It ended at once; whoever waits for it will see that.
            pass
    return process


def stop(
    process: subprocess.Popen[bytes], *, stop_signal: signal.Signals, limit_seconds: float
) -> None:
    """Ask a program to end, and kill it with what it started when it does not."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            kill_session(process)
            process.wait(10)


def kill_session(process: subprocess.Popen[bytes]) -> None:
    """Kill a program that ``spawn`` started, and its children."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
