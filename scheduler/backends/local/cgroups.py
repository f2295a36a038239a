"""Control groups, where root can make them: version 1 or 2, whichever this machine has.

A supervisor makes them and opens their process lists before it gives up root; afterwards it can
fill but not remove them, so workers do that when an environment is gone.
"""

import os
from contextlib import suppress
from pathlib import Path

from scheduler.backends.local import limits

ROOT = Path("/sys/fs/cgroup")
_CPU_PERIOD = 100_000

_PIDS = limits.PROCESSES + limits.CONTROL_GROUP_SPARE_PROCESSES
_QUOTA = _CPU_PERIOD * limits.CPU_PERCENT // 100
_SETTINGS_1: dict[str, dict[str, str]] = {
    "pids": {"pids.max": str(_PIDS)},
    "memory": {"memory.limit_in_bytes": str(limits.MEMORY_BYTES)},
    "cpu": {"cpu.cfs_period_us": str(_CPU_PERIOD), "cpu.cfs_quota_us": str(_QUOTA)},
}
_SETTINGS_2: dict[str, dict[str, str]] = {
    "pids": {"pids.max": str(_PIDS)},
    "memory": {"memory.max": str(limits.MEMORY_BYTES), "memory.swap.max": "0"},
    "cpu": {"cpu.max": f"{_QUOTA} {_CPU_PERIOD}"},
}


def _is_version_2() -> bool:
    return (ROOT / "cgroup.controllers").exists()


def _hierarchies() -> dict[str, Path]:
    """Return where each controller's groups are made, by controller."""
    if _is_version_2():
        available = set((ROOT / "cgroup.controllers").read_text().split())
        return {name: ROOT for name in _SETTINGS_2 if name in available}
    return {name: ROOT / name for name in _SETTINGS_1 if (ROOT / name / "cgroup.procs").exists()}


class ControlGroups:
    """The open process lists of one environment's groups, by endpoint."""

    def __init__(self) -> None:
        self.controllers: list[str] = []
        self._process_lists: dict[str, list[int]] = {}

    def make(self, instance: str, name: str, members: list[str]) -> None:
        """Make a group per member with its limits; a controller that refuses is left out."""
        for controller, hierarchy in _hierarchies().items():
            try:
                for member in members:
                    fd = _make_group(controller, hierarchy / _family(instance) / name / member)
                    self._process_lists.setdefault(member, []).append(fd)
            except OSError:
                continue
            self.controllers.append(controller)

    def join(self, member: str) -> None:
        """Move the calling process into the member's groups."""
        for fd in self._process_lists.get(member, []):
            os.write(fd, b"0")


def _family(instance: str) -> str:
    return f"syringe-{instance}"


def _make_group(controller: str, path: Path) -> int:
    for _ in range(5):
        # Another environment's end may remove the instance's empty group in between.
        with suppress(FileNotFoundError):
            path.mkdir(parents=True, exist_ok=True)
            break
    if _is_version_2():
        for parent in (ROOT, path.parent.parent, path.parent):
            (parent / "cgroup.subtree_control").write_text(f"+{controller}")
    settings = _SETTINGS_2 if _is_version_2() else _SETTINGS_1
    for file, value in settings[controller].items():
        if (path / file).exists():
            (path / file).write_text(value)
    return os.open(path / "cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)


def remove(instance: str, name: str) -> bool:
    """Remove an environment's groups; False while a process still is in one."""
    gone = True
    for hierarchy in set(_hierarchies().values()):
        family = hierarchy / _family(instance)
        environment = family / name
        if environment.is_dir():
            for path in (
                *[entry for entry in environment.iterdir() if entry.is_dir()],
                environment,
            ):
                with suppress(OSError):
                    path.rmdir()
            gone = gone and not environment.exists()
        with suppress(OSError):
            family.rmdir()
    return gone


def names(instance: str) -> set[str]:
    """Return the names of the environments that have groups."""
    families = [hierarchy / _family(instance) for hierarchy in set(_hierarchies().values())]
    return {
        entry.name
        for family in families
        if family.is_dir()
        for entry in family.iterdir()
        if entry.is_dir()
    }
