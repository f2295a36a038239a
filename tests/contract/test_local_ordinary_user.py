"""The same tests again without root's rights, because one code path has to serve both."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ordinary_user import ordinary_place, run_as_ordinary_user
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.local_backend, pytest.mark.timeout(1200)]


@pytest.fixture
def place() -> Iterator[Path]:
    with ordinary_place() as place:
        yield place


@pytest.mark.skipif(os.geteuid() != 0, reason="this is the run of an ordinary user already")
@pytest.mark.parametrize(
    "part", ["isolation", "limits", "configuration", "lifecycle", "terminal", "every_backend"]
)
def test_the_whole_works_for_an_ordinary_user(place: Path, part: str) -> None:
    able = run_as_ordinary_user(place, ["-c", "import asyncssh, django, pytest"], PATIENCE)
    if able.returncode != 0:
        pytest.skip(f"an ordinary user cannot run this installation: {able.stdout[-500:]}")
    name = "test_every_backend.py" if part == "every_backend" else f"test_local_{part}.py"

    run = run_as_ordinary_user(
        place,
        [
            *("-m", "pytest", f"tests/contract/{name}", "-m", "local_backend", "-q", "-x"),
            *("-p", "no:cacheprovider", "-n", "0", "--basetemp", f"{place}/tmp/base"),
        ],
        12 * PATIENCE,
    )

    assert run.returncode == 0, run.stdout[-6000:]
    assert " passed" in run.stdout
