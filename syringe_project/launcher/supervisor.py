"""Keeps services running until somebody asks for the end."""

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.processes import kill_session, log_tail, spawn

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_POLL_SECONDS = 0.05
_SETTLED_SECONDS = 10
_FIRST_DELAY_SECONDS = 0.5
_LONGEST_DELAY_SECONDS = 30
_FAILURES_WORTH_A_LOG = 3


class StopAsked(Exception):
    """Somebody pressed Ctrl-C or sent a signal while something was being waited for."""


def _always(pid: int) -> bool:
    return True


@dataclass(frozen=True)
class Service:
    """A program that has to run all the time; ``is_ready`` is asked with its process id."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    log: Path
    is_ready: Callable[[int], bool] = _always
    standard_input: bytes = field(default=b"", repr=False)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 10
    death_signal: signal.Signals = signal.SIGKILL


def restart_delay(quick_failures: int) -> float:
    """Return how long to wait after the n-th quick failure in a row."""
    doublings = max(0, quick_failures - 1)
    return min(_FIRST_DELAY_SECONDS * 2.0**doublings, _LONGEST_DELAY_SECONDS)


def describe_status(status: int) -> str:
    """Say how a process ended."""
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit status {status}"


class _Running:
    """A service and the process that it has at the moment."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.start_again_at = 0.0
        self.quick_failures = 0

    def start(self) -> None:
        service = self.service
        self.process = spawn(
            service.command,
            environment=service.environment,
            folder=service.folder,
            log=service.log,
            death_signal=service.death_signal,
            standard_input=service.standard_input,
        )
        self.started_at = time.monotonic()


class Supervisor:
    """Starts services, starts them again when they end, and stops them all.

    One thread, one loop: nothing here may block for long. SIGCHLD and the stop signals wake it.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._running: list[_Running] = []
        self._stop_asked = 0
        self._last_stop_signal = signal.SIGINT
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._earlier_handlers: dict[int, object] = {}

    def __enter__(self) -> "Supervisor":
        self._earlier_wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (*_STOP_SIGNALS, signal.SIGCHLD):
            self._earlier_handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        signal.set_wakeup_fd(self._earlier_wakeup)
        for number, handler in self._earlier_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number in _STOP_SIGNALS:
            self._stop_asked += 1
            self._last_stop_signal = signal.Signals(number)

    def _sleep(self, seconds: float) -> None:
        readable, _, _ = select.select([self._wake_read], [], [], max(0.0, seconds))
        if readable:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 4096)

    def start(self, *services: Service, limit_seconds: float = 60) -> None:
        """Start services and return when all are ready; refuse when one ends or takes too long."""
        started = [_Running(service) for service in services]
        for running in started:
            self._running.append(running)
            running.start()
        waiting = list(started)
        give_up_at = time.monotonic() + limit_seconds
        while waiting:
            self._require_all_alive(started)
            waiting = [running for running in waiting if not self._is_ready(running)]
            if waiting and time.monotonic() > give_up_at:
                self._refuse(waiting[0], f"is not ready after {limit_seconds:.0f} s")
            if waiting:
                self._sleep(_POLL_SECONDS)
            self._raise_if_asked()

    def _is_ready(self, running: _Running) -> bool:
        return running.process is not None and running.service.is_ready(running.process.pid)

    def _require_all_alive(self, started: list[_Running]) -> None:
        for running in started:
            status = running.process.poll() if running.process else None
            if status is not None:
                self._refuse(running, f"did not start ({describe_status(status)})")

    def _refuse(self, running: _Running, what: str) -> None:
        service = running.service
        raise Refusal(
            f"{service.name} {what}; the end of {service.log}:\n{log_tail(service.log, 8)}"
        )

    def _raise_if_asked(self) -> None:
        if self._stop_asked:
            raise StopAsked

    def run_once(
        self, process: subprocess.Popen[bytes], *, on_tick: Callable[[], None] = lambda: None
    ) -> int:
        """Wait for a process that does one thing, keeping the services alive meanwhile."""
        try:
            while (status := process.poll()) is None:
                self._restart_what_ended()
                self._sleep(min(0.1, self._until_next_restart()))
                on_tick()
                self._raise_if_asked()
        finally:
            if process.poll() is None:
                kill_session(process)
                process.wait()
        on_tick()
        return status

    def run_in_foreground(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the process that has the terminal, and so gets Ctrl-C itself.

        Other stop signals are passed on.
        """
        passed_on = 0
        while (status := process.poll()) is None:
            self._restart_what_ended()
            self._sleep(self._until_next_restart())
            if self._stop_asked > passed_on:
                passed_on = self._stop_asked
                if self._last_stop_signal is not signal.SIGINT and process.poll() is None:
                    process.send_signal(self._last_stop_signal)
        return status

    def run(self) -> None:
        """Keep the services running until a stop signal arrives."""
        while not self._stop_asked:
            self._restart_what_ended()
            self._sleep(self._until_next_restart())

    def _until_next_restart(self) -> float:
        due = [running.start_again_at for running in self._running if running.process is None]
        # SIGCHLD wakes the loop; looking once a minute costs nothing and forgives a lost one.
        return min([60.0, *(at - time.monotonic() for at in due)])

    def _restart_what_ended(self) -> None:
        now = time.monotonic()
        for running in self._running:
            if running.process is None:
                if now >= running.start_again_at:
                    running.start()
                continue
            status = running.process.poll()
            if status is not None:
                # Children of a killed process (a web server's workers) must not stay beside the
                # next one's.
                kill_session(running.process)
                self._plan_restart(running, status)

    def _plan_restart(self, running: _Running, status: int) -> None:
        lived = time.monotonic() - running.started_at
        running.quick_failures = running.quick_failures + 1 if lived < _SETTLED_SECONDS else 1
        delay = restart_delay(running.quick_failures)
        running.process = None
        running.start_again_at = time.monotonic() + delay
        service = running.service
        self._console.warn(
            f"{service.name} ended ({describe_status(status)}) after {lived:.0f} s; "
            f"starting it again in {delay:g} s."
        )
        if running.quick_failures >= _FAILURES_WORTH_A_LOG:
            self._console.say(
                f"{service.name} ended {running.quick_failures} times in a row; "
                f"the end of {service.log}:\n{log_tail(service.log, 5)}"
            )

    def stop(self, *names: str) -> None:
        """Stop the named services, or all, in the reverse order of their start.

        What was started together is asked together; a second Ctrl-C kills.
        """
        chosen = [r for r in reversed(self._running) if not names or r.service.name in names]
        asked_before = self._stop_asked
        if names:
            self._stop_together(chosen, asked_before)
        else:
            for running in chosen:
                self._stop_together([running], asked_before)
        self._running = [running for running in self._running if running not in chosen]

    def _stop_together(self, chosen: list[_Running], asked_before: int) -> None:
        started = time.monotonic()
        alive = [(r, r.process) for r in chosen if r.process is not None]
        for running, process in alive:
            if process.poll() is None:
                process.send_signal(running.service.stop_signal)
        while True:
            waiting = [(r, process) for r, process in alive if process.poll() is None]
            if not waiting:
                break
            spent = time.monotonic() - started
            for running, process in waiting:
                if spent > running.service.stop_seconds or self._stop_asked > asked_before:
                    kill_session(process)
            self._sleep(_POLL_SECONDS)
        for _, process in alive:
            kill_session(process)
