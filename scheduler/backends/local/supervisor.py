"""The process that owns one livelesson on this machine.

S0 binds the relays' listeners where learners connect from, gives up root if it has it, and makes
the lesson's namespaces. S1, the first process in them, is ``keeper``: it builds the network,
starts a sandbox per endpoint and configures them. When S0 dies the kernel kills S1, and with the
first process of a PID namespace everything in it, however deep.

A worker starts it with the numbers of the inherited lock and bundle as arguments and the plan on
standard input.
"""

import fcntl
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn, cast

from scheduler.backends.local import keeper, namespaces, rootfs
from scheduler.backends.local.causes import StartFailure, step
from scheduler.backends.local.cgroups import ControlGroups
from scheduler.backends.local.plan import Plan
from scheduler.backends.local.state import FILE_NAME, EndpointState, State, StateFile

CONTROL_SOCKET = "control.sock"

_LOOK_SECONDS = 5.0


def main() -> None:
    """Run S0."""
    lock_fd, bundle_fd = int(sys.argv[1]), int(sys.argv[2])
    for fd in (lock_fd, bundle_fd):
        fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    plan = cast("Plan", json.load(sys.stdin))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD})
    folder = Path(plan["folder"])
    (folder / "process").write_text(f"{os.getpid()} {process_start(os.getpid())}")
    if (folder / "ending").exists():
        return
    _raise_file_limit()
    inherited = _open_outside(plan, folder, bundle_fd)
    try:
        _isolate(plan, folder)
        pid = _start_keeper(plan, inherited)
    except StartFailure as failure:
        inherited.state_file.fail("backend_unavailable", str(failure))
        return
    # From here only S1 holds them, so that connections are refused when it has gone.
    inherited.control.close()
    for ports in inherited.listeners.values():
        for listener in ports.values():
            listener.close()
    _watch(pid, lock_fd, inherited.state_file)


def _open_outside(plan: Plan, folder: Path, bundle_fd: int) -> keeper.Inherited:
    """Open what cannot be opened from inside, and say for the first time what there is."""
    uid = plan["uid"]
    _prepare_folders(folder, uid)
    listeners = {
        endpoint["name"]: {port: _listener() for port in endpoint["ports"]}
        for endpoint in plan["endpoints"]
    }
    groups = ControlGroups()
    if uid is not None:
        members = [*(endpoint["name"] for endpoint in plan["endpoints"]), keeper.JOBS_MEMBER]
        groups.make(plan["instance"], plan["name"], members)
    state_fd = os.open(folder / "state", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    state_file = StateFile(state_fd, _first_state(listeners, groups.controllers))
    state_file.write()
    if uid is not None:
        os.chown(folder / "state" / FILE_NAME, uid, uid)
    return keeper.Inherited(_control_socket(folder), listeners, bundle_fd, groups, state_file)


def _start_keeper(plan: Plan, inherited: keeper.Inherited) -> int:
    """Fork S1 and return its pid."""
    lifeline, lifeline_end = os.pipe2(os.O_CLOEXEC)
    with step("namespaces"):
        pid = os.fork()
    if pid == 0:
        os.close(lifeline_end)
        _run_keeper(plan, lifeline, inherited)
    # The other end stays open as long as this process lives.
    os.close(lifeline)
    return pid


def process_start(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; with the pid it is unique."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _prepare_folders(folder: Path, uid: int | None) -> None:
    for name in ("root", "state"):
        (folder / name).mkdir(exist_ok=True)
    if uid is not None:
        os.chown(folder / "state", uid, uid)


def _listener() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    return listener


def _control_socket(folder: Path) -> socket.socket:
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Addresses of sockets are short and folders need not be.
    here = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    control.bind(f"/proc/self/fd/{here}/{CONTROL_SOCKET}")
    os.close(here)
    control.listen(16)
    return control


def _first_state(
    listeners: dict[str, dict[int, socket.socket]], control_groups: list[str]
) -> State:
    endpoints = {
        name: EndpointState(
            phase="starting",
            reason="pending",
            message="",
            ports={str(port): listener.getsockname()[1] for port, listener in ports.items()},
            log_tail="",
        )
        for name, ports in listeners.items()
    }
    return State(
        phase="starting",
        reason="pending",
        message="",
        endpoints=endpoints,
        jobs={},
        control_groups=control_groups,
    )


def _isolate(plan: Plan, folder: Path) -> None:
    """Leave the machine: the same place is reached with and without root's rights."""
    uid = plan["uid"]
    if uid is not None:
        with step("mounts"):
            namespaces.unshare(namespaces.NEWNS)
        with step("root folder"):
            rootfs.build(folder / "root", folder / "state", plan["host"])
        with step("identity"):
            namespaces.drop_root(uid)
    uid_outside, gid_outside = os.geteuid(), os.getegid()
    with step("namespaces"):
        namespaces.unshare(
            namespaces.NEWUSER
            | namespaces.NEWNS
            | namespaces.NEWNET
            | namespaces.NEWPID
            | namespaces.NEWIPC
            | namespaces.NEWUTS
        )
    with step("identity"):
        namespaces.map_to_root(uid_outside, gid_outside)
    if uid is None:
        with step("root folder"):
            rootfs.build(folder / "root", folder / "state", plan["host"])


def _run_keeper(plan: Plan, lifeline: int, inherited: keeper.Inherited) -> NoReturn:
    """Be S1, and never return into S0's code."""
    status = 1
    try:
        namespaces.die_with_parent(signal.SIGKILL)
        if select.select([lifeline], [], [], 0)[0]:
            # S0 ended before the kernel was told to pass its death on.
            os._exit(status)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGCHLD})
        # The first process of a namespace ignores signals it has no handler for.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        keeper.run(plan, inherited)
    except StartFailure as failure:
        inherited.state_file.fail("backend_unavailable", str(failure))
    except BaseException as error:  # noqa: BLE001 (the boundary of the process)
        traceback.print_exc()
        inherited.state_file.fail("internal", f"the supervisor failed: {error!r}")
    finally:
        os._exit(status)


def _watch(pid: int, lock_fd: int, state_file: StateFile) -> None:
    """Wait for S1's end, or end it when S0 is told to, or when its folder has been removed."""
    while True:
        received = signal.sigtimedwait({signal.SIGTERM, signal.SIGCHLD}, _LOOK_SECONDS)
        number = received.si_signo if received else 0
        if number == signal.SIGTERM or os.fstat(lock_fd).st_nlink == 0:
            os.kill(pid, signal.SIGKILL)
            # Returns when every process of the namespace is gone.
            os.waitpid(pid, 0)
            return
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            if os.waitstatus_to_exitcode(status) < 0:
                state_file.reload()
                state_file.fail("crashed", "the supervisor of the lesson's sandboxes was killed")
            return
