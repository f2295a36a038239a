"""``make up``: everything on one machine, until Ctrl-C."""

import contextlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syringe_project.launcher import ports
from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.data_folder import DataFolder, make_run_folder
from syringe_project.launcher.processes import die_with_parent, log_tail, spawn
from syringe_project.launcher.python_environment import PythonEnvironment
from syringe_project.launcher.servers import ServersPlan, start_servers
from syringe_project.launcher.services import application_services
from syringe_project.launcher.settings import (
    child_environment,
    front_port,
    installation_settings,
    instance_folder,
    run_folder,
)
from syringe_project.launcher.supervisor import Service, StopAsked, Supervisor, describe_status
from syringe_project.launcher.system_packages import (
    LOCAL_BACKEND,
    ensure_packages,
    missing_packages,
)

OPERATOR = "operator"

_LOCAL_BACKEND_PATH = "scheduler.backends.local"
_ANSWER_SECONDS = 60
_PREPARE_SECONDS = 1200
_TEARDOWN_SECONDS = 30
# A killed launcher's processes may need a moment to be gone.
_PATIENCE_SECONDS = 5


@dataclass(frozen=True)
class UpOptions:
    """What ``make up`` was asked for; ``then`` is run beside it instead of waiting for Ctrl-C."""

    curriculum: Path
    data: Path
    given: Mapping[str, str]
    then: Sequence[str] = ()


def relay_message(console: Console, line: str, report: dict[str, object]) -> None:
    """Show one line of what prepares the installation, and collect what it reports."""
    try:
        message = json.loads(line)
    except ValueError:
        # A library's own words; they are in the log.
        return
    if not isinstance(message, dict):
        return
    if "step" in message:
        console.did(str(message["step"]), float(message["seconds"]))
    elif "progress" in message:
        console.doing(str(message["progress"]))
    elif "notice" in message:
        console.warn(str(message["notice"]))
    elif "report" in message or "refusal" in message:
        report.update(message)


