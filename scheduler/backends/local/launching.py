"""Start one sandbox: a process in a network namespace of its own that becomes bubblewrap."""

import os
import resource
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from scheduler.backends.local import namespaces, network
from scheduler.backends.local.cgroups import ControlGroups
from scheduler.backends.local.plan import InterfacePlan

_IP = "/usr/sbin/ip"
_BWRAP = "/usr/bin/bwrap"


class Launched(NamedTuple):
    """A started sandbox: its standard input to write to and its outputs to read from."""

    pid: int
    stdin: int
    stdout: int
    stderr: int


def run_ip(lines: Sequence[str], *, inside: int | None = None) -> None:
    """Have ``ip`` do all lines, in this network namespace or in that of a process.

    Raise OSError with what it printed. The caller's event loop stands still meanwhile, which
    takes milliseconds.
    """
    wait_ip(start_ip(lines, inside=inside))


class Running(NamedTuple):
    """A run of ``ip`` that has not been waited for."""

    pid: int
    errors: int


def start_ip(
    lines: Sequence[str], *, inside: int | None = None, settings: dict[str, str] | None = None
) -> Running:
    """Begin what ``run_ip`` does, after writing kernel settings of that network namespace."""
    errors, errors_inside = os.pipe2(os.O_CLOEXEC)
    text_fd = os.memfd_create("ip", os.MFD_CLOEXEC)
    os.write(text_fd, "".join(f"{line}\n" for line in lines).encode())
    os.lseek(text_fd, 0, os.SEEK_SET)
    pid = os.fork()
    if pid == 0:
        try:
            os.dup2(errors_inside, 2)
            os.dup2(text_fd, 0)
            if inside is not None:
                namespaces.enter_network(inside)
            for name, value in (settings or {}).items():
                path = Path("/proc/sys/net", name)
                if path.exists():
                    path.write_text(value)
            os.execve(_IP, ["ip", "-batch", "-"], {"PATH": "/usr/sbin:/usr/bin"})  # noqa: S606 (no shell is wanted)
        except OSError as error:
            os.write(2, str(error).encode())
        finally:
            os._exit(127)
    os.close(errors_inside)
    os.close(text_fd)
    return Running(pid, errors)


def wait_ip(running: Running) -> None:
    """Wait for a run of ``ip``; raise OSError with what it printed when it failed."""
    with os.fdopen(running.errors, "rb") as file:
        printed = file.read().decode(errors="replace").strip()
    _, status = os.waitpid(running.pid, 0)
    if status != 0:
        number = 95 if "not supported" in printed.lower() else 0
        raise OSError(number, f"ip: {printed}")


def launch(
    arguments: Sequence[str],
    command: Sequence[str],
    environment: dict[str, str],
    *,
    groups: ControlGroups,
    member: str,
    gated: bool,
) -> Launched:
    """Start bubblewrap; return once its network namespace exists.

    ``gated``: it waits for a byte on its standard input before it begins, and prints errors
    where it prints everything else. Otherwise it begins at once, while its network is still being
    made, because the program reads its configuration from standard input anyway.
    """
    stdin_inside, stdin = os.pipe2(os.O_CLOEXEC)
    stdout, stdout_inside = os.pipe2(os.O_CLOEXEC)
    stderr, stderr_inside = os.pipe2(os.O_CLOEXEC)
    ready, ready_inside = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            namespaces.unshare(namespaces.NEWNET)
            groups.join(member)
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            os.dup2(stdin_inside, 0)
            os.dup2(stdout_inside, 1)
            os.dup2(stderr_inside, 2)
            os.write(ready_inside, b"+")
            if gated:
                os.close(stdin)
                if not os.read(0, 1):
                    os._exit(125)
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(1, 2)
            os.execve(_BWRAP, ["bwrap", *arguments, "--", *command], environment)  # noqa: S606 (no shell is wanted)
        except OSError as error:
            os.write(2, str(error).encode())
        finally:
            os._exit(126)
    for fd in (stdin_inside, stdout_inside, stderr_inside, ready_inside):
        os.close(fd)
    with os.fdopen(ready, "rb") as file:
        if not file.read(1):
            os.waitpid(pid, 0)
            with os.fdopen(stderr, "rb") as errors:
                raise OSError(0, errors.read().decode(errors="replace"))
    return Launched(pid, stdin, stdout, stderr)


def start_network(
    launched: Launched, interfaces: Sequence[InterfacePlan], *, forwarding: bool = False
) -> Running:
    """Begin to bring up a sandbox's interfaces; wait with ``wait_ip``."""
    return start_ip(
        network.interface_lines(interfaces),
        inside=launched.pid,
        settings=network.kernel_settings(forwarding=forwarding),
    )
