"""The supervisor, over real processes."""

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syringe_project.launcher.console import Console, Refusal
from syringe_project.launcher.supervisor import Service, StopAsked, Supervisor
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
# Newer Pythons warn about any fork beside threads, and pytest-xdist has one.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")

SLEEP = "import time; time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True);" + SLEEP
)


@pytest.fixture
def make_service(tmp_path):
    def make(name="service", code=SLEEP, **fields):
        return Service(
            name=name,
            command=[sys.executable, "-c", code],
            environment={"PATH": os.environ["PATH"], "MARK": str(tmp_path)},
            folder=tmp_path,
            log=tmp_path / f"{name}.log",
            **fields,
        )

    return make


@pytest.fixture
def stream():
    return io.StringIO()


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid):
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def started(folder):
    """Return the process ids that services wrote down when they started."""
    try:
        return [int(line) for line in (folder / "started").read_text().split()]
    except FileNotFoundError:
        return []


NOTE = "import os; print(os.getpid(), file=open('started', 'a'), flush=True);"


def test_a_service_that_ends_is_started_again_within_two_seconds(make_service, stream, tmp_path):
    kill_and_stop = (
        "import os, pathlib, signal, sys, time\n"
        "def pids(): return [int(p) for p in pathlib.Path('started').read_text().split()]\n"
        "os.kill(pids()[0], signal.SIGKILL)\n"
        "at = time.monotonic()\n"
        "while len(pids()) < 2 and time.monotonic() < at + 20: time.sleep(0.02)\n"
        "print(time.monotonic() - at)\n"
    )
    with Supervisor(Console(stream)) as supervisor:
        supervisor.start(
            make_service(code=NOTE + SLEEP, is_ready=lambda _: bool(started(tmp_path)))
        )
        driver = subprocess.Popen(
            [sys.executable, "-c", kill_and_stop], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        )
        assert supervisor.run_once(driver) == 0
        seconds, _ = driver.communicate(timeout=PATIENCE)

    assert float(seconds) < 2
    assert "service ended (killed by SIGKILL)" in stream.getvalue()
    assert [pid for pid in started(tmp_path) if is_alive(pid)] == []


def test_a_service_that_keeps_ending_is_started_less_and_less_often_and_its_log_shown(
    make_service, stream, tmp_path
):
    fails = NOTE + "print('the reason'); raise SystemExit(3)"
    with Supervisor(Console(stream)) as supervisor:
        supervisor.start(make_service(name="crash", code=fails))
        waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(2)"])
        supervisor.run_once(waiting)

    assert 2 <= len(started(tmp_path)) <= 3
    text = stream.getvalue()
    assert "crash ended (exit status 3) after 0 s; starting it again in 0.5 s." in text
    assert "starting it again in 1 s." in text


def test_a_service_that_does_not_start_is_refused_with_the_end_of_its_log(make_service, stream):
    service = make_service(
        code="print('cannot find my things'); raise SystemExit(3)", is_ready=lambda _: False
    )
    with Supervisor(Console(stream)) as supervisor, pytest.raises(Refusal) as refusal:
        supervisor.start(service)

    assert "service did not start (exit status 3)" in str(refusal.value)
    assert "cannot find my things" in str(refusal.value)


def test_a_service_that_is_never_ready_is_given_up(make_service, stream, tmp_path):
    service = make_service(code=NOTE + SLEEP, is_ready=lambda _: False)
    refused = pytest.raises(Refusal, match="is not ready after 1 s")
    with Supervisor(Console(stream)) as supervisor, refused:
        supervisor.start(service, limit_seconds=1)

    assert [pid for pid in started(tmp_path) if is_alive(pid)] == []


def test_a_service_that_ignores_the_end_is_killed(make_service, stream, tmp_path):
    log = tmp_path / "service.log"
    service = make_service(
        code=NOTE + STUBBORN, stop_seconds=0.3, is_ready=lambda _: "on" in log.read_text()
    )
    with Supervisor(Console(stream)) as supervisor:
        supervisor.start(service)
        before = time.monotonic()
        supervisor.stop()
        assert time.monotonic() - before < 5

    assert [pid for pid in started(tmp_path) if is_alive(pid)] == []


def test_children_of_a_killed_service_do_not_stay_beside_its_next_one(
    make_service, stream, tmp_path
):
    parent = (
        NOTE + "import subprocess, sys;"
        f"subprocess.Popen([sys.executable, '-c', {NOTE + SLEEP!r}]);" + SLEEP
    )
    with Supervisor(Console(stream)) as supervisor:
        supervisor.start(make_service(code=parent, is_ready=lambda _: len(started(tmp_path)) == 2))
        first, child = started(tmp_path)
        os.kill(first, signal.SIGKILL)
        waiting = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.3)"])
        supervisor.run_once(waiting)
        wait_until(lambda: not is_alive(child), what="the end of the child")


def test_ctrl_c_while_something_starts_stops_it(make_service, stream, tmp_path):
    def interrupt(_pid):
        if started(tmp_path):
            os.kill(os.getpid(), signal.SIGINT)
        return False

    with Supervisor(Console(stream)) as supervisor, pytest.raises(StopAsked):
        supervisor.start(make_service(code=NOTE + SLEEP, is_ready=interrupt))

    assert [pid for pid in started(tmp_path) if is_alive(pid)] == []


def test_the_programs_die_with_a_killed_supervisor(tmp_path):
    code = f"""
from pathlib import Path
from syringe_project.launcher.console import Console
from syringe_project.launcher.supervisor import Service, Supervisor
with Supervisor(Console()) as supervisor:
    supervisor.start(
        Service("a", [{sys.executable!r}, "-c", {SLEEP!r}], {{}}, Path("/"), Path("a.log")),
        Service("b", [{sys.executable!r}, "-c", {SLEEP!r}], {{}}, Path("/"), Path("b.log")),
    )
    supervisor.run()
"""
    supervisor = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    try:
        wait_until(lambda: len(children_of(supervisor.pid)) == 2, what="both services")
        children = children_of(supervisor.pid)
    finally:
        supervisor.kill()
        supervisor.wait(PATIENCE)

    wait_until(lambda: not any(is_alive(pid) for pid in children), what="the services' end")
