"""The demo, as `make demo` runs it, against real processes and sandboxes."""

import re
import subprocess
import sys

import pytest

from tests.stack import ROOT, Stack, free_port
from tests.waiting import PATIENCE

pytestmark = [pytest.mark.local_backend, pytest.mark.xdist_group("stack")]


def demo(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "syringe_project.launcher.demo", *arguments],
        cwd=ROOT, env=stack.env, text=True, capture_output=True, timeout=2 * PATIENCE,
    )  # fmt: skip


def test_the_whole_visit_works_and_leaves_nothing(stack: Stack):
    done = demo(stack, "--lesson", "two-machines")
    assert done.returncode == 0, done.stdout + done.stderr
    for step in ("session", "READY", "6 x 7 is 42", "stage 2 of 2", "Ended", "Nothing is left"):
        assert re.search(rf"^ *\d+\.\d\d s .*{step}", done.stdout, re.MULTILINE), done.stdout
    assert "its processes and files on this machine are gone" in done.stdout


def test_by_itself_it_chooses_a_lesson_with_a_terminal(stack: Stack):
    done = demo(stack, "--url", stack.url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Chose the lesson" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--lesson", "nothing"), "There is no lesson nothing."),
        (("--lesson", "unknown-image"), "nobody-made-this"),
        (("--url", f"http://127.0.0.1:{free_port()}"), "start it with `make up`"),
        (("--url", "ftp://example.org"), "no address of a web server"),
    ],
)
def test_a_failure_is_one_sentence(stack: Stack, arguments: tuple[str, ...], sentence: str):
    done = demo(stack, *arguments)
    assert done.returncode != 0
    assert sentence in done.stdout.splitlines()[-1]
    assert "Traceback" not in done.stdout + done.stderr
