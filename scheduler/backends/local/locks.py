"""Locks that live as long as any process that inherited them.

Open file description locks survive fork and exec and can be asked about without taking them,
which neither ``flock`` nor POSIX locks offer together.
"""

import fcntl
import os
import struct

_LOCK = struct.Struct("hhqqi4x")


def _request(kind: int) -> bytes:
    return _LOCK.pack(kind, os.SEEK_SET, 0, 0, 0)


def take(fd: int) -> bool:
    """Take the lock of an open file; False when another description holds it."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK))
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_held(fd: int) -> bool:
    """Tell whether another open file description holds the lock, without taking it."""
    answer: bytes = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK))
    kind: int = _LOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK
