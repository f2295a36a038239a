"""The SSH server that is the first process of every endpoint.

Its configuration, with passwords in it, arrives on standard input once the network is up; it
prints a line when it listens.
"""

import asyncio
import ctypes
import hmac
import json
import os
import resource
import signal
import sys
from typing import TypedDict, cast

import asyncssh

from scheduler.backends.local.inside.processes import Children, Limits
from scheduler.backends.local.inside.sessions import Sessions

_PR_SET_DUMPABLE = 4
_RESTART_SECONDS = 1.0
_LOGIN_SECONDS = 30
_KEEPALIVE_SECONDS = 60


class Configuration(TypedDict):
    """What ``endpoints.configure_server`` sends."""

    user: str
    home: str
    ports: list[int]
    access_password: str
    credentials: list[list[str]]
    outside_address: str
    search_path: str
    processes: int
    spare_processes: int
    memory_bytes: int
    open_files: int
    web_ports: list[int]
    web_command: list[str]


def main() -> None:
    """Serve until the sandbox ends."""
    # Learners have the same user id; they must not read passwords out of this process.
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The first process of a namespace ignores signals it has no handler for.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    configuration = cast("Configuration", json.load(sys.stdin))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.umask(0o022)
    limit = configuration["processes"] + configuration["spare_processes"]
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    os.chdir(configuration["home"])
    asyncio.run(_serve(configuration))


async def _serve(configuration: Configuration) -> None:
    children = Children(
        Limits(
            processes=configuration["processes"],
            memory_bytes=configuration["memory_bytes"],
            open_files=configuration["open_files"],
        )
    )
    environment = {
        "HOME": configuration["home"],
        "USER": configuration["user"],
        "LOGNAME": configuration["user"],
        "SHELL": "/bin/bash",
        "PATH": configuration["search_path"],
        "LANG": "C.UTF-8",
    }
    sessions = Sessions(children, environment)
    key = asyncssh.generate_private_key("ssh-ed25519")
    for port in configuration["ports"]:
        await asyncssh.listen(
            "0.0.0.0",  # noqa: S104 (all interfaces of the sandbox, which no other network reaches)
            port,
            server_factory=lambda: Authentication(configuration),
            server_host_keys=[key],
            process_factory=sessions.serve,
            sftp_factory=Files,
            allow_scp=True,
            encoding=None,
            line_editor=False,
            login_timeout=_LOGIN_SECONDS,
            keepalive_interval=_KEEPALIVE_SECONDS,
            gss_host=None,
            agent_forwarding=False,
            public_key_auth=False,
            host_based_auth=False,
        )
    os.write(1, b"listening\n")
    if configuration["web_ports"]:
        await _keep_web_server(children, configuration, environment)
    await asyncio.Event().wait()


async def _keep_web_server(
    children: Children, configuration: Configuration, environment: dict[str, str]
) -> None:
    ports = [str(port) for port in configuration["web_ports"]]
    command = [*configuration["web_command"], configuration["home"], *ports]
    # It runs on this server's interpreter, which may need a path to its own library.
    variables = {**os.environ, **environment}
    while True:
        pid = children.spawn(command, variables, configuration["home"], (0, 2, 2))
        await children.wait(pid)
        await asyncio.sleep(_RESTART_SECONDS)


class Authentication(asyncssh.SSHServer):
    """Decide who may come in.

    From outside only the environment's own password counts, because any user of the machine can
    connect to a relay; from the lesson's network the image's own credentials do as well.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self._is_outside = True

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        peer = conn.get_extra_info("peername")[0]
        self._is_outside = peer == self._configuration["outside_address"]

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        accepted = [[self._configuration["user"], self._configuration["access_password"]]]
        if not self._is_outside:
            accepted += self._configuration["credentials"]
        given = f"{username}\0{password}".encode()
        return any(hmac.compare_digest(given, "\0".join(pair).encode()) for pair in accepted)


class Files(asyncssh.SFTPServer):
    """Transfer files, except those that would show this very process."""

    def map_path(self, path: bytes) -> bytes:
        mapped = super().map_path(path)
        resolved = os.path.realpath(mapped)
        if resolved == b"/proc" or resolved.startswith(b"/proc/"):
            raise asyncssh.SFTPPermissionDenied("/proc is not for transfer")
        return mapped
