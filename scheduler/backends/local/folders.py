"""The folders of an instance on this machine, and who may remove them.

An environment exists as long as its lock is held, which the supervisor's processes inherit from
the worker that started them. So a worker can tell a living environment from what a killed one
left behind, and there is no moment in which a new one looks dead.
"""

import logging
import os
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from scheduler.backends.local import cgroups, locks
from scheduler.backends.local.state import FILE_NAME, State, parse_state

logger = logging.getLogger(__name__)

_REMOVING = ".removing-"
_LOG_TAIL_BYTES = 4000


class EnvironmentFolder:
    """The folder of one environment; it need not exist."""

    def __init__(self, environments: Path, name: str, instance: str) -> None:
        self.path = environments / name
        self.name = name
        self.instance = instance

    @property
    def lock_path(self) -> Path:
        return self.path / "lock"

    @property
    def log_path(self) -> Path:
        return self.path / "supervisor.log"

    @property
    def process_path(self) -> Path:
        """Hold the supervisor's pid and start time."""
        return self.path / "process"

    @property
    def ending_path(self) -> Path:
        """Exist once somebody asked for the environment's end."""
        return self.path / "ending"

    def require_private(self) -> None:
        """Raise PermissionError when somebody else could replace what lies here."""
        for folder in (self.path.parent, *self.path.parent.parents[:2]):
            found = folder.lstat()
            others = stat.S_IWGRP | stat.S_IWOTH
            shared = found.st_mode & others and not found.st_mode & stat.S_ISVTX
            if found.st_uid not in (os.geteuid(), 0) or shared or stat.S_ISLNK(found.st_mode):
                raise PermissionError(f"{folder} is not this user's own folder")

    def claim(self) -> int | None:
        """Make the folder and take its lock, or return None because a supervisor holds it."""
        while True:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.require_private()
            try:
                fd = os.open(self.lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                continue
            if not locks.take(fd):
                os.close(fd)
                return None
            if self._is_present(fd):
                return fd
            os.close(fd)

    def _is_present(self, fd: int) -> bool:
        """Tell whether an open lock is still the one others would find."""
        try:
            return os.path.samestat(os.fstat(fd), self.lock_path.stat())
        except FileNotFoundError:
            return False

    def is_alive(self) -> bool:
        """Tell whether a supervisor, or a worker that is about to start one, holds the lock."""
        try:
            fd = os.open(self.lock_path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            return locks.is_held(fd)
        finally:
            os.close(fd)

    def read_state(self) -> State | None:
        """Return what the supervisor said last; None when it has said nothing yet."""
        # The file belongs to an id without rights, so it must not lead anywhere else.
        try:
            fd = os.open(
                self.path / "state" / FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            )
        except OSError:
            return None
        with os.fdopen(fd, "rb") as file:
            return parse_state(file.read())

    def log_tail(self) -> str:
        """Return the end of what the supervisor printed."""
        try:
            with self.log_path.open("rb") as file:
                file.seek(max(0, self.log_path.stat().st_size - _LOG_TAIL_BYTES))
                return file.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def ending_for(self) -> float:
        """Return for how many seconds the end has been asked for; negative: it has not."""
        try:
            return max(0.0, time.time() - self.ending_path.stat().st_mtime)
        except FileNotFoundError:
            return -1.0

    def remove_remains(self) -> bool:
        """Remove what is left once nobody holds the lock; False while anything still runs."""
        if not self.path.exists():
            return True
        fd = self.claim()
        if fd is None:
            return False
        try:
            if not cgroups.remove(self.instance, self.name):
                return False
            # Others see the folder whole or not at all.
            grave = self.path.with_name(f"{_REMOVING}{uuid4().hex}")
            self.path.rename(grave)
            shutil.rmtree(grave, ignore_errors=True)
        finally:
            os.close(fd)
        return True


class InstanceFolders:
    """Everything that an instance's local backend keeps on this machine."""

    def __init__(self, instance_folder: Path, instance: str) -> None:
        self.environments = instance_folder / "environments"
        self.bundles = instance_folder / "bundles"
        self.instance = instance

    def environment(self, name: str) -> EnvironmentFolder:
        """Return the folder of the environment with this name."""
        return EnvironmentFolder(self.environments, name, self.instance)

    def present(self) -> Iterator[EnvironmentFolder]:
        """List every environment's folder, and finish removals that a killed worker began."""
        for name in cgroups.names(self.instance):
            # Somebody removed the folder by hand; it always exists before the groups do.
            if not (self.environments / name).exists():
                cgroups.remove(self.instance, name)
        if not self.environments.is_dir():
            return
        for path in sorted(self.environments.iterdir()):
            if path.name.startswith(_REMOVING):
                shutil.rmtree(path, ignore_errors=True)
            elif path.is_dir():
                yield self.environment(path.name)
