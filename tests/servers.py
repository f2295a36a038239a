"""A PostgreSQL or Redis of a test's own, which it may flush, stop and start as it likes."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from syringe_project.launcher.ports import free_port
from syringe_project.launcher.postgres import EmbeddedPostgres, choose_identity
from syringe_project.launcher.processes import spawn
from syringe_project.launcher.supervisor import Service
from syringe_project.launcher.valkey import EmbeddedValkey
from tests.waiting import PATIENCE, wait_until

SITE_PACKAGES = Path(sysconfig.get_paths()["purelib"])


class OwnServer:
    """One server process with its data in a folder of its own."""

    def __init__(self, kind: str) -> None:
        # Short, because the path of a UNIX socket has at most 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="syringe-", dir="/tmp"))
        server = self._postgresql() if kind == "postgresql" else self._redis()
        self.url = server.url
        self._service: Service = server.service(self._folder)
        self._process: subprocess.Popen[bytes] | None = None

    def _postgresql(self) -> EmbeddedPostgres:
        folder = self._folder / "postgresql"
        folder.mkdir(mode=0o700)
        server = EmbeddedPostgres(
            site_packages=SITE_PACKAGES,
            folder=folder,
            port=free_port(),
            password=secrets.token_hex(20),
            identity=choose_identity(SITE_PACKAGES, folder),
        )
        server.prepare()
        return server

    def _redis(self) -> EmbeddedValkey:
        return EmbeddedValkey(
            site_packages=SITE_PACKAGES,
            folder=self._folder / "redis",
            port=free_port(),
            password=secrets.token_hex(20),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGKILL if value else None)
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it answers."""
        service = self._service
        process = spawn(
            service.command,
            environment=service.environment,
            folder=service.folder,
            log=service.log,
            death_signal=service.death_signal,
            standard_input=service.standard_input,
        )
        self._process = process
        wait_until(lambda: service.is_ready(process.pid), what=service.name)

    def freeze(self) -> None:
        """Let the server answer nothing while its connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the server go on after ``freeze``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self, number: signal.Signals | None = None) -> None:
        """Stop the server, politely unless a signal is named, and wait for its end."""
        if self._process is not None:
            self._process.send_signal(number or self._service.stop_signal)
            self._process.wait(PATIENCE)
            self._process = None
