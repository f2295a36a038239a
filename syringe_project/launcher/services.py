"""The processes of one installation, and how to tell that they work."""

import http.client
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from syringe_project.launcher.ports import LOOPBACK
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.settings import (
    child_environment,
    front_port,
    instance_folder,
    positive_number,
)
from syringe_project.launcher.supervisor import Service

_WEB_THREADS = 4
_COLLECTOR_THREADS = 2
_CHECKER_THREADS = 2
_DEFAULT_WORKER_THREADS = 8
_BUNDLE_THREADS = 8
_DEFAULT_BUNDLE_BIND = "127.0.0.1:8002"
_KUBERNETES_BACKEND_PATH = "scheduler.backends.kubernetes"


class _SocketConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=2)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _is_healthy(connection: http.client.HTTPConnection) -> bool:
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def web_answers(web_socket: Path) -> bool:
    """Say whether the web process serves requests."""
    return _is_healthy(_SocketConnection(web_socket))


def front_door_answers(port: int) -> bool:
    """Say whether the gateway serves requests, and the web process behind it."""
    return _is_healthy(http.client.HTTPConnection(LOOPBACK, port, timeout=2))


def bundle_service_answers(bind: str) -> bool:
    """Say whether the bundle service serves requests."""
    host, _, port = bind.rpartition(":")
    host = LOOPBACK if host == "0.0.0.0" else host
    return _is_healthy(http.client.HTTPConnection(host, int(port), timeout=2))


def application_services(
    environment: PythonEnvironment, settings: Mapping[str, str], logs: Path
) -> list[Service]:
    """Describe web, gateway, the workers, beat, and what pods need where lessons are pods."""
    programs = environment.folder / "bin"
    web_socket = instance_folder(settings) / "web.sock"
    port = front_port(settings)
    instance = settings["SYRINGE_INSTANCE"]
    threads = positive_number(settings, "SYRINGE_WORKER_THREADS", _DEFAULT_WORKER_THREADS)
    variables = child_environment(environment, settings)
    # The checks are made by the migration before; in a worker they would load all of web.
    celery = [str(programs / "celery"), "-A", "syringe_project", "--skip-checks"]

    def worker(queue: str, concurrency: int) -> Service:
        return Service(
            name=f"{queue} worker",
            command=[
                *celery,
                *("worker", "-P", "threads", "-c", str(concurrency), "-Q", queue),
                *("-n", f"{queue}@{instance}", "--without-gossip", "--without-mingle"),
            ],
            environment=variables,
            folder=environment.project,
            log=logs / f"worker-{queue}.log",
        )

    return [
        Service(
            name="web",
            command=[
                *(str(programs / "gunicorn"), "syringe_project.wsgi"),
                *("--bind", f"unix:{web_socket}", "--umask", "0o077"),
                *("--worker-class", "gthread", "--threads", str(_WEB_THREADS)),
                *("--workers", str(min(4, os.cpu_count() or 2))),
                *("--graceful-timeout", "5", "--no-control-socket"),
            ],
            # The gateway is the front door, and the only one who can open the socket.
            environment={**variables, "SYRINGE_TRUSTED_PROXIES": _trusted(settings)},
            folder=environment.project,
            log=logs / "web.log",
            is_ready=lambda _: web_answers(web_socket),
        ),
        Service(
            name="gateway",
            command=[str(environment.python), "-m", "gateway"],
            environment=variables,
            folder=environment.project,
            log=logs / "gateway.log",
            is_ready=lambda _: front_door_answers(port),
        ),
        worker("lifecycle", threads),
        worker("gc", _COLLECTOR_THREADS),
        worker("objectives", _CHECKER_THREADS),
        Service(
            name="beat",
            command=[*celery, "beat"],
            environment=variables,
            folder=environment.project,
            log=logs / "beat.log",
        ),
        *_services_for_pods(environment, settings, logs),
    ]


def _services_for_pods(
    environment: PythonEnvironment, settings: Mapping[str, str], logs: Path
) -> list[Service]:
    """Describe the bundle service, for the backend whose endpoints fetch bundles themselves."""
    if not settings.get("SYRINGE_BACKEND", "").startswith(_KUBERNETES_BACKEND_PATH):
        return []
    bind = settings.get("SYRINGE_BUNDLE_BIND", _DEFAULT_BUNDLE_BIND)
    return [
        Service(
            name="bundle service",
            # Without an access log: the addresses asked for are what opens a bundle.
            command=[
                *(str(environment.folder / "bin" / "gunicorn"), "syringe_project.bundle_wsgi"),
                *("--bind", bind, "--worker-class", "gthread", "--threads", str(_BUNDLE_THREADS)),
                *("--graceful-timeout", "5", "--no-control-socket"),
            ],
            environment=child_environment(environment, settings),
            folder=environment.project,
            log=logs / "bundles.log",
            is_ready=lambda _: bundle_service_answers(bind),
        )
    ]


def _trusted(settings: Mapping[str, str]) -> str:
    given = settings.get("SYRINGE_TRUSTED_PROXIES", "")
    return ",".join(filter(None, ["unix", given]))
