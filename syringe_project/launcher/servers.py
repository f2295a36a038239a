"""PostgreSQL and Redis: embedded, or those that the settings name."""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.ports import is_free
from syringe_project.launcher.postgres import EmbeddedPostgres, choose_identity
from syringe_project.launcher.supervisor import Supervisor
from syringe_project.launcher.valkey import EmbeddedValkey

_STANDARD_PORTS = {"postgresql": 5432, "postgres": 5432, "redis": 6379, "rediss": 6379}
_CONNECT_SECONDS = 5
_START_ATTEMPTS = 3
AnyServer = TypeVar("AnyServer", EmbeddedPostgres, EmbeddedValkey)


@dataclass(frozen=True)
class ServersPlan:
    """What is given (empty: embed one), and what an embedded server needs."""

    database_url: str
    redis_url: str
    site_packages: Path
    folder: Path
    logs: Path
    port: Callable[[str], int]
    secret: Callable[[str], str]
    durable: bool = True


@dataclass(frozen=True)
class Servers:
    """Where PostgreSQL and Redis answer."""

    database_url: str
    redis_url: str


def require_answer(variable: str, url: str) -> None:
    """Refuse when nobody listens where a setting says."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or _STANDARD_PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise Refusal(f"{variable} is not an address: {error}.") from error
    if not host or not port:
        # A UNIX socket, or a scheme of the library's own: the first connection will tell.
        return
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise Refusal(
            f"{variable} names {host}:{port}, and nothing answers there ({error}): start that "
            "server, or unset the variable to have one embedded."
        ) from error


def start_servers(console: Console, supervisor: Supervisor, plan: ServersPlan) -> Servers:
    """Have both servers answering."""
    return Servers(
        database_url=_database(console, supervisor, plan),
        redis_url=_redis(console, supervisor, plan),
    )


def _database(console: Console, supervisor: Supervisor, plan: ServersPlan) -> str:
    if plan.database_url:
        with console.step("PostgreSQL answers where SYRINGE_DATABASE_URL says"):
            require_answer("SYRINGE_DATABASE_URL", plan.database_url)
        return plan.database_url
    with console.step("Started PostgreSQL") as step:
        folder = plan.folder / "postgresql"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        identity = choose_identity(plan.site_packages, folder)

        def prepared() -> EmbeddedPostgres:
            server = EmbeddedPostgres(
                site_packages=plan.site_packages,
                folder=folder,
                port=plan.port("postgresql_port"),
                password=plan.secret("postgresql_password"),
                identity=identity,
                durable=plan.durable,
            )
            server.prepare()
            return server

        started = _start_on_free_port(supervisor, prepared, plan.logs)
        step.text = f"Started PostgreSQL on port {started.port}"
        if started.base != folder:
            step.text += f", with its data in {started.base}"
    return started.url


def _redis(console: Console, supervisor: Supervisor, plan: ServersPlan) -> str:
    if plan.redis_url:
        with console.step("Redis answers where SYRINGE_REDIS_URL says"):
            require_answer("SYRINGE_REDIS_URL", plan.redis_url)
        return plan.redis_url
    with console.step("Started Redis") as step:

        def prepared() -> EmbeddedValkey:
            return EmbeddedValkey(
                site_packages=plan.site_packages,
                folder=plan.folder / "redis",
                port=plan.port("redis_port"),
                password=plan.secret("redis_password"),
            )

        started = _start_on_free_port(supervisor, prepared, plan.logs)
        step.text = f"Started Redis on port {started.port}"
    return started.url


def _start_on_free_port(
    supervisor: Supervisor, prepared: Callable[[], AnyServer], logs: Path
) -> AnyServer:
    """Start a server; between choosing a port and using it somebody may have taken it."""
    for _ in range(_START_ATTEMPTS - 1):
        server = prepared()
        service = server.service(logs)
        try:
            supervisor.start(service)
        except Refusal:
            supervisor.stop(service.name)
            if is_free(server.port):
                raise
        else:
            return server
    server = prepared()
    supervisor.start(server.service(logs))
    return server