class Installation:
    """One run of ``make up``."""

    def __init__(
        self, console: Console, environment: PythonEnvironment, options: UpOptions
    ) -> None:
        self._console = console
        self._environment = environment
        self._options = options
        self._data = DataFolder(options.data)
        self._settings: dict[str, str] = {}
        self._services: list[Service] = []

    def run(self) -> int:
        """Start, wait, stop; return the exit status."""
        port = front_port(self._options.given)
        if not (self._options.curriculum / "curriculum.meta.yaml").exists():
            raise Refusal(
                f"{self._options.curriculum} holds no curriculum (no curriculum.meta.yaml): name "
                "its folder with `make up CURRICULUM=path`."
            )
        self._ensure_packages()
        self._data.make()
        self._data.lock()
        try:
            ports.require_free(
                port, patience_seconds=_PATIENCE_SECONDS if self._data.was_killed else 0
            )
            with Supervisor(self._console) as supervisor:
                return self._run_supervised(supervisor)
        finally:
            self._data.unlock()

    def _ensure_packages(self) -> None:
        backend = self._options.given.get("SYRINGE_BACKEND", _LOCAL_BACKEND_PATH)
        if backend.startswith(_LOCAL_BACKEND_PATH):
            ensure_packages(self._console, missing_packages(LOCAL_BACKEND))

    def _run_supervised(self, supervisor: Supervisor) -> int:
        status = 0
        started = time.monotonic()
        try:
            self._start_servers(supervisor)
            report = self._prepare(supervisor)
            self._start_application(supervisor)
            self._greet(report, time.monotonic() - started)
            if self._options.then:
                status = self._run_beside(supervisor)
            else:
                supervisor.run()
        except StopAsked:
            status = 130 if self._options.then else 0
        finally:
            with self._console.step(f"Stopped; the data stays in {self._data.path}"):
                self._stop(supervisor)
        return status

    def _start_servers(self, supervisor: Supervisor) -> None:
        given = self._options.given
        plan = ServersPlan(
            database_url=given.get("SYRINGE_DATABASE_URL", ""),
            redis_url=given.get("SYRINGE_REDIS_URL", ""),
            site_packages=self._environment.site_packages,
            folder=self._data.path,
            logs=self._data.logs,
            port=self._data.port,
            secret=self._data.secret,
        )
        servers = start_servers(self._console, supervisor, plan)
        self._settings = installation_settings(given, self._data, servers)
        self._data.write_settings(self._settings)
        make_run_folder(run_folder(self._settings))
        make_run_folder(instance_folder(self._settings))

    def _program(self, name: str, *arguments: str) -> list[str]:
        # By path, because `-m` would load the settings before the program can say what is wrong
        # with them; -P keeps its folder from hiding other modules.
        path = Path(__file__).with_name(f"{name}.py")
        return [str(self._environment.python), "-P", str(path), *arguments]

    def _prepare(self, supervisor: Supervisor) -> dict[str, object]:
        """Migrate, import, make the operator, ask the backend; relay the steps as they are done."""
        path = self._data.logs / "prepare.log"
        path.unlink(missing_ok=True)
        process = spawn(
            self._program("prepare", str(self._options.curriculum), OPERATOR),
            environment=child_environment(self._environment, self._settings),
            folder=self._environment.project,
            log=path,
            standard_input=self._data.secret("operator_password", characters=20).encode(),
        )
        report: dict[str, object] = {}
        seen = 0

        def relay() -> None:
            nonlocal seen
            lines = path.read_text(errors="replace").split("\n")
            # What follows the last line break is not complete yet.
            for line in lines[seen:-1]:
                relay_message(self._console, line, report)
            seen = len(lines) - 1

        status = supervisor.run_once(process, on_tick=relay)
        if "refusal" in report:
            raise Refusal(str(report["refusal"]))
        if status != 0:
            raise Refusal(
                f"Preparing the database failed ({describe_status(status)}); the end of {path}:\n"
                f"{log_tail(path, 12)}"
            )
        return report

    def _start_application(self, supervisor: Supervisor) -> None:
        self._services = application_services(self._environment, self._settings, self._data.logs)
        with self._console.step("Started " + ", ".join(s.name for s in self._services)):
            supervisor.start(*self._services, limit_seconds=_ANSWER_SECONDS)

    def _greet(self, report: Mapping[str, object], seconds: float) -> None:
        say = self._console.say
        address = self._settings.get("SYRINGE_PUBLIC_URL") or self._data.address()
        say()
        self._console.highlight(f"Syringe is ready after {seconds:.1f} s: {address}")
        say(f"  operators   {address}/admin/")
        if report.get("operator_password_changed"):
            say(f"  login       {OPERATOR}, with the password that was set in the admin")
        else:
            say(f"  login       {OPERATOR} / {self._data.secret('operator_password')}")
        say(f"  logs        {self._data.logs}")
        if not self._options.then:
            say("  stop        Ctrl-C")
        say()

    def _run_beside(self, supervisor: Supervisor) -> int:
        process = subprocess.Popen(
            list(self._options.then),
            cwd=self._environment.project,
            env=child_environment(self._environment, self._settings),
            preexec_fn=die_with_parent(signal.SIGKILL),  # noqa: PLW1509  (one thread)
        )
        return supervisor.run_in_foreground(process)

    def _stop(self, supervisor: Supervisor) -> None:
        """Stop what serves, then the lessons' environments on this machine, then the servers."""
        if self._services:
            supervisor.stop(*(service.name for service in self._services))
            self._tear_down()
        supervisor.stop()

    def _tear_down(self) -> None:
        log = self._data.logs / "teardown.log"
        process = spawn(
            self._program("teardown"),
            environment=child_environment(self._environment, self._settings),
            folder=self._environment.project,
            log=log,
        )
        try:
            status = process.wait(_TEARDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if status != 0:
            self._console.warn(
                f"Lessons' environments may be left on this machine; the end of {log}:\n"
                f"{log_tail(log, 5)}"
            )
            return
        shutil.rmtree(instance_folder(self._settings), ignore_errors=True)
        with contextlib.suppress(OSError):
            # Not empty: another instance has its folder there, too.
            run_folder(self._settings).rmdir()
