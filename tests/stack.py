"""The whole of Syringe as real processes, for the tests that need them.

A stack has a database, a run folder and an instance name of its own; it may share PostgreSQL and
Redis with others. It is used by the browser, chaos and load tests and by the benchmark::

    with Stack(backend=FAKE, workers=2) as stack:
        stack.manage("import_curriculum", "curriculum/sample")
        httpx.get(f"{stack.url}/api/v1/lessons")
        stack.kill("worker-1", signal.SIGKILL)
        stack.start("worker-1")
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from tests.databases import migrated_database
from tests.waiting import PATIENCE, WaitedInVain, wait_until

ROOT = Path(__file__).resolve().parents[1]
LOCAL = "scheduler.backends.local.LocalBackend"
FAKE = "scheduler.backends.fake.FakeBackend"
KUBERNETES = "scheduler.backends.kubernetes.KubernetesBackend"

_ANSWERING = frozenset({"web", "gateway", "bundles"})
"""Processes that are asked whether they are there."""

_DESTROY_LEFTOVERS = """
import time
import django
django.setup()
from scheduler.backends.registry import current_backend
backend = current_backend()
deadline = time.monotonic() + 15
while (refs := list(backend.owned())) and time.monotonic() < deadline:
    for ref in refs:
        backend.destroy(ref)
    time.sleep(0.1)
