"""`manage.py check_lesson`, with the sample curriculum in real sandboxes."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.curricula import SAMPLE
from tests.rehearsed import copy_with_empty_files
from tests.stack import LOCAL, ROOT, Stack
from tests.waiting import PATIENCE, wait_until

# One stack for the whole module, whatever worker of pytest it runs on.
pytestmark = [pytest.mark.local_backend, pytest.mark.xdist_group("check_lesson")]

SLUGS = sorted(path.parent.name for path in SAMPLE.glob("lessons/*/lesson.meta.yaml"))


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = copy_with_empty_files(SAMPLE, tmp_path_factory.mktemp("sample") / "curriculum")
    silent = folder / "lessons" / "silent"
    for stage in ("stage0", "stage1", "stage2"):
        (silent / stage).mkdir(parents=True)
        (silent / stage / "guide.md").write_text("# Nothing to do\n")
    (silent / "lesson.meta.yaml").write_text(SILENT)
    with Stack(
        backend=LOCAL, env=ONE_SESSION, objectives=1, without={"web", "gateway", "gc"}
    ) as stack:
        stack.manage("import_curriculum", str(folder))
        yield stack


# Rehearsals follow on each other, and there is but one address that they come from.
ONE_SESSION = {"SYRINGE_SESSIONS_PER_ADDRESS": "1"}
SILENT = """\
name: Nothing to do
slug: silent
category: fundamentals
tier: prod
description: A lesson with objectives that nobody solves, and one that is always reached.
shortDescription: Silent
endpoints:
  - name: linux
    image: utility
    presentations: [{name: terminal, port: 22, type: ssh}]
stages:
  - description: One
    gate: true
    objectives:
      - {slug: never, description: Never., check: {run: "echo Never.; exit 1"}}
      - {slug: always, description: Always., check: {run: echo Always.}}
  - description: Two
    objectives:
      - {slug: behind-the-gate, description: Behind., check: {run: "echo Behind.; exit 1"}}
  - description: Three
"""


def check_lesson(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "check_lesson", *arguments],
        cwd=ROOT,
        env={**stack.env, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )


def states(stack: Stack) -> set[str]:
    """Return the states of all livelessons, and whether the backend has any environment."""
    code = (
        "import django, json; django.setup()\n"
        "from livelessons.models import LiveLesson\n"
        "from scheduler.backends.registry import current_backend\n"
        "states = set(LiveLesson.objects.values_list('state', flat=True))\n"
        "print(json.dumps([*states, *(ref.name for ref in current_backend().owned())]))"
    )
    return set(json.loads(stack.python(code)))


@pytest.mark.parametrize("slug", SLUGS)
def test_the_sample_keeps_what_it_promises(stack: Stack, slug: str) -> None:
    done = check_lesson(stack, slug, "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["lesson"], report["good"]) == (slug, True)
    for stage in report["stages"]:
        assert stage["has_solution"]
        for objective in stage["objectives"]:
            rounds = [objective[turn]["outcome"] for turn in ("untouched", "solved", "again")]
            assert rounds == ["failed", "passed", "passed"], objective
            assert objective["untouched"]["message"]
    assert states(stack) == {"DELETED"}


@pytest.mark.parametrize("slug", SLUGS)
def test_an_emptied_check_is_found_out(stack: Stack, slug: str) -> None:
    printed = stack.python(
        f"import django; django.setup(); from tests.rehearsed import main; main({slug!r})"
    )

    objectives: list[tuple[str, dict[str, Any]]] = [
        (f"stage {stage}: {name}", found)
        for stage, by_slug in json.loads(printed.splitlines()[-1]).items()
        for name, found in by_slug.items()
    ]
    assert {name: found["itself"] for name, found in objectives if found["itself"]} == {}
    unseen = [name for name, found in objectives for problems in found["emptied"] if not problems]
    assert unseen == []


def test_what_is_wrong_is_in_the_report_and_the_exit_status(stack: Stack) -> None:
    done = check_lesson(stack, "silent")

    assert done.returncode == 1
    assert "Stage 0, always: it passes before anybody has done anything" in done.stdout
    assert "There is no solution for this stage" in done.stdout
    assert "behind-the-gate" in done.stdout
    assert "1 of 3 objectives are not as they should be" in done.stdout
    assert "Traceback" not in done.stderr
    assert states(stack) == {"DELETED"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nobody-knows-this"], "nobody-knows-this"),
        (["silent", "--stage", "2"], "Stage 2 of silent has no objectives"),
        (["silent", "--stage", "3"], "has the stages 0 to 2"),
    ],
)
def test_what_cannot_be_checked_is_said(stack: Stack, arguments: list[str], sentence: str) -> None:
    done = check_lesson(stack, *arguments)

    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_lesson_is_ended_however_the_command_is_stopped(
    stack: Stack, number: signal.Signals, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with log.open("w") as stream:
        command = subprocess.Popen(
            [sys.executable, "manage.py", "check_lesson", "two-machines"],
            cwd=ROOT,
            env=stack.env,
            stdout=stream,
            stderr=stream,
        )
    wait_until(lambda: "booting" in log.read_text(), what="the start of the lesson")

    command.send_signal(number)

    assert command.wait(PATIENCE) == 130
    assert "Stopped; the lesson was ended." in log.read_text()
    assert states(stack) == {"DELETED"}


def test_without_a_worker_nobody_waits_for_long(stack: Stack) -> None:
    stack.kill("worker-1", signal.SIGTERM)
    try:
        done = check_lesson(stack, "shell-first-steps", "--stage", "0")
    finally:
        stack.start("worker-1")
        stack.wait_for_life("worker-1")

    assert done.returncode == 1
    assert "no worker takes lessons" in done.stderr
    wait_until(lambda: states(stack) == {"DELETED"}, what="the end of what was asked")
