"""Descriptions of environments for tests, and ways to wait for and enter them."""

import asyncio
import gzip
import hashlib
import io
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import uuid4

import asyncssh

from scheduler.backends.base import (
    ConnectionSpec,
    EndpointSpec,
    EnvironmentObservation,
    EnvironmentRef,
    EnvironmentSpec,
    ImageSpec,
    LessonSpec,
    Phase,
    PresentationSpec,
    RuntimeBackend,
    StageSpec,
)
from tests.waiting import PATIENCE

SHELL = PresentationSpec(name="cli", port=22, type="ssh")
UTILITY = ImageSpec(
    slug="utility",
    ssh_user="antidote",
    ssh_password="antidotepassword",
    config_user="antidote",
    config_password="antidotepassword",
)

SCRIPT = "print('configured')"
CONFIGURED_FILES = {"stage0/configs/linux1.py": SCRIPT, "stage1/configs/linux1.py": SCRIPT}
"""A script for each of two stages."""

CHECKED_FILES = {
    "checks/made.py": "import os; assert os.environ['OBJECTIVE_OTHER'] == 'a $(value) for $1'"
}
"""A script that judges an objective."""


def bundle_of(files: Mapping[str, str]) -> bytes:
    """Return a lesson's folder as tar.gz."""
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w") as archive,
    ):
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def endpoint(name: str = "linux1", **changes: object) -> EndpointSpec:
    """Return a shell endpoint."""
    return replace(EndpointSpec(name=name, image=UTILITY, presentations=(SHELL,)), **changes)  # type: ignore[arg-type]


def environment(
    *endpoints: EndpointSpec,
    files: Mapping[str, str] | None = None,
    stages: Sequence[Mapping[str, str]] = ({},),
    connections: Sequence[ConnectionSpec] = (),
    slug: str = "contract",
    hidden: Sequence[str] = (),
) -> EnvironmentSpec:
    """Return a new environment; each of ``stages`` maps endpoints to configuration files."""
    bundle = bundle_of(files or {"stage0/guide.md": "# Guide"})
    return EnvironmentSpec(
        ref=EnvironmentRef(uuid4(), 1),
        session_id=uuid4(),
        lesson=LessonSpec(
            slug=slug,
            digest="0" * 64,
            bundle_sha256=hashlib.sha256(bundle).hexdigest(),
            endpoints=endpoints or (endpoint(),),
            stages=tuple(StageSpec(configurations=dict(stage)) for stage in stages),
            connections=tuple(connections),
            hidden=tuple(hidden),
        ),
        access_password=uuid4().hex,
        read_bundle=lambda: bundle,
    )


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> bool:
    """Return whether a condition came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def observe(backend: RuntimeBackend, spec: EnvironmentSpec) -> EnvironmentObservation:
    """Return what the backend says of one environment."""
    return backend.observe([spec.ref])[spec.ref]


def start(
    backend: RuntimeBackend, spec: EnvironmentSpec, seconds: float = PATIENCE
) -> EnvironmentObservation:
    """Start an environment and return what is observed once it has started or failed."""
    backend.ensure(spec)
    wait_until(lambda: observe(backend, spec).phase not in (Phase.STARTING, Phase.ABSENT), seconds)
    return observe(backend, spec)


def end(backend: RuntimeBackend, ref: EnvironmentRef, seconds: float = PATIENCE) -> bool:
    """End an environment; return whether it was gone in time."""
    backend.destroy(ref)
    return wait_until(lambda: backend.observe([ref])[ref].phase == Phase.ABSENT, seconds)


class Result(NamedTuple):
    """How a command in an endpoint ended, and what it printed."""

    code: int | None
    output: str


class Shell:
    """Run commands in a started environment as the gateway would: over SSH."""

    def __init__(self, backend: RuntimeBackend, spec: EnvironmentSpec) -> None:
        self._backend = backend
        self.spec = spec
        self._observation = observe(backend, spec)

    def address(self, name: str, port: int = 22) -> tuple[str, int]:
        """Return where an endpoint's port is reached from this machine."""
        endpoint = self._observation.endpoints[name]
        return endpoint.host, endpoint.ports[port]

    def connect(
        self, name: str, username: str = "", password: str = ""
    ) -> "asyncssh.misc._ACMWrapper[asyncssh.SSHClientConnection]":
        """Open a connection, with the gateway's credentials unless others are given."""
        login = self._backend.login(self.spec, name)
        host, port = self.address(name)
        return asyncssh.connect(
            host,
            port,
            username=username or login.username,
            password=password or login.password,
            known_hosts=None,
            client_keys=None,
            config=None,
            agent_path=None,
            preferred_auth="password",
        )

    def run(self, command: str, name: str = "linux1", seconds: float = PATIENCE) -> Result:
        """Run a command on an endpoint and wait for it."""
        return asyncio.run(self._run(command, name, seconds))

    async def _run(self, command: str, name: str, seconds: float) -> Result:
        async with self.connect(name) as connection:
            process = await connection.run(command, timeout=seconds, stderr=asyncssh.STDOUT)
            return Result(process.returncode, str(process.stdout).strip())
