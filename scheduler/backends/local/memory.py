"""Hold endpoints to their memory where no control group does."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from scheduler.backends.local.loop import Loop

_INTERVAL_SECONDS = 0.5
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Watchdog:
    """Kill the largest process of an endpoint whose processes and disk exceed its limit."""

    def __init__(
        self,
        loop: Loop,
        disks: Mapping[str, Path],
        pid_of: Callable[[str], int],
        limit: int,
    ) -> None:
        self._loop = loop
        self._disks = disks
        self._pid_of = pid_of
        self._limit = limit

    def start(self) -> None:
        """Look now and then."""
        self._loop.after(_INTERVAL_SECONDS, self._look)

    def _look(self) -> None:
        families = _families({self._pid_of(name): name for name in self._disks})
        for name, pids in families.items():
            self._hold(name, pids)
        self._loop.after(_INTERVAL_SECONDS, self._look)

    def _hold(self, name: str, pids: list[int]) -> None:
        disk = os.statvfs(self._disks[name])
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        # Resident pages count shared ones several times, so they are only a cheap first look.
        if used + sum(map(_resident, pids)) <= self._limit:
            return
        shares = {pid: _proportional(pid) for pid in pids}
        if used + sum(shares.values()) > self._limit:
            with suppress(ProcessLookupError):
                os.kill(max(shares, key=lambda pid: shares[pid]), signal.SIGKILL)


def _families(roots: Mapping[int, str]) -> dict[str, list[int]]:
    """Return the processes below each root, without bubblewrap and the SSH server themselves."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                parents[int(entry.name)] = int(fields[1])
    families: dict[str, list[int]] = {name: [] for name in roots.values()}
    for pid in parents:
        line = [pid]
        while line[-1] in parents and line[-1] not in roots:
            line.append(parents[line[-1]])
        # The root is bubblewrap and its child the server; what is deeper belongs to learners.
        if line[-1] in roots and len(line) > 2:
            families[roots[line[-1]]].append(pid)
    return families


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def _proportional(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
