"""What a checker survives, and what it leaves behind: nothing."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.db.models import F
from django.db.models.functions import Now

from livelessons.models import LiveLesson, LiveObjective
from livelessons.states import Desired, ObjectiveState
from scheduler.backends.registry import current_backend
from scheduler.checks import checker as checker_module
from scheduler.checks import connections, slots
from scheduler.checks.service import start_checker, stop_checker
from scheduler.checks.threads import THREADS
from scheduler.environments import environment_spec
from tests.integration.checks.backends import (
    HANGING,
    STUMBLING,
    HangingBackend,
    StumblingBackend,
)
from tests.integration.checks.conftest import checker_process, run
from tests.objectives import due_now, objective, states
from tests.waiting import FOR_EVER, PATIENCE, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def running(mark: str) -> list[int]:
    """Return the processes whose command line has the mark as a word."""
    processes = psutil.process_iter(["cmdline"])
    return [process.pid for process in processes if mark in (process.info["cmdline"] or [])]


def wait_for_state(live_lesson: LiveLesson, slug: str, state: ObjectiveState) -> None:
    wait_until(lambda: objective(live_lesson, slug).state == state, what=f"{slug} {state}")


@contextlib.contextmanager
def deaf_server() -> Iterator[int]:
    """Take connections and never say a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


def test_what_hangs_holds_up_nobody(checker, checked_lesson, ssh, monkeypatch):
    monkeypatch.setattr(connections, "LOGIN_SECONDS", FOR_EVER)
    with deaf_server() as port:
        hanging = [
            checked_lesson({22: where}, it=run("sleep 3600", timeout_seconds=FOR_EVER))
            for where in (port, port, port, ssh.port)
        ]
        checker.wake()
        wait_until(
            lambda: LiveObjective.objects.exclude(claim=None).count() == len(hanging),
            what="checks that hang",
        )  # fmt: skip
        well = checked_lesson({22: ssh.port}, it=run("echo well"))

        checker.wake()

        wait_for_state(well, "it", ObjectiveState.PASSED)


FILE = {"kind": "file", "path": "checks/it.py", "language": "python", "timeout_seconds": FOR_EVER}


@pytest.fixture
def small(settings) -> None:
    """Give the next checker two places for quick checks, four for slow ones, and four for jobs."""
    settings.SYRINGE_CHECKS_AT_ONCE = 10


def with_environment(live_lesson: LiveLesson) -> LiveLesson:
    current_backend().ensure(environment_spec(live_lesson))
    return live_lesson


def test_many_that_hang_leave_room_for_the_quick(small, checker, checked_lesson, ssh, monkeypatch):
    monkeypatch.setattr(slots, "QUICK_SECONDS", 1.0)
    hanging = run("sleep 3609.5", timeout_seconds=FOR_EVER)
    for _ in range(4):
        checked_lesson({22: ssh.port}, one=hanging, two=hanging)
    checker.wake()
    given_back = LiveObjective.objects.filter(claim=None, claims__gt=0)
    wait_until(given_back.exists, what="more than may be slow")

    well = [checked_lesson({22: ssh.port}, it=run("true")) for _ in range(3)]
    checker.wake()

    for live_lesson in well:
        wait_for_state(live_lesson, "it", ObjectiveState.PASSED)
    assert LiveObjective.objects.exclude(claim=None).count() <= 6
    assert len(running("3609.5")) >= 4
    slow = LiveObjective.objects.exclude(state=ObjectiveState.PASSED)
    assert not slow.exclude(attempts=0, failures=0, errors=0).exists()


def test_more_jobs_than_may_run_wait_for_their_turn(small, checker, checked_lesson, ssh, settings):
    settings.SYRINGE_FAKE_SCRIPT = json.dumps({"check_seconds": 3600})
    live_lessons = [with_environment(checked_lesson({}, a=FILE, b=FILE)) for _ in range(3)]
    checker.wake()
    jobs = LiveObjective.objects.filter(live_lesson__in=live_lessons)
    wait_until(
        lambda: jobs.exclude(claim=None).count() == 4 and not jobs.filter(claims=0).exists(),
        what="four jobs",
    )  # fmt: skip
    well = checked_lesson({22: ssh.port}, it=run("true"))
    checker.wake()
    wait_for_state(well, "it", ObjectiveState.PASSED)

    settings.SYRINGE_FAKE_SCRIPT = "{}"
    wait_until(
        lambda: not jobs.exclude(state=ObjectiveState.PASSED).exists(),
        what="the end of all jobs",
    )  # fmt: skip


