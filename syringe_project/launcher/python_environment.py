"""The virtual environment in ``.venv``: made once, brought up to date when its sources change."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.system_packages import ensure_packages

_INSTALL_SECONDS = 1800


class CommandFailed(Exception):
    """A program ended with an error; the message is the end of what it printed."""


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_INSTALL_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise CommandFailed("\n".join(done.stdout.strip().splitlines()[-15:]))


@dataclass(frozen=True)
class PythonEnvironment:
    """The environment of one checkout.

    Requirement files are hashed, and pip refuses ``-e .`` beside hashes, so each file is
    installed by itself and the project after them, without its dependencies.
    """

    project: Path

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self.project / ".venv"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def site_packages(self) -> Path:
        """Where wheels are unpacked."""
        found = sorted(self.folder.glob("lib/python3*/site-packages"))
        if not found:
            raise Refusal(f"{self.folder} is not a Python environment: remove it and start again.")
        return found[-1]

    def ensure(self, console: Console, *, development: bool = False) -> None:
        """Bring the environment up to date; does nothing when it is."""
        with self._alone():
            if not self._works():
                self._create(console)
            self._install_file(console, "requirements.txt")
            if development:
                self._install_file(console, "requirements-dev.txt")
            self._install_project(console)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        # Two commands started at once in a fresh checkout must not both install.
        descriptor = os.open(self.project, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _works(self) -> bool:
        if not self.python.exists():
            return False
        if self._stamp("place").exists() and self._is_stamped("place", b""):
            return True
        probe = [str(self.python), "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        works = subprocess.run(probe, capture_output=True, timeout=60, check=False).returncode == 0
        # The scripts in bin/ name their interpreter absolutely: a moved checkout breaks them.
        if works and not self._stamp("place").exists():
            self._write_stamp("place", b"")
            return True
        return False

    def _create(self, console: Console) -> None:
        with console.step("Made the Python environment .venv"):
            shutil.rmtree(self.folder, ignore_errors=True)
            uv = shutil.which("uv")
            if importlib.util.find_spec("ensurepip") is not None:
                command = [sys.executable, "-m", "venv", str(self.folder)]
            elif uv is not None:
                command = [uv, "venv", "--quiet", "--python", sys.executable, str(self.folder)]
            else:
                # Debian keeps the part of the standard library that installs pip in a package.
                major, minor = sys.version_info[:2]
                ensure_packages(console, [f"python{major}.{minor}-venv"])
                command = [sys.executable, "-m", "venv", str(self.folder)]
            try:
                _run(command, self.project)
            except CommandFailed as error:
                raise Refusal(f"Python could not make the environment .venv: {error}") from error
            self._write_stamp("place", b"")

    def _install_file(self, console: Console, name: str) -> None:
        source = (self.project / name).read_bytes()
        if self._is_stamped(name, source):
            return
        count = sum(1 for line in source.splitlines() if b"==" in line and line[:1].isalnum())
        with console.step(
            f"Installed the {count} Python packages of {name}",
            announce=f"Installing the {count} Python packages of {name} (a minute or two)",
        ):
            self._install(["--require-hashes", "-r", name], what=f"the packages of {name}")
            self._write_stamp(name, source)

    def _install_project(self, console: Console) -> None:
        source = (self.project / "pyproject.toml").read_bytes()
        if self._is_stamped("project", source):
            return
        with console.step("Installed the project itself"):
            self._install(["--no-deps", "-e", "."], what="the project")
            self._write_stamp("project", source)

    def _install(self, arguments: list[str], *, what: str) -> None:
        """Install with uv where it is, else or if it fails with pip, which knows pip's settings."""
        uv = shutil.which("uv")
        if uv is not None:
            # Compiled now, because endpoints of lessons cannot keep what they would compile.
            options = ["--quiet", "--compile-bytecode", "--python", str(self.python)]
            command = [uv, "pip", "install", *options, *arguments]
            try:
                _run(command, self.project)
            except CommandFailed:
                pass
            else:
                return
        pip = [str(self.python), "-m", "pip"]
        try:
            if not (self.site_packages / "pip").is_dir():
                _run([str(self.python), "-m", "ensurepip"], self.project)
            _run(
                [*pip, "install", "--quiet", "--disable-pip-version-check", *arguments],
                self.project,
            )
        except CommandFailed as error:
            raise Refusal(f"pip could not install {what}:\n{error}") from error

    def _stamp(self, name: str) -> Path:
        return self.folder / f"syringe-{name}.stamp"

    def _digest(self, source: bytes) -> str:
        return hashlib.sha256(str(self.folder).encode() + b"\0" + source).hexdigest()

    def _is_stamped(self, name: str, source: bytes) -> bool:
        try:
            return self._stamp(name).read_text() == self._digest(source)
        except FileNotFoundError:
            return False

    def _write_stamp(self, name: str, source: bytes) -> None:
        self._stamp(name).write_text(self._digest(source))
