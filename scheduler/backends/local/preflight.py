"""Find out, by building a real environment, whether this machine can run lessons."""

import compileall
import gzip
import hashlib
import io
import tarfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from scheduler.backends.base import (
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
from scheduler.backends.local.host import host_plan
from syringe_project.errors import SyringeError

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAMS = {
    "/usr/bin/bwrap": "bubblewrap (0.8 or newer)",
    "/usr/sbin/ip": "iproute2",
    "/usr/bin/setsid": "util-linux",
    "/usr/bin/prlimit": "util-linux",
    "/bin/bash": "bash",
}
"""What sandboxes need of the machine, with the Debian package that has it."""

_TRIAL_SECONDS = 15.0
_POLL_SECONDS = 0.02


def missing_programs(exists: "Callable[[str], bool]") -> list[str]:
    """Name each program that is not there, with the package to install."""
    return [
        f"{program} is missing: install the package {package}."
        for program, package in PROGRAMS.items()
        if not exists(program)
    ]


def problems(backend: RuntimeBackend) -> Sequence[str]:
    """Name what prevents ``backend`` from working here; an empty answer comes from a real run."""
    missing = missing_programs(lambda path: Path(path).exists())
    if missing:
        return missing
    _compile()
    spec = _trial()
    try:
        backend.ensure(spec)
        return _outcome(_settle(backend, spec.ref))
    except SyringeError as error:
        return [str(error)]
    finally:
        _remove(backend, spec.ref)


def _compile() -> None:
    """Keep compiled the packages that every endpoint imports; some installers do not."""
    for path in map(Path, [*host_plan()["packages"], host_plan()["inside"]]):
        if path.is_dir():
            compileall.compile_dir(path, quiet=2)
        elif path.suffix == ".py":
            compileall.compile_file(path, quiet=2)


def _trial() -> EnvironmentSpec:
    content = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w"),
    ):
        pass
    bundle = content.getvalue()
    return EnvironmentSpec(
        ref=EnvironmentRef(uuid4(), 0),
        session_id=uuid4(),
        lesson=LessonSpec(
            slug="preflight",
            digest="",
            bundle_sha256=hashlib.sha256(bundle).hexdigest(),
            endpoints=(
                EndpointSpec(
                    name="trial",
                    image=ImageSpec(slug="utility"),
                    presentations=(PresentationSpec(name="shell", port=22, type="ssh"),),
                ),
            ),
            stages=(StageSpec(),),
        ),
        access_password=uuid4().hex,
        read_bundle=lambda: bundle,
    )


def _settle(backend: RuntimeBackend, ref: EnvironmentRef) -> EnvironmentObservation:
    """Observe until the environment is more than starting, or the trial's time is over."""
    end = time.monotonic() + _TRIAL_SECONDS
    while True:
        observation = backend.observe([ref])[ref]
        if observation.phase != Phase.STARTING or time.monotonic() > end:
            return observation
        time.sleep(_POLL_SECONDS)


def _outcome(observation: EnvironmentObservation) -> list[str]:
    if observation.phase == Phase.RUNNING:
        return []
    if observation.phase == Phase.STARTING:
        return [f"A trial sandbox did not start within {_TRIAL_SECONDS:g} seconds."]
    return [observation.message or "A trial sandbox ended without saying why."]


def _remove(backend: RuntimeBackend, ref: EnvironmentRef) -> None:
    end = time.monotonic() + _TRIAL_SECONDS
    backend.destroy(ref)
    while backend.observe([ref])[ref].phase != Phase.ABSENT and time.monotonic() < end:
        time.sleep(_POLL_SECONDS)
