"""What the endpoint is told, run by real shells: nothing of a check outlives it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from scheduler.checks.scripts import COMMAND, check_script, what_was_printed
from tests.waiting import FOR_EVER, PATIENCE, wait_until

SHELLS = [
    pytest.param(words, marks=pytest.mark.skipif(not shutil.which(words[0]), reason="not here"))
    for words in (["dash"], ["bash"], ["busybox", "sh"])
]


@pytest.fixture
def mark() -> Iterator[str]:
    """Return an argument that tells the processes of a test, and end those that are left."""
    mark = f"{uuid4().int % 10**6 + 3000}.{os.getpid()}"
    yield mark
    for process in marked(mark):
        process.send_signal(signal.SIGKILL)


def marked(mark: str) -> list[psutil.Process]:
    """Return the processes whose command line has the mark as a word."""
    processes = psutil.process_iter(["cmdline"])
    return [process for process in processes if mark in (process.info["cmdline"] or [])]


class Told:
    """A shell that was told to check."""

    def __init__(self, shell: list[str], script: str, **fields) -> None:
        path = fields.pop("path", os.environ["PATH"])
        self.mark = uuid4().hex
        values = {
            "variables": {}, "timeout_seconds": PATIENCE, "token": uuid4().hex, "mark": self.mark,
            **fields,
        }  # fmt: skip
        self.process = subprocess.Popen(
            [str(shutil.which(shell[0])), *shell[1:], *COMMAND.split()[1:]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, start_new_session=True, env={"PATH": path},
        )  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(check_script(script, **values))
        self.process.stdin.flush()


@pytest.fixture(params=SHELLS)
def tell(request) -> Iterator:
    """Return a function that has one of the shells check."""
    told: list[Told] = []

    def start(script: str, **fields) -> Told:
        told.append(Told(request.param, script, **fields))
        return told[-1]

    yield start
    for one in told:
        one.process.kill()
        one.process.wait()
        for pipe in (one.process.stdin, one.process.stdout):
            if pipe is not None:
                pipe.close()


def finish(told: Told) -> tuple[int, str]:
    """Return status and output while our end of the input stays open."""
    assert told.process.stdout is not None
    output, status = what_was_printed(told.process.stdout.read(), mark=told.mark)
    assert told.process.wait(PATIENCE) == status
    return status, output


@pytest.mark.parametrize(
    ("script", "status", "output"),
    [
        ("echo one; echo two >&2", 0, "one\ntwo\n"),
        ("exit 3", 3, ""),
        ("# nothing", 0, ""),
        ("cat; echo $?", 0, "0\n"),
        ("kill -TERM $$", 143, ""),
        ("echo \"it's $0\" '$HOME'\necho \\\\", 0, None),
    ],
)
def test_a_script_ends_as_it_likes(tell, script, status, output):
    seen = finish(tell(script))

    assert seen[0] == status
    assert output is None or seen[1] == output


@pytest.mark.parametrize("script", ["if true; then", "echo 'open", "touch begun; )"])
def test_what_is_no_script_is_not_begun(tell, script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    status, output = finish(tell(script))

    assert status == 126
    assert "yntax error" in output or "nexpected" in output or "nterminated" in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_script_can_be_listed_by_nobody(tell, mark, length):
    told = tell(f"secret=here-{mark}\nsleep {mark}\n: {'x' * length}")
    wait_until(lambda: marked(mark), what="the script")

    lines = [" ".join(one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])]
    assert not any(f"here-{mark}" in line or told.mark in line for line in lines)
    told.process.stdin.close()


def test_a_script_does_not_know_its_mark(tell):
    told = tell("set; env")

    assert told.mark not in finish(told)[1]


@pytest.mark.parametrize("exported", ["mark", "script", "token", "limit"])
def test_what_the_endpoint_calls_its_own_variables_is_its_business(tell, exported, monkeypatch):
    monkeypatch.setenv(exported, "theirs")

    assert finish(tell("echo well; exit 5")) == (5, "well\n")


@pytest.mark.parametrize(
    ("output", "printed", "status"),
    [
        ("M\none\nM 0\n", "one\n", 0),
        ("M\nM 143\n", "", 143),
        ("M\nno end of lineM 1\n", "no end of line", 1),
        ("Welcome!\nM\none\nM 0\nBye!\n", "one\n", 0),
        ("the beginning is lost\nM 3\n", "the beginning is lost\n", 3),
        ("M\none\n", "one\n", None),
        ("M\none\nM 1", "one\nM 1", None),
        ("Welcome!\n", "Welcome!\n", None),
        ("", "", None),
    ],
)
def test_what_was_printed_stands_between_marks(output, printed, status):
    assert what_was_printed(output, mark="M") == (printed, status)


def test_values_arrive_as_they_are(tell):
    value = "a 'b' \"c\" $HOME `id` \\ ; exit 9 \t|& ü"

    told = tell('printf %s "$OBJECTIVE_ONE"', variables={"OBJECTIVE_ONE": value})

    assert finish(told) == (0, value)


def test_a_long_script_is_not_too_long(tell):
    script = "\n".join(f": {'x' * 90} {line}" for line in range(1200)) + "\necho end"

    assert len(script) > 100_000
    assert finish(tell(script)) == (0, "end\n")


@pytest.mark.parametrize(
    "script",
    [
        "sleep {0}",
        "sleep {0} & sleep {0} & wait",
        "trap '' TERM HUP INT; while :; do sleep {0}; done",
        "setsid sleep {0} & sleep {0}",
        "nohup sleep {0} >/dev/null 2>&1 & sleep {0}",
    ],
)
@pytest.mark.parametrize("how", ["time is up", "the checker is gone"])
def test_nothing_survives_a_check_that_never_ends(tell, mark, script, how):
    seconds = 0 if how == "time is up" else FOR_EVER
    told = tell(script.format(mark), timeout_seconds=seconds)
    wait_until(lambda: marked(mark), what="the script")

    if how == "time is up":
        finish(told)
    else:
        told.process.stdin.close()
        told.process.stdout.read()

    wait_until(lambda: not marked(mark), what="the end of everything")


def test_nothing_survives_a_check_that_ends(tell, mark):
    told = tell(f"sleep {mark} & setsid sleep {mark} & sleep {mark} & echo done")

    assert finish(told) == (0, "done\n")
    wait_until(lambda: not marked(mark), what="the end of everything")


def test_a_flood_of_processes_ends(tell, mark):
    script = f"grow() {{ sleep {mark} & sleep {mark} & sleep 0.05; grow; }}; grow & wait"

    finish(tell(script, timeout_seconds=-1))

    wait_until(lambda: not marked(mark), what="the end of everything")


def test_an_endpoint_without_setsid_checks_as_well(tell, mark, tmp_path: Path):
    for program in ("sh", "sleep", "cat", "grep"):
        (tmp_path / program).symlink_to(str(shutil.which(program)))

    assert finish(tell("echo one; exit 4", path=str(tmp_path))) == (4, "one\n")
    finish(tell(f"exec sleep {mark}", path=str(tmp_path), timeout_seconds=-1))
    wait_until(lambda: not marked(mark), what="the end of the script")
