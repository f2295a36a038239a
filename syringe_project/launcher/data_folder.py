"""The folder ``.data``: what one installation remembers between two starts."""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from syringe_project.launcher.console import Refusal
from syringe_project.launcher.ports import free_port, is_free


class DataFolder:
    """Files of one installation, readable by its owner only.

    Whoever holds the lock is the only launcher of this folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: int | None = None
        self.was_killed = False

    @property
    def key(self) -> str:
        """What tells this folder from all others on the machine."""
        return hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:8]

    @property
    def environment_file(self) -> Path:
        """Where ``./manage.py`` finds the settings."""
        return self.path / "environment"

    @property
    def logs(self) -> Path:
        """Where the processes' output goes."""
        return self.path / "logs"

    def make(self) -> None:
        """Make the folder, or refuse when that is impossible."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Refusal(f"{self.path} cannot be made: {error.strerror}.") from error
        if self.path.stat().st_uid != os.geteuid():
            raise Refusal(
                f"{self.path} belongs to another user: start Syringe as that user, or name "
                "another folder with `make up DATA=path`."
            )

    def lock(self) -> None:
        """Become the only launcher here; refuse when there is one."""
        descriptor = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise Refusal(
                f"Syringe already runs here, at {self.address()}: use that, or stop it with "
                "Ctrl-C in its terminal."
            ) from None
        # A launcher that stops in order leaves the file empty.
        self.was_killed = os.fstat(descriptor).st_size > 0
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._lock = descriptor

    def unlock(self) -> None:
        """Let another launcher in, after everything has been stopped."""
        if self._lock is not None:
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = None

    def is_locked(self) -> bool:
        """Say whether a launcher works here."""
        try:
            descriptor = os.open(self.path / "lock", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def address(self) -> str:
        """Return where the running installation answers."""
        return f"http://localhost:{self.settings().get('SYRINGE_PORT', '8000')}"

    def _write(self, name: str, text: str) -> None:
        """Replace a file in one step, closed to others from the first byte."""
        new = self.path / f"{name}.new"
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        new.replace(self.path / name)

    def _remembered(self) -> dict[str, str]:
        try:
            remembered: dict[str, str] = json.loads((self.path / "remembered.json").read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise Refusal(
                f"{self.path / 'remembered.json'} is damaged, and with it the key and passwords "
                f"of this installation: restore it, or remove {self.path} to start afresh."
            ) from error
        return remembered

    def _remember(self, name: str, value: str) -> None:
        text = json.dumps({**self._remembered(), name: value}, indent=1)
        self._write("remembered.json", text)

    def secret(self, name: str, *, characters: int = 40) -> str:
        """Return the secret of this name, made at its first use."""
        known = self._remembered().get(name)
        if known is None:
            known = secrets.token_hex(characters // 2)
            self._remember(name, known)
        return known

    def port(self, name: str) -> int:
        """Return the port of this name, the same at every start unless somebody took it."""
        known = self._remembered().get(name)
        if known is not None and is_free(int(known)):
            return int(known)
        port = free_port()
        self._remember(name, str(port))
        return port

    def write_settings(self, settings: Mapping[str, str]) -> None:
        """Write the settings for processes that the launcher does not start."""
        lines = [f"{name}={quote(value)}\n" for name, value in sorted(settings.items())]
        self._write("environment", "".join(lines))

    def settings(self) -> dict[str, str]:
        """Read back what ``write_settings`` wrote."""
        try:
            lines = self.environment_file.read_text().splitlines()
        except FileNotFoundError:
            return {}
        pairs = (line.partition("=") for line in lines)
        return {name: unquote(value) for name, _, value in pairs}


def quote(value: str) -> str:
    """Write a value as dotenv files want it; refuse what they cannot hold."""
    if "\n" in value or "${" in value:
        raise Refusal("A setting may hold neither line breaks nor `${`.")
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def unquote(value: str) -> str:
    """Undo ``quote``."""
    return value[1:-1].replace("\\'", "'").replace("\\\\", "\\")


def make_run_folder(path: Path) -> None:
    """Make the folder of sockets and sandboxes; refuse one that somebody else put there."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.is_symlink() or path.stat().st_uid != os.geteuid():
        raise Refusal(
            f"{path} belongs to another user: name another folder with SYRINGE_RUN_FOLDER."
        )
    path.chmod(0o700)
