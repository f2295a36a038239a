"""What runs beside an endpoint and judges: started as backends start it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scheduler.backends.file_checks import VERDICT_BYTES, Verdict, check_command, read_verdict
from tests.waiting import PATIENCE

HEADER = "- hosts: all\n  gather_facts: false\n  connection: local\n  tasks:\n"
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def judged(path: Path, *, verdict: str = "-", seconds: float = PATIENCE) -> Verdict:
    """Run a check as a backend would and return the verdict."""
    command = check_command(
        verdict=verdict,
        language="ansible" if path.suffix == ".yml" else "python",
        endpoint="localhost",
        path=str(path),
        timeout_seconds=seconds,
    )
    done = subprocess.run(
        command, env=ENVIRONMENT, capture_output=True, text=True, timeout=2 * PATIENCE
    )
    text = done.stdout if verdict == "-" else Path(verdict).read_text()
    assert len(text.strip().encode()) <= VERDICT_BYTES
    found = read_verdict(text)
    assert found is not None, done
    assert done.returncode == (0 if found.outcome == "passed" else 1)
    return found


@pytest.mark.parametrize(
    ("script", "outcome", "message"),
    [
        ("print('one'); print('two'); print()", "passed", "two"),
        ("", "passed", ""),
        ("import sys; sys.exit(0)", "passed", ""),
        ("import sys; sys.exit('Not yet, Ünal.')", "failed", "Not yet, Ünal."),
        ("import sys; print('Nearly.'); sys.exit(3)", "failed", "Nearly."),
        ("raise ValueError('\\udcff')", "broken", "ValueError: \ufffd"),
        ("def broken(:", "broken", "SyntaxError: invalid syntax (check.py, line 1)"),
        ("print('fine'); {}['key']", "broken", "KeyError: 'key'"),
        ("import os; os.abort()", "broken", "it was ended by signal 6"),
        ("import sys; print(sys.argv == [__file__], __name__)", "passed", "True __main__"),
        ("import neighbour; print(neighbour.WORD)", "passed", "found"),
    ],
)
def test_scripts(tmp_path: Path, script: str, outcome: str, message: str) -> None:
    (tmp_path / "neighbour.py").write_text("WORD = 'found'")
    (tmp_path / "check.py").write_text(script)

    assert judged(tmp_path / "check.py")[:2] == (outcome, message)


@pytest.mark.parametrize(
    ("playbook", "outcome", "message"),
    [
        ("    - assert: {that: 1 == 2, fail_msg: Not yet.}", "failed", "Not yet."),
        ("    - fail: {msg: No.}\n      ignore_errors: true", "passed", ""),
        ("    - assert: {that: 1 == 1, success_msg: Yes.}", "passed", "Yes."),
        ("    - debug: {msg: [one, two]}", "passed", "two"),
        (
            "    - assert: {that: item < 2, fail_msg: 'Not {{ item }}.'}\n      loop: [1, 2, 3]",
            "failed",
            "Not 2.",
        ),
        ("    - raw: 'echo so; echo there; exit 3'", "failed", "there"),
        (r"""    - raw: printf 'bad \377 name\n'; exit 3""", "failed", "bad \ufffd name"),
        ("    - name: Look\n      raw: exit 3", "failed", "non-zero return code"),
        ("    - debug: {msg: '{{ nothing }}'}", "broken", "'nothing' is undefined"),
        ("    - no_such_module: {}", "broken", "couldn't resolve module/action"),
        ("    - debug: [", "broken", "YAML parsing failed"),
        ("    []", "broken", "no task of the playbook ran"),
    ],
)
def test_playbooks(tmp_path: Path, playbook: str, outcome: str, message: str) -> None:
    (tmp_path / "check.yml").write_text(HEADER + playbook)

    found = judged(tmp_path / "check.yml")

    assert found.outcome == outcome, found
    assert message in found.message if message else not found.message


@pytest.mark.parametrize("text", ["", "---\n", "- hosts: others\n  tasks: [{debug: {msg: a}}]"])
def test_a_playbook_for_nobody_does_not_pass(tmp_path: Path, text: str) -> None:
    (tmp_path / "check.yml").write_text(text)

    assert judged(tmp_path / "check.yml").outcome == "broken"


def test_an_unreachable_endpoint_is_not_the_learners_fault(tmp_path: Path) -> None:
    (tmp_path / "check.yml").write_text(
        "- hosts: all\n  gather_facts: false\n  vars: {ansible_port: 1}\n  tasks: [raw: echo]"
    )

    found = judged(tmp_path / "check.yml")

    assert found.outcome == "broken"
    assert "cannot be reached" in found.message


def test_time_is_up_for_all_that_it_started(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(
        "import subprocess, time\n"
        "print(subprocess.Popen(['sleep', '300']).pid, flush=True)\n"
        "time.sleep(300)"
    )

    found = judged(tmp_path / "check.py", seconds=3)

    assert found[:2] == ("broken", "it took longer than 3 s")
    state = Path("/proc", found.log_tail, "stat")
    assert not state.exists() or " Z " in state.read_text()


def test_what_goes_on_in_the_background_does_not_hold_it_up(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text(
        "import subprocess; subprocess.Popen(['sleep', '300']); print('started')"
    )

    assert judged(tmp_path / "check.py", seconds=PATIENCE)[:2] == ("passed", "started")


def test_a_verdict_has_room_in_a_termination_message(tmp_path: Path) -> None:
    (tmp_path / "check.py").write_text("print('\\\\n' * 5_000_000); print('é' * 5_000)")

    found = judged(tmp_path / "check.py", verdict=str(tmp_path / "verdict"))

    assert (found.outcome, found.message) == ("passed", "é" * 500)
    assert found.log_tail.endswith("é")


def test_a_missing_file_is_the_authors_fault(tmp_path: Path) -> None:
    found = judged(tmp_path / "check.py")

    assert (found.outcome, found.message) == ("broken", f"there is no file {tmp_path}/check.py")


@pytest.mark.parametrize("text", ["", "Traceback", "[]", "{}", '{"outcome": "passed"}', "\0"])
def test_what_is_no_verdict_is_none(text: str) -> None:
    assert read_verdict(text) is None
