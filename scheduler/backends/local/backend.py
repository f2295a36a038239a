"""The contract of ``scheduler.backends.base``, kept by one supervisor process per livelesson."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings

from scheduler.backends.base import (
    ABSENT,
    BackendRejected,
    BackendUnavailable,
    EndpointObservation,
    EnvironmentObservation,
    EnvironmentRef,
    EnvironmentSpec,
    JobObservation,
    Login,
    Phase,
    ReasonCode,
    RuntimeBackend,
    check_name,
)
from scheduler.backends.local import cgroups, control, planning, preflight
from scheduler.backends.local.bundles import DamagedBundle, bundle_open
from scheduler.backends.local.folders import EnvironmentFolder, InstanceFolders
from scheduler.backends.local.host import host_plan
from scheduler.backends.local.namespaces import unused_uid
from scheduler.backends.local.plan import Plan
from scheduler.backends.local.state import State, parse_job_key
from scheduler.backends.local.supervisor import process_start

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"

_CODE_ROOT = str(Path(__file__).resolve().parents[3])
_PROGRAM = (
    f"import sys; sys.path.insert(0, {_CODE_ROOT!r}); "
    "from scheduler.backends.local.supervisor import main; main()"
)
# Nothing of the worker's environment, which holds secrets, reaches a supervisor.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
_SPAWN_TIMEOUT_SECONDS = 5
_PATIENCE_SECONDS = 3.0


class LocalBackend(RuntimeBackend):
    """Sandboxes on this machine; see the package's docstring."""

    label = "local"
    on_this_machine = True

    @property
    def _folders(self) -> InstanceFolders:
        return InstanceFolders(Path(settings.SYRINGE_INSTANCE_FOLDER), settings.SYRINGE_INSTANCE)

    def ensure(self, spec: EnvironmentSpec) -> None:
        planning.lesson_check(spec.lesson)
        folders = self._folders
        folder = folders.environment(spec.ref.name)
        try:
            lock_fd = folder.claim()
            if lock_fd is None:
                return
            try:
                self._start(spec, folders, folder, lock_fd)
            finally:
                os.close(lock_fd)
        except DamagedBundle as error:
            raise BackendRejected(reason=str(error)) from error
        except (OSError, subprocess.SubprocessError) as error:
            raise BackendUnavailable(reason=f"no supervisor could be started: {error}") from error

    def _start(
        self,
        spec: EnvironmentSpec,
        folders: InstanceFolders,
        folder: EnvironmentFolder,
        lock_fd: int,
    ) -> None:
        if _has_failed(folder.read_state()) and folder.ending_for() < 0:
            return
        if not _clear(folder):
            raise BackendUnavailable(reason="what ran here before has not ended yet")
        uid = None
        if os.geteuid() == 0:
            uid = unused_uid(spec.ref.name, Path("/proc/self/uid_map").read_text())
        plan = planning.environment_plan(
            spec, instance=folders.instance, folder=folder.path, uid=uid, host=host_plan()
        )
        bundle_fd = bundle_open(folders.bundles, spec.lesson.bundle_sha256, spec.read_bundle)
        try:
            _spawn(plan, folder, lock_fd, bundle_fd)
        finally:
            os.close(bundle_fd)

    def observe(
        self, refs: Sequence[EnvironmentRef]
    ) -> Mapping[EnvironmentRef, EnvironmentObservation]:
        folders = self._folders
        try:
            return {ref: _observe(folders.environment(ref.name)) for ref in refs}
        except OSError as error:
            raise BackendUnavailable(reason=f"the run folder cannot be read: {error}") from error

    def configure(self, spec: EnvironmentSpec, *, stage: int, endpoint: str, run: int) -> None:
        planning.configuration_check(spec.lesson, stage=stage, endpoint=endpoint)
        message: dict[str, Any] = {
            "endpoint": endpoint,
            "run": run,
            "stage": stage,
            "timeout_seconds": settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS,
        }
        self._request(spec.ref, message)

    def run_check(
        self,
        spec: EnvironmentSpec,
        *,
        stage: int,
        slug: str,
        endpoint: str,
        path: str,
        language: str,
        environment: Mapping[str, str],
        timeout_seconds: float,
        run: int,
    ) -> None:
        planning.job_check(spec.lesson, endpoint=endpoint, language=language)
        message: dict[str, Any] = {
            "endpoint": endpoint,
            "run": run,
            "stage": stage,
            "timeout_seconds": timeout_seconds,
            "check": {
                "name": check_name(stage, slug),
                "path": path,
                "language": language,
                "environment": dict(environment),
            },
        }
        self._request(spec.ref, message)

    def _request(self, ref: EnvironmentRef, message: dict[str, Any]) -> None:
        folder = self._folders.environment(ref.name)
        if not folder.is_alive() or folder.ending_for() >= 0:
            raise BackendRejected(reason="the environment is gone", reason_code=ReasonCode.VANISHED)
        try:
            control.request(folder.path, message)
        except OSError as error:
            raise BackendUnavailable(reason=f"the supervisor does not answer: {error}") from error

    def destroy(self, ref: EnvironmentRef) -> None:
        folder = self._folders.environment(ref.name)
        try:
            fd = os.open(folder.ending_path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            pass
        except FileNotFoundError:
            return
        except OSError as error:
            raise BackendUnavailable(reason=f"the run folder refuses: {error}") from error
        else:
            os.close(fd)
        _end(folder)

    def owned(self) -> Iterable[EnvironmentRef]:
        try:
            for folder in self._folders.present():
                try:
                    ref = EnvironmentRef.parse(folder.name)
                except ValueError:
                    continue
                if _observe(folder).phase != Phase.ABSENT:
                    yield ref
        except OSError as error:
            raise BackendUnavailable(reason=f"the run folder cannot be read: {error}") from error

    def login(self, spec: EnvironmentSpec, endpoint: str) -> Login:
        for candidate in spec.lesson.endpoints:
            if candidate.name == endpoint:
                return Login(planning.user_name(candidate), spec.access_password)
        raise BackendRejected(reason=f"there is no endpoint {endpoint!r}")

    def preflight(self) -> Sequence[str]:
        return preflight.problems(self)


def _has_failed(state: State | None) -> bool:
    return state is not None and state["phase"] == Phase.FAILED


def _clear(folder: EnvironmentFolder) -> bool:
    """Remove what an earlier supervisor left in a folder whose lock is ours."""
    if not cgroups.remove(folder.instance, folder.name):
        return False
    for path in folder.path.iterdir():
        if path == folder.lock_path:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return True


def _spawn(plan: Plan, folder: EnvironmentFolder, lock_fd: int, bundle_fd: int) -> None:
    """Start a supervisor that outlives this process and is nobody's zombie."""
    plan_fd = os.memfd_create("plan", os.MFD_CLOEXEC)
    log_fd = os.open(folder.log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(os.dup(plan_fd), "w") as file:
            json.dump(plan, file)
        os.lseek(plan_fd, 0, os.SEEK_SET)
        subprocess.run(
            [
                "setsid",
                "--fork",
                sys.executable,
                "-I",
                "-S",
                "-c",
                _PROGRAM,
                str(lock_fd),
                str(bundle_fd),
            ],
            stdin=plan_fd,
            stdout=log_fd,
            stderr=log_fd,
            pass_fds=(lock_fd, bundle_fd),
            env=_ENVIRONMENT,
            cwd="/",
            check=True,
            timeout=_SPAWN_TIMEOUT_SECONDS,
        )
    finally:
        os.close(plan_fd)
        os.close(log_fd)


def _end(folder: EnvironmentFolder) -> None:
    """Ask the supervisor to end, firmly if it was asked a while ago."""
    try:
        pid_text, start = folder.process_path.read_text().split()
    except (FileNotFoundError, ValueError):
        # It reads that the end was asked for as soon as it has said who it is.
        return
    number = signal.SIGTERM if folder.ending_for() < _PATIENCE_SECONDS else signal.SIGKILL
    with suppress(ProcessLookupError, FileNotFoundError):
        pidfd = os.pidfd_open(int(pid_text))
        try:
            if process_start(int(pid_text)) == start:
                signal.pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)


def _observe(folder: EnvironmentFolder) -> EnvironmentObservation:
    if not folder.path.exists():
        return ABSENT
    # In this order: a supervisor that has ended writes no more, so its state is its last.
    alive = folder.is_alive()
    state = folder.read_state()
    ending_for = folder.ending_for()
    if ending_for >= 0 and alive:
        if ending_for > _PATIENCE_SECONDS:
            _end(folder)
        return EnvironmentObservation(phase=Phase.DELETING)
    if ending_for >= 0 or not (alive or _has_failed(state)):
        if ending_for < 0:
            logger.warning("environment %s is gone: %s", folder.name, folder.log_tail())
        gone = folder.remove_remains()
        return ABSENT if gone else EnvironmentObservation(phase=Phase.DELETING)
    if state is None:
        return EnvironmentObservation(phase=Phase.STARTING, reason=ReasonCode.PENDING)
    return _observation(state)


def _observation(state: State) -> EnvironmentObservation:
    return EnvironmentObservation(
        phase=Phase(state["phase"]),
        reason=ReasonCode(state["reason"]),
        message=state["message"],
        endpoints={
            name: EndpointObservation(
                phase=Phase(endpoint["phase"]),
                reason=ReasonCode(endpoint["reason"]),
                message=endpoint["message"],
                host=HOST,
                ports={int(inside): outside for inside, outside in endpoint["ports"].items()},
                log_tail=endpoint["log_tail"],
            )
            for name, endpoint in state["endpoints"].items()
        },
        jobs={
            parse_job_key(key): JobObservation(
                phase=Phase(job["phase"]),
                message=job["message"],
                log_tail=job["log_tail"],
                broken=job.get("broken", False),
            )
            for key, job in state["jobs"].items()
        },
    )
