"""The system calls that Python 3.11 does not offer, and identities inside a user namespace."""

import ctypes
import os
from pathlib import Path

NEWNS = 0x00020000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000

_MNT_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PIVOT_ROOT_NUMBERS = {"x86_64": 155, "aarch64": 41, "riscv64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Move this process, and for PID namespaces its children, into new namespaces."""
    _call("unshare", flags)


def enter_network(pid: int) -> None:
    """Move this process into the network namespace of another."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("setns", fd, NEWNET)
    finally:
        os.close(fd)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount; an empty ``kind`` is for binds and changes of propagation."""
    _call(
        "mount",
        source.encode(),
        target.encode(),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )


def bind(source: str, target: str) -> None:
    """Make ``source`` with everything mounted below it appear at ``target``."""
    mount(source, target, flags=MS_BIND | MS_REC)


def become_root_folder(folder: str) -> None:
    """Make ``folder`` the root of this mount namespace and forget the old one."""
    os.chdir(folder)
    number = _PIVOT_ROOT_NUMBERS[os.uname().machine]
    _call("syscall", number, b".", b".")
    # Both roots are stacked on "/" now and the old one is on top.
    _call("umount2", b".", _MNT_DETACH)
    os.chdir("/")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when the thread that forked it ends."""
    _call("prctl", _PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def set_dumpable(value: int) -> None:
    """Say whether processes of the same user may look into this one."""
    _call("prctl", _PR_SET_DUMPABLE, value, 0, 0, 0)


def forbid_new_privileges() -> None:
    """Make setuid programs powerless in this process and all it starts."""
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def map_to_root(uid: int, gid: int) -> None:
    """Call the present user root inside the user namespace that was just made."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def drop_root(uid: int) -> None:
    """Become an id that nobody has, keeping the right to map it."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    # Changing ids hides /proc/self, and the maps could not be written.
    set_dumpable(1)


def unused_uid(name: str, uid_map: str) -> int:
    """Choose an id for an environment, the same each time, from what this machine can express.

    Far above what distributions assign; in a container whose map is short, from the range that
    is meant for short-lived services.
    """
    number = int(name[:8], 16)
    longest = max(int(line.split()[2]) for line in uid_map.splitlines())
    if longest > 0x70000000:
        return 0x68000000 + number % 0x00FFFFFF
    return 61_184 + number % 4_336
