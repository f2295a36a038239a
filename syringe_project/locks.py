"""Transaction-scoped advisory locks: one run of a kind at a time, whatever the machine."""

import zlib
from enum import IntEnum

from django.db import connection


class AdvisoryLock(IntEnum):
    """What is locked. Never renumber: processes of two versions may run side by side."""

    CURRICULUM_IMPORT = 1
    SWEEP = 2
    COLLECTION = 3
    SESSION_QUOTA = 4
    ADDRESS_QUOTA = 5


def _key(name: str) -> int:
    # Two names on one number only wait for each other, so 32 bits are enough.
    return zlib.crc32(name.encode()) - 2**31


def advisory_lock(kind: AdvisoryLock, name: str = "") -> None:
    """Wait for the lock and hold it until the transaction ends; ``name`` divides the kind."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [int(kind), _key(name)])


def try_advisory_lock(kind: AdvisoryLock, name: str = "") -> bool:
    """Take the lock until the transaction ends, or say that another run holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [int(kind), _key(name)])
        row = cursor.fetchone()
    return bool(row and row[0])