def test_a_backend_that_hangs_holds_up_its_own_checks_only(checker, checked_lesson, ssh, settings):
    settings.SYRINGE_BACKEND = HANGING
    live_lessons = [with_environment(checked_lesson({}, a=FILE, b=FILE)) for _ in range(4)]
    checker.wake()
    try:
        for _ in range(THREADS):
            assert HangingBackend.asked.acquire(timeout=PATIENCE)
        well = checked_lesson({22: ssh.port}, it=run("echo well"))
        checker.wake()
        wait_for_state(well, "it", ObjectiveState.PASSED)
    finally:
        HangingBackend.let.set()

    for live_lesson in live_lessons:
        wait_for_state(live_lesson, "b", ObjectiveState.PASSED)


def test_a_look_that_breaks_is_not_the_last(checker, checked_lesson, settings):
    settings.SYRINGE_BACKEND = STUMBLING
    live_lesson = with_environment(checked_lesson({}, it=FILE))

    checker.wake()
    wait_for_state(live_lesson, "it", ObjectiveState.PASSED)

    assert StumblingBackend.stumbled


@pytest.mark.parametrize("fault", ["hangs", "refuses", "is away"])
def test_an_endpoint_without_ssh_is_nobody_s_fault(checker, checked_lesson, ssh, fault):
    with contextlib.ExitStack() as exits:
        port = ssh.port
        if fault == "hangs":
            port = exits.enter_context(deaf_server())
        elif fault == "refuses":
            ssh.refuses = True
        else:
            ssh.__exit__(None, None, None)
            exits.callback(ssh.__enter__)
        live_lesson = checked_lesson({22: port}, it=run("true"))
        checker.wake()
        wait_until(lambda: objective(live_lesson, "it").detail, what="an attempt")

    row = objective(live_lesson, "it")
    assert (row.attempts, row.failures, row.errors, row.claim) == (0, 0, 0, None)
    assert row.state == ObjectiveState.WAITING
    assert row.shown_message == "The machine does not answer at the moment."
    assert row.next_check_at > row.opened_at


def test_it_is_tried_again_later_and_later(checker, checked_lesson, ssh):
    ssh.refuses = True
    live_lesson = checked_lesson({22: ssh.port}, it=run("true"))
    pauses = []
    for _ in range(3):
        due_now(live_lesson)
        pauses.append(objective(live_lesson, "it").pause_seconds)
        checker.wake()
        wait_until(
            lambda: objective(live_lesson, "it").pause_seconds > pauses[-1],
            what="an attempt",
        )  # fmt: skip
    assert pauses == sorted(set(pauses))

    ssh.refuses = False
    due_now(live_lesson)
    checker.wake()
    wait_for_state(live_lesson, "it", ObjectiveState.PASSED)


def test_a_changed_host_key_is_what_a_fresh_endpoint_has(checker, checked_lesson, ssh):
    live_lesson = checked_lesson({22: ssh.port}, one=run("exit 1"), two=run("exit 1"))
    checker.wake()
    wait_for_state(live_lesson, "one", ObjectiveState.FAILED)

    ssh.__exit__(None, None, None)
    ssh.__enter__()
    LiveObjective.objects.filter(live_lesson=live_lesson).update(attempts=0)

    def again() -> bool:
        due_now(live_lesson)
        checker.wake()
        return objective(live_lesson, "one").attempts > 0

    wait_until(again, what="a check after the restart")


def test_a_gigabyte_is_neither_kept_nor_waited_for(transactional_db, checked_lesson, ssh):
    flood = run("head -c 1000000000 /dev/zero | tr '\\0' x", timeout_seconds=60)
    with checker_process() as process:
        wait_for_state(checked_lesson({22: ssh.port}, it=run("true")), "it", ObjectiveState.PASSED)
        before = peak_memory(process.pid)
        live_lesson = checked_lesson({22: ssh.port}, it=flood)
        wait_for_state(live_lesson, "it", ObjectiveState.ERROR)
        after = peak_memory(process.pid)

    row = objective(live_lesson, "it")
    assert "too much" in row.detail
    assert len(row.detail) < 20_000
    assert after - before < 50 * 1024**2


