"""``make up`` as a whole: one subprocess, everything that it starts, and its end."""

import contextlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import psutil
import pytest

from syringe_project.launcher.data_folder import DataFolder
from syringe_project.launcher.ports import free_port
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[3]
LOCAL = "scheduler.backends.local.LocalBackend"
FAKE = "scheduler.backends.fake.FakeBackend"
NOWHERE = "tests.integration.launcher.backends.NowhereBackend"


def users_environment():
    """Return the variables that somebody has who types ``make up``."""
    ours = ("SYRINGE_", "DJANGO_", "PYTEST_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    yield folder
    # Pytest would keep tens of megabytes for every test.
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def up(tmp_path, data):
    """Return a starter of launchers; those that still run at the end are stopped."""
    started = []

    def start(*, port, folder=data, **variables):
        others = users_environment()
        output = tmp_path / f"output-{len(started)}"
        with output.open("wb") as file:
            launcher = subprocess.Popen(
                [sys.executable, "syringe_project/launcher", "up", "--data", str(folder)],
                cwd=ROOT,
                env={
                    **others,
                    "PYTHONPATH": str(ROOT),
                    "SYRINGE_PORT": str(port),
                    "SYRINGE_BACKEND": FAKE,
                    **variables,
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        started.append(launcher)
        return launcher, output

    yield start
    for launcher in started:
        if launcher.poll() is None:
            launcher.terminate()
            launcher.wait(PATIENCE)


def refusal(launcher, output):
    """Return the last line of a launcher that gives up."""
    assert launcher.wait(PATIENCE) == 1, output.read_text()
    return output.read_text().strip().splitlines()[-1]


def wait_for_greeting(launcher, output):
    def greeted():
        assert launcher.poll() is None, output.read_text()
        return "stop        Ctrl-C" in output.read_text()

    wait_until(greeted, seconds=2 * PATIENCE, what="the greeting of make up")
    return output.read_text()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid):
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def pid_of(launcher, *words):
    """Return the launcher's own child whose command line has the words."""
    for child in psutil.Process(launcher.pid).children():
        # It may end while we look.
        with contextlib.suppress(psutil.NoSuchProcess):
            line = child.cmdline()
            if all(any(word in part for part in line) for word in words):
                return child.pid
    return None


def users_of(folder, name):
    """Return the processes that have a file open below the folder with the name in its path."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        # Processes and files may be gone before we look.
        with contextlib.suppress(OSError):
            for link in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    path = link.readlink()
                    if path.is_relative_to(folder) and name in str(path):
                        found.add(int(process.name))
    return found


def log_in(address, password):
    """Say whether the operator gets into the admin with this password."""
    with httpx.Client(base_url=address, follow_redirects=True, timeout=PATIENCE) as client:
        page = client.get("/admin/login/")
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)[1]
        answer = client.post(
            "/admin/login/",
            data={
                "username": "operator",
                "password": password,
                "csrfmiddlewaretoken": token,
                "next": "/admin/",
            },
            headers={"Referer": f"{address}/admin/login/"},
        )
    return answer.status_code == 200 and "Log out" in answer.text


def managed(data, *arguments):
    """Run ./manage.py as from another terminal, which knows the settings' file only."""
    others = users_environment()
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**others, "SYRINGE_ENV_FILE": str(data / "environment")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def check_that_others_are_refused(up, port, data, tmp_path):
    same_folder = up(port=free_port())
    same_port = up(port=port, folder=tmp_path / "other")

    assert refusal(*same_folder) == (
        f"Syringe already runs here, at http://localhost:{port}: use that, or stop it with "
        "Ctrl-C in its terminal."
    )
    sentence = refusal(*same_port)
    assert sentence.startswith(f"Port {port} is taken by another program: stop that, or choose ")
    assert "SYRINGE_PORT=" in sentence
    assert not (tmp_path / "other" / "postgresql").exists()


def check_that_killed_processes_come_back(launcher, address):
    killed = {
        words: pid_of(launcher, *words)
        for words in (("celery", "beat"), ("celery", "lifecycle"), ("-m", "gateway"), ("gunicorn",))
    }
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)

    def all_are_back():
        return all(pid_of(launcher, *words) not in (None, pid) for words, pid in killed.items())

    wait_until(all_are_back, what="the processes that were killed")

    def answers():
        try:
            return httpx.get(f"{address}/healthz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    wait_until(answers, what="an answer after everything was killed")


def check_that_the_demo_visits_what_runs(data):
    demo = subprocess.run(
        [sys.executable, "syringe_project/launcher", "demo", "--data", str(data)],
        cwd=ROOT, env=users_environment(), capture_output=True, text=True, timeout=2 * PATIENCE,
    )  # fmt: skip
    assert demo.returncode == 0, demo.stdout + demo.stderr
    found, *visit = demo.stdout.splitlines()
    assert f"Found the Syringe that runs at {DataFolder(data).address()}" in found
    assert any("6 x 7 is 42" in line for line in visit)
    assert any("Nothing is left" in line for line in visit)


def start_lesson(address):
    """Start a lesson and return its path and the headers that show whose it is."""
    with httpx.Client(base_url=address, timeout=PATIENCE) as client:
        listed = client.get("/api/v1/lessons").json()["lessons"]
        assert len(listed) >= 3
        secret = client.post("/api/v1/sessions").json()["secret"]
        headers = {"Authorization": f"Bearer {secret}"}
        wanted = {"lesson": listed[0]["slug"]}
        live = client.post("/api/v1/livelessons", json=wanted, headers=headers).json()
    return f"{address}/api/v1/livelessons/{live['id']}", headers


def wait_until_ready(lesson, headers):
    wait_until(
        lambda: httpx.get(lesson, headers=headers, timeout=PATIENCE).json()["state"] == "READY",
        what="the lesson",
    )


def check_settings(data, text):
    """Settings are complete for other terminals, closed to others, and never in a log."""
    assert stat.S_IMODE((data / "environment").stat().st_mode) == 0o600
    manage = managed(
        data, "shell", "-c", "from lessons.models import Lesson; print(Lesson.objects.count())"
    )
    assert int(manage.stdout.split()[-1]) >= 3, manage.stderr
    settings = DataFolder(data).settings()
    assert stat.S_IMODE(Path(settings["SYRINGE_RUN_FOLDER"]).stat().st_mode) == 0o700
    for name in ("SYRINGE_SECRET_KEY", "SYRINGE_DATABASE_URL", "SYRINGE_REDIS_URL"):
        secret = urlsplit(settings[name]).password or settings[name]
        assert secret not in text
        assert not any(secret in log.read_text() for log in (data / "logs").iterdir())


def clean_up_after_kill(data):
    """End what outlives a killed launcher by design: lessons, which the next start finds."""
    done = subprocess.run(
        [sys.executable, "-P", str(ROOT / "syringe_project" / "launcher" / "teardown.py")],
        env={**users_environment(), "SYRINGE_ENV_FILE": str(data / "environment")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    shutil.rmtree(DataFolder(data).settings()["SYRINGE_RUN_FOLDER"])


@pytest.mark.local_backend
def test_a_whole_life(up, data, tmp_path):
    port = free_port()
    address = f"http://localhost:{port}"
    launcher, output = up(port=port, SYRINGE_BACKEND=LOCAL)
    text = wait_for_greeting(launcher, output)
    password = re.search(r"login +operator / (\S+)", text)[1]
    settings = DataFolder(data).settings()
    run_folder = Path(settings["SYRINGE_RUN_FOLDER"])

    assert address in text
    assert log_in(address, password)
    check_settings(data, text)
    lesson, headers = start_lesson(address)
    check_that_others_are_refused(up, port, data, tmp_path)
    wait_until_ready(lesson, headers)
    name = UUID(lesson.rpartition("/")[2]).hex
    sandbox = users_of(run_folder, name)
    assert sandbox
    check_that_the_demo_visits_what_runs(data)
    assert users_of(run_folder, name) == sandbox
    check_that_killed_processes_come_back(launcher, address)
    assert "beat ended (killed by SIGKILL)" in output.read_text()

    processes = descendants(launcher.pid)
    assert len(processes) >= 7
    launcher.terminate()
    assert launcher.wait(PATIENCE) == 0, output.read_text()
    assert [pid for pid in (*processes, *sandbox) if alive(pid)] == []
    assert not run_folder.exists()
    assert f"Stopped; the data stays in {data}" in output.read_text()

    again, output = up(port=port, SYRINGE_BACKEND=LOCAL)
    text = wait_for_greeting(again, output)
    assert f"login       operator / {password}" in text
    assert DataFolder(data).settings() == settings
    wait_until(lambda: users_of(run_folder, name), what="a new sandbox")
    wait_until_ready(lesson, headers)
    processes = descendants(again.pid)
    again.kill()
    again.wait(PATIENCE)
    wait_until(
        lambda: not any(alive(pid) for pid in processes),
        what="the end of what a killed launcher had started",
    )
    clean_up_after_kill(data)


def test_a_backend_that_cannot_work_here_stops_the_start_with_its_sentence(up, data):
    launcher, output = up(port=free_port(), SYRINGE_BACKEND=NOWHERE)

    sentence = refusal(launcher, output)

    assert "Lessons cannot run on this machine: The moon is in the wrong phase" in sentence
    assert "SYRINGE_BACKEND=scheduler.backends.fake.FakeBackend make up" in sentence
    shutil.rmtree(DataFolder(data).settings()["SYRINGE_RUN_FOLDER"])


def test_settings_that_cannot_be_are_named_without_their_values(up, data):
    launcher, output = up(
        port=free_port(), SYRINGE_TIER="imaginary", SYRINGE_SECRET_KEY="too-short-but-secret"
    )

    sentence = refusal(launcher, output)

    assert "SYRINGE_TIER" in sentence
    assert "SYRINGE_SECRET_KEY" in sentence
    assert "too-short-but-secret" not in output.read_text()
    shutil.rmtree(DataFolder(data).settings()["SYRINGE_RUN_FOLDER"])


def test_a_missing_system_package_is_named_before_anything_starts(up, data, tmp_path):
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    launcher, output = up(port=free_port(), SYRINGE_BACKEND=LOCAL, PATH=str(nothing))

    assert "Missing on this machine: bubblewrap" in refusal(launcher, output)
    assert not data.exists()


def test_a_server_that_is_named_and_away_is_named(up):
    port = free_port()
    launcher, output = up(
        port=free_port(), SYRINGE_DATABASE_URL=f"postgresql://user:hidden@127.0.0.1:{port}/name"
    )

    sentence = refusal(launcher, output)

    assert f"SYRINGE_DATABASE_URL names 127.0.0.1:{port}, and nothing answers there" in sentence
    assert "hidden" not in output.read_text()
