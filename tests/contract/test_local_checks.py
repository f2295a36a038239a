"""Files of a lesson that judge its learners: in a sandbox, out of the learner's sight."""

import pytest

from scheduler.backends.base import (
    BackendRejected,
    EnvironmentSpec,
    JobObservation,
    Phase,
    check_name,
)
from tests.contract.conftest import Kind
from tests.contract.descriptions import Shell, endpoint, environment, observe, wait_until
from tests.waiting import PATIENCE

pytestmark = pytest.mark.local_backend

PYTHON = """
import asyncio, os, sys, asyncssh

async def main():
    async with asyncssh.connect(
        os.environ["ANTIDOTE_TARGET_HOST"],
        username=os.environ["ANTIDOTE_TARGET_USERNAME"],
        password=os.environ["ANTIDOTE_TARGET_PASSWORD"],
        known_hosts=None,
    ) as connection:
        done = await connection.run("cat note.txt")
    if done.exit_status:
        sys.exit("There is no note.txt yet.")
    print(done.stdout)

asyncio.run(main())
"""
PLAYBOOK = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.raw: cat note.txt
      register: note
      failed_when: false
    - ansible.builtin.assert:
        that: note.rc == 0
        fail_msg: There is no note.txt yet.
        success_msg: "{{ note.stdout }}"
"""


def checked(text: str, *, language: str = "python") -> EnvironmentSpec:
    """Return an environment with a check, which its endpoint does not get."""
    path = f"checks/note.{'py' if language == 'python' else 'yml'}"
    files = {path: text, "checks/other.txt": "for all"}
    return environment(endpoint("linux1"), files=files, hidden=[path])


def check(
    local: Kind, spec: EnvironmentSpec, *, run: int = 1, timeout_seconds: float = PATIENCE
) -> JobObservation:
    """Have the file judge, and return what came of it."""
    (path,) = spec.lesson.hidden
    local.backend.run_check(
        spec,
        stage=0,
        slug="note",
        endpoint="linux1",
        path=path,
        language="python" if path.endswith(".py") else "ansible",
        environment={},
        timeout_seconds=timeout_seconds,
        run=run,
    )
    key = check_name(0, "note"), run
    assert wait_until(
        lambda: observe(local.backend, spec).jobs[key].phase not in (Phase.STARTING, Phase.RUNNING),
        2 * PATIENCE,
    )
    return observe(local.backend, spec).jobs[key]


@pytest.mark.parametrize(
    ("text", "language"), [(PYTHON, "python"), (PLAYBOOK, "ansible")], ids=["python", "ansible"]
)
def test_a_file_judges_over_ssh(local: Kind, text: str, language: str) -> None:
    spec = checked(text, language=language)
    local.start(spec)

    before = check(local, spec, run=1)
    Shell(local.backend, spec).run("echo Ahoy > note.txt")
    after = check(local, spec, run=2)

    assert (before.phase, before.message, before.broken) == (
        Phase.FAILED,
        "There is no note.txt yet.",
        False,
    )
    assert "There is no note.txt yet." in before.log_tail
    assert (after.phase, after.message, after.broken) == (Phase.SUCCEEDED, "Ahoy", False)
    assert "Ahoy" in after.log_tail


def test_learners_do_not_get_the_file(local: Kind) -> None:
    spec = checked(PYTHON)
    local.start(spec)

    found = Shell(local.backend, spec).run("find /antidote -type f")

    assert found.output == "/antidote/checks/other.txt"


@pytest.mark.parametrize(
    ("text", "seconds", "reason"),
    [
        ("import nothing_of_that_name", PATIENCE, "ModuleNotFoundError"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", PATIENCE, "signal 11"),
        ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", PATIENCE, "code"),
        ("import time; time.sleep(3600)", 2, "longer than 2 s"),
    ],
)
def test_a_check_that_does_not_work_is_told_from_one_that_fails(
    local: Kind, text: str, seconds: int, reason: str
) -> None:
    spec = checked(text)
    local.start(spec)

    job = check(local, spec, timeout_seconds=seconds)

    assert (job.phase, job.broken) == (Phase.FAILED, True)
    assert reason in job.message


def test_much_output_ends_in_a_verdict(local: Kind) -> None:
    spec = checked("print('é' * 5_000_000); print('the end')")
    local.start(spec)

    job = check(local, spec)

    assert (job.phase, job.message) == (Phase.SUCCEEDED, "the end")
    assert len(job.log_tail) <= 16_000


def test_what_no_job_can_do_is_refused(local: Kind) -> None:
    spec = checked(PYTHON)
    local.start(spec)
    usual = {
        "stage": 0,
        "slug": "note",
        "endpoint": "linux1",
        "path": "checks/note.py",
        "language": "python",
        "environment": {},
        "timeout_seconds": 5,
        "run": 1,
    }

    for wrong in ({"endpoint": "linux7"}, {"language": "perl"}):
        with pytest.raises(BackendRejected):
            local.backend.run_check(spec, **{**usual, **wrong})  # type: ignore[arg-type]
    assert not observe(local.backend, spec).jobs