def peak_memory(pid: int) -> int:
    """Return the most bytes that the process ever had in memory."""
    status = Path("/proc", str(pid), "status").read_text()
    (peak,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


def test_a_check_that_never_ends_is_ended(checker, checked_lesson, ssh):
    script = "sleep 3601.25 & setsid sleep 3601.25 & sleep 3601.25"
    live_lesson = checked_lesson({22: ssh.port}, it=run(script, timeout_seconds=1))

    checker.wake()
    wait_for_state(live_lesson, "it", ObjectiveState.ERROR)

    assert "within 1 seconds" in objective(live_lesson, "it").detail
    wait_until(lambda: not running("3601.25"), what="the end of everything")


def _to_another_stage(live_lesson: LiveLesson) -> None:
    LiveLesson.objects.filter(pk=live_lesson.pk).update(
        desired_stage=1, generation=F("generation") + 1, next_look_at=Now()
    )


def _end(live_lesson: LiveLesson) -> None:
    LiveLesson.objects.filter(pk=live_lesson.pk).update(desired=Desired.GONE)


@pytest.mark.parametrize("change", [_to_another_stage, _end])
def test_nothing_runs_for_what_is_not_wished_any_more(checker, checked_lesson, ssh, change):
    script = "sleep 3602.5; echo late"
    live_lesson = checked_lesson({22: ssh.port}, it=run(script, timeout_seconds=FOR_EVER))
    checker.wake()
    wait_until(lambda: running("3602.5"), what="the script")

    change(live_lesson)

    wait_until(lambda: not running("3602.5"), what="the end of the script")
    assert (objective(live_lesson, "it").attempts, objective(live_lesson, "it").errors) == (0, 0)


def test_a_checker_that_stops_gives_its_checks_back(transactional_db, checked_lesson, ssh):
    (ssh.home / "slow").touch()
    script = "test ! -e slow || sleep 3603.5"
    live_lesson = checked_lesson({22: ssh.port}, it=run(script, timeout_seconds=FOR_EVER))
    first = start_checker("the first")
    first.wake()
    wait_until(lambda: running("3603.5"), what="the script")
    assert objective(live_lesson, "it").checker == "the first"

    stop_checker(first)
    wait_until(lambda: not running("3603.5"), what="the end of the script")
    (ssh.home / "slow").unlink()
    second = start_checker("the second")
    try:
        wait_for_state(live_lesson, "it", ObjectiveState.PASSED)
    finally:
        stop_checker(second)

    assert objective(live_lesson, "it").checker == "the second"


def test_no_livelesson_has_more_than_its_share(checker, checked_lesson, ssh):
    objectives = {f"o{n}": run("sleep 3604.5", timeout_seconds=FOR_EVER) for n in range(5)}
    live_lesson = checked_lesson({22: ssh.port}, **objectives)
    other = checked_lesson({22: ssh.port}, it=run("true"))

    checker.wake()
    wait_for_state(other, "it", ObjectiveState.PASSED)
    wait_until(lambda: len(running("3604.5")) >= 3, what="three checks")
    checker.wake()

    held = LiveObjective.objects.filter(live_lesson=live_lesson).exclude(claim=None)
    assert held.count() == 3
    # One connection is enough for all of them.
    assert len(ssh.connections) == 2


def test_what_needed_another_objective_is_checked_at_once(
    checker, checked_lesson, ssh, monkeypatch
):
    # It does not look by itself while the test waits.
    monkeypatch.setattr(checker_module, "BEAT_SECONDS", FOR_EVER)
    live_lesson = checked_lesson(
        {22: ssh.port},
        first=run("true"),
        second={"check": run("true"), "needs": ["first"]},
        third={"check": run("true"), "needs": ["second"]},
    )
    checker.wake()
    wait_for_state(live_lesson, "third", ObjectiveState.PASSED)

    assert set(states(live_lesson).values()) == {"passed"}