"""


class StackError(AssertionError):
    """A process of the stack did not do what it should; the message ends with its log."""


@dataclass(frozen=True, slots=True)
class _Process:
    command: list[str]
    popen: subprocess.Popen[bytes]


def free_port() -> int:
    """Return a loopback port that nobody listens on just now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Stack:
    """web, gateway, workers and beat of one instance, started and stopped by process id.

    ``env`` adds ``SYRINGE_*`` variables; ``database_url`` names a database to use as it is (it is
    migrated, not dropped), else a fresh one is made next to ``SYRINGE_DATABASE_URL``. ``without``
    names processes that are left out, ``watcher`` and ``bundles`` say what is added, and
    ``objectives`` how many check objectives.
    """

    def __init__(
        self,
        *,
        backend: str = LOCAL,
        env: Mapping[str, str] | None = None,
        workers: int = 1,
        web_workers: int = 1,
        watcher: bool = False,
        objectives: int = 0,
        bundles: bool = False,
        database_url: str | None = None,
        redis_url: str | None = None,
        without: Collection[str] = (),
    ) -> None:
        self._without = frozenset(without)
        self._database_url = database_url
        self._workers = workers
        self._web_workers = web_workers
        self._watcher = watcher
        self._objectives = objectives
        self._bundles = bundles
        self._processes: dict[str, _Process] = {}
        self._exits = contextlib.ExitStack()
        self.instance = f"stack-{uuid4().hex[:12]}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Short, because the path of a UNIX socket has at most 107 bytes.
        self.folder = Path(tempfile.mkdtemp(prefix="syringe-", dir="/tmp"))
        self.logs_folder = self.folder / "logs"
        bundle_bind = f"127.0.0.1:{free_port()}"
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "syringe_project.settings",
            "PYTHONWARNINGS": "default",
            "SYRINGE_ENV_FILE": "/nonexistent",
            "SYRINGE_SECRET_KEY": "stack-key-" + "0123456789" * 4,
            "SYRINGE_INSTANCE": self.instance,
            "SYRINGE_RUN_FOLDER": str(self.folder / "run"),
            "SYRINGE_PORT": str(self.port),
            "SYRINGE_PUBLIC_URL": self.url,
            "SYRINGE_TRUSTED_PROXIES": "unix",
            "SYRINGE_TIER": "local",
            "SYRINGE_BUNDLE_BIND": bundle_bind,
            "SYRINGE_BUNDLE_URL": f"http://{bundle_bind}",
            "SYRINGE_BACKEND": backend,
            **(env or {}),
        }
        if redis_url is not None:
            self.env["SYRINGE_REDIS_URL"] = redis_url

    @property
    def socket(self) -> Path:
        """Where the web process listens."""
        return self.folder / "run" / self.instance / "web.sock"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as exits:
            exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.logs_folder.mkdir()
            self.socket.parent.mkdir(parents=True, mode=0o700)
            if self._database_url is None:
                server = self.env["SYRINGE_DATABASE_URL"]
                url = exits.enter_context(migrated_database(server, self._migrate))
            else:
                url = self._database_url
                self._migrate(url)
            self.env["SYRINGE_DATABASE_URL"] = url
            exits.callback(self._destroy_leftovers)
            exits.callback(self._stop_all)
            for name in self.names():
                self.start(name, wait=False)
            for name in self.names():
                if name in _ANSWERING:
                    self._wait_for_answer(name)
                else:
                    self.wait_for_life(name)
            self._exits = exits.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if value is not None:
            value.add_note(self.logs())
        self._exits.close()

    def _migrate(self, url: str) -> None:
        self.env["SYRINGE_DATABASE_URL"] = url
        self.manage("migrate", "--verbosity", "0")

    def names(self) -> list[str]:
        """Name every process of the stack."""
        workers = [f"worker-{number}" for number in range(1, self._workers + 1)]
        watcher = ["watcher"] if self._watcher else []
        bundles = ["bundles"] if self._bundles else []
        objectives = [f"objectives-{number}" for number in range(1, self._objectives + 1)]
        names = ["web", "gateway", *workers, "gc", *objectives, "beat", *watcher, *bundles]
        return [name for name in names if name not in self._without]

    def command(self, name: str) -> list[str]:
        """Return the command line of one process."""
        folder = Path(sys.executable).parent
        celery = [str(folder / "celery"), "-A", "syringe_project", "--skip-checks"]
        kind, _, number = name.partition("-")
        match kind:
            case "web":
                return [
                    str(folder / "gunicorn"), "syringe_project.wsgi",
                    "--bind", f"unix:{self.socket}", "--worker-class", "gthread",
                    "--workers", str(self._web_workers), "--threads", "4",
                    "--no-control-socket", "--graceful-timeout", "2",
                ]  # fmt: skip
            case "gateway":
                return [sys.executable, "-m", "gateway"]
            case "bundles":
                return [
                    str(folder / "gunicorn"), "syringe_project.bundle_wsgi",
                    "--bind", self.env["SYRINGE_BUNDLE_BIND"], "--worker-class", "gthread",
                    "--threads", "4", "--no-control-socket", "--graceful-timeout", "2",
                ]  # fmt: skip
            case "worker":
                return [
                    *celery, "worker", "-P", "threads", "-c", "8", "-Q", "lifecycle",
                    "-n", f"lifecycle-{number}@{self.instance}",
                    "--without-gossip", "--without-mingle",
                ]  # fmt: skip
            case "gc":
                return [
                    *celery, "worker", "-P", "threads", "-c", "2", "-Q", "gc",
                    "-n", f"gc@{self.instance}", "--without-gossip", "--without-mingle",
                ]  # fmt: skip
            case "objectives":
                return [
                    *celery, "worker", "-P", "threads", "-c", "2", "-Q", "objectives",
                    "-n", f"objectives-{number}@{self.instance}",
                    "--without-gossip", "--without-mingle",
                ]  # fmt: skip
            case "beat":
                return [*celery, "beat"]
            case "watcher":
                return [sys.executable, "manage.py", "watch_backend"]
            case _:
                raise KeyError(name)

    def manage(self, *arguments: str, seconds: float = 2 * PATIENCE) -> str:
        """Run a management command in the stack's environment and return what it printed."""
        return self._run([sys.executable, "manage.py", *arguments], seconds)

    def python(self, code: str, seconds: float = 2 * PATIENCE) -> str:
        """Run Python code in the stack's environment and return what it printed."""
        return self._run([sys.executable, "-c", code], seconds)

    def _run(self, command: list[str], seconds: float) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=self.env, capture_output=True, text=True, timeout=seconds
        )
        if done.returncode:
            raise StackError(f"{command[:3]} exited {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, name: str, *, wait: bool = True, env: Mapping[str, str] | None = None) -> int:
        """Start one process that is not running and return its id."""
        if self.alive(name):
            raise StackError(f"{name} runs already")
        command = self.command(name)
        self._sign_of_life(name).unlink(missing_ok=True)
        own = {"SYRINGE_HEARTBEAT_FILE": str(self._sign_of_life(name))}
        with (self.logs_folder / f"{name}.log").open("ab") as log:
            popen = subprocess.Popen(
                command, cwd=ROOT, env={**self.env, **own, **(env or {})}, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._processes[name] = _Process(command, popen)
        if wait and name in _ANSWERING:
            self._wait_for_answer(name)
        return popen.pid

    def _sign_of_life(self, name: str) -> Path:
        return self.folder / f"{name}.lives"

    def wait_for_life(self, name: str) -> None:
        """Wait until a worker, beat or the watcher does its work, not only until it runs."""

        def lives() -> bool:
            if not self.alive(name):
                raise StackError(f"{name} ended\n{self.logs()}")
            return self._sign_of_life(name).exists()

        wait_until(lives, what=f"a sign of life of {name}")

    def alive(self, name: str) -> bool:
        """Tell whether the process runs."""
        process = self._processes.get(name)
        return process is not None and process.popen.poll() is None

    def pid(self, name: str) -> int:
        """Return the id of a process."""
        return self._processes[name].popen.pid

    def wait_exit(self, name: str, *, seconds: float = PATIENCE) -> int:
        """Wait for a process to end by itself and return its exit status."""
        popen = self._processes[name].popen
        wait_until(lambda: popen.poll() is not None, seconds=seconds, what=f"the end of {name}")
        return int(popen.returncode)

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a process and, when it ends a process, wait until it has ended."""
        popen = self._processes[name].popen
        popen.send_signal(number)
        if number in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}:
            popen.wait(PATIENCE)

    def restart(self, name: str, *, env: Mapping[str, str] | None = None) -> None:
        """Stop a process politely and start it again."""
        self._stop(name)
        self.start(name, env=env)

    def logs(self, lines: int = 40) -> str:
        """Return the end of every process's log."""
        parts = []
        for path in sorted(self.logs_folder.glob("*.log")):
            tail = path.read_text(errors="replace").splitlines()[-lines:]
            parts.append("\n".join([f"--- {path.stem}", *tail]))
        return "\n".join(parts)

    def _wait_for_answer(self, name: str) -> None:
        def answers() -> bool:
            if not self.alive(name):
                raise StackError(f"{name} ended\n{self.logs()}")
            if name == "web":
                with socket.socket(socket.AF_UNIX) as client:
                    return client.connect_ex(str(self.socket)) == 0
            bundles = f"http://{self.env['SYRINGE_BUNDLE_BIND']}"
            url = bundles if name == "bundles" else self.url
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=2) as answer:
                    return bool(answer.status == 200)
            except urllib.error.HTTPError as exc:
                # A gateway whose web process is away has answered, too.
                exc.close()
                return not self.alive("web")
            except OSError:
                return False

        try:
            wait_until(answers, what=f"an answer of {name}")
        except WaitedInVain as exc:
            exc.add_note(self.logs())
            raise

    def _stop(self, name: str) -> None:
        process = self._processes[name].popen
        if process.poll() is None:
            process.terminate()
        self._wait_stopped(process)

    def _stop_all(self) -> None:
        # Once each: a second request means "at once" to a worker.
        for process in self._processes.values():
            if process.popen.poll() is None:
                process.popen.terminate()
        for process in self._processes.values():
            self._wait_stopped(process.popen)

    def _wait_stopped(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        # Children of its own session, such as the workers of web, go with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)

    def _destroy_leftovers(self) -> None:
        # Sandboxes outlive the workers by design, but not the test. Fakes go with the database.
        if self.env["SYRINGE_BACKEND"] != FAKE:
            self.python(_DESTROY_LEFTOVERS)
