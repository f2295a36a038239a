"""What each kind of check makes of what it finds, on real servers."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from livelessons.models import LiveLesson, LiveObjective
from livelessons.services.openings import objectives_close
from livelessons.states import ObjectiveState
from scheduler.backends.registry import current_backend
from scheduler.environments import environment_ref, environment_spec
from tests.integration.checks.conftest import run
from tests.objectives import objective, open_all
from tests.stack import free_port
from tests.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def checked(checker, live_lesson: LiveLesson, slug: str = "it") -> LiveObjective:
    """Return the objective once it was checked."""
    checker.wake()
    wait_until(lambda: objective(live_lesson, slug).checked_at, what=f"a check of {slug}")
    return objective(live_lesson, slug)


@pytest.mark.parametrize(
    ("script", "state", "message"),
    [
        ("echo No.; echo Well done.", "passed", "Well done."),
        ("true", "passed", ""),
        ("echo Not yet.; exit 1", "failed", "Not yet."),
        ("cat notes.txt", "failed", "cat: notes.txt: No such file or directory"),
        ("grep x notes.txt; exit 2", "failed", "grep: notes.txt: No such file or directory"),
        ("printf '\\033[31mred\\033[0m\\n\\n'; exit 3", "failed", "red"),
        ("no-such-program", "error", ""),
        ("./notes.txt", "error", ""),
        ("if true; then", "error", ""),
        ("touch begun\nif", "error", ""),
        ('cat; echo "read $?"', "passed", "read 0"),
        ("kill -9 $$", "failed", ""),
        ("head -c 600 /dev/zero | tr '\\0' x", "passed", "x" * 500),
        ("head -c 500000 /dev/zero; echo; echo end", "passed", "end"),
    ],
)
def test_a_script_passes_by_its_exit_status(checker, checked_lesson, ssh, script, state, message):
    live_lesson = checked_lesson({22: ssh.port}, it=run(script))

    row = checked(checker, live_lesson)

    assert (row.state, row.message) == (state, message)
    assert (row.attempts, row.errors) == ((0, 1) if state == "error" else (1, 0))
    # What is no shell script is not begun.
    assert not (ssh.home / "begun").exists()


@pytest.mark.parametrize(("kind", "status"), [("run", 0), ("run", 127), ("output", 0)])
def test_a_login_shell_that_runs_nothing_decides_nothing(
    checker, checked_lesson, ssh, tmp_path, kind, status
):
    """As where somebody's ~/.bashrc ends with ``exit``."""
    shell = tmp_path / "login"
    shell.write_text(f"#!/bin/sh\necho reached\nexit {status}\n")
    shell.chmod(0o755)
    ssh.shell = str(shell)
    checks = {
        "run": run("echo reached"),
        "output": {"kind": "output", "command": "echo reached", "matches": "reached"},
    }
    live_lesson = checked_lesson({22: ssh.port}, it=checks[kind])

    checker.wake()

    wait_until(lambda: objective(live_lesson, "it").detail, what="an attempt")
    row = objective(live_lesson, "it")
    assert (row.attempts, row.failures, row.errors) == (0, 0, 0)
    assert row.state not in {"passed", "failed", "error"}


def test_what_a_login_shell_prints_is_not_the_script_s(checker, checked_lesson, ssh, tmp_path):
    shell = tmp_path / "login"
    shell.write_text('#!/bin/sh\necho reached\n/bin/sh "$@"\necho bye\n')
    shell.chmod(0o755)
    ssh.shell = str(shell)
    check = {"kind": "output", "command": "echo one", "matches": "reached|bye"}

    row = checked(checker, checked_lesson({22: ssh.port}, it=check))

    assert (row.state, row.message, row.detail) == ("failed", "one", "one\n")


def test_authors_see_all_that_was_printed(checker, checked_lesson, ssh):
    live_lesson = checked_lesson({22: ssh.port}, it=run("echo one; echo two >&2; exit 1"))

    assert checked(checker, live_lesson).detail == "one\ntwo\n"


def test_a_broken_check_says_why(checker, checked_lesson, ssh):
    live_lesson = checked_lesson({22: ssh.port}, it=run("no-such-program"))

    detail = checked(checker, live_lesson).detail

    assert "no-such-program" in detail
    assert "exited with 127" in detail


def test_later_checks_read_what_earlier_ones_printed(checker, checked_lesson, ssh):
    value = "a 'quoted' $HOME `id` \"value\""
    (ssh.home / "value.txt").write_text(f"{value}\n")
    live_lesson = checked_lesson(
        {22: ssh.port},
        my_value=run("cat value.txt"),
        it={"check": run('printf "%s\\n" "$OBJECTIVE_MY_VALUE" | tee read.txt'),
            "needs": ["my-value"]},
    )  # fmt: skip

    assert checked(checker, live_lesson).message == value
    assert (ssh.home / "read.txt").read_text() == f"{value}\n"


@pytest.mark.parametrize(
    ("command", "matches", "state", "message"),
    [
        ("echo one; echo two; echo three", "^two$", "passed", "three"),
        ("echo one; exit 1", "one", "passed", "one"),
        ("echo one", "^two$", "failed", "one"),
        ("no-such-program", "x", "error", ""),
        ("echo one", "(", "error", ""),
        ("head -c 4000 /dev/zero | tr '\\0' a; echo b", "(a|a)*$", "error", ""),
    ],
)
def test_output_passes_by_its_pattern(
    checker, checked_lesson, ssh, command, matches, state, message
):
    check = {"kind": "output", "command": command, "matches": matches}
    row = checked(checker, checked_lesson({22: ssh.port}, it=check))

    assert (row.state, row.message) == (state, message)


class _Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 404 if self.path == "/missing" else 302 if self.path == "/moved" else 200
        content = {"/data?x=1": json.dumps({"items": [{"name": "a", "n": 3, "ok": True}]})}.get(
            self.path, f"<h1>Hello {self.headers['Host']}</h1>\n<p>more</p>"
        )
        self.send_response(status)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if self.path == "/endless":
                while True:
                    self.wfile.write(b"x" * 65536)
            self.wfile.write(content.encode())

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def page() -> Iterator[int]:
    """Return the port of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def http_check(path="/", status=200, body="", json=None, **fields):
    return {
        "kind": "http", "port": 80, "path": path, "status": status, "body": body, "json": json,
        **fields,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("check", "state"),
    [
        (http_check(), "passed"),
        (http_check("/missing"), "failed"),
        (http_check("/missing", status=404), "passed"),
        (http_check("/moved", status=302), "passed"),
        (http_check(body="^<p>"), "passed"),
        (http_check(body="Hello linux1:80"), "passed"),
        (http_check(body="^Bye"), "failed"),
        (http_check(body="("), "error"),
        (http_check("/endless"), "passed"),
        (http_check("/data?x=1", json={"path": "items.0.name", "equals": "a"}), "passed"),
        (http_check("/data?x=1", json={"path": "items.0.n", "equals": "3"}), "passed"),
        (http_check("/data?x=1", json={"path": "items.0.ok", "equals": "true"}), "passed"),
        (http_check("/data?x=1", json={"path": "items.0.name", "equals": "b"}), "failed"),
        (http_check("/data?x=1", json={"path": "items.7.name", "equals": "a"}), "failed"),
        (http_check("/data?x=1", json={"path": "items.0.none", "equals": "null"}), "failed"),
        (http_check(json={"path": "items", "equals": "a"}), "failed"),
    ],
)
def test_a_page_passes_by_its_answer(checker, checked_lesson, page, check, state):
    row = checked(checker, checked_lesson({80: page}, it=check))

    assert row.state == state
    assert row.message if state == "failed" else row.message == ""


@contextlib.contextmanager
def listener(answer: bytes | None) -> Iterator[int]:
    """Take connections: say ``answer`` and hang up, or say nothing where it is None."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    if answer is not None:
                        connection.sendall(answer)
                        connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in held:
            connection.close()


TCP = {"kind": "tcp", "port": 80}


@pytest.mark.parametrize(
    ("check", "answer", "state"),
    [
        (TCP, None, "passed"),
        (TCP, b"220 hello\r\n", "passed"),
        (TCP, b"", "failed"),
        (http_check(timeout_seconds=1), None, "failed"),
        (http_check(), b"", "failed"),
        (http_check(), b"220 hello\r\n", "failed"),
        (http_check(), b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "failed"),
    ],
)
def test_what_says_nothing_useful(checker, checked_lesson, check, answer, state):
    with listener(answer) as port:
        row = checked(checker, checked_lesson({80: port}, it=check))

    assert row.state == state


@pytest.mark.parametrize("check", [TCP, http_check()])
def test_a_port_where_nobody_listens(checker, checked_lesson, check):
    row = checked(checker, checked_lesson({80: free_port()}, it=check))

    assert row.state == ObjectiveState.FAILED
    assert row.message


@pytest.mark.parametrize(
    ("script", "state", "message"),
    [
        ({}, "passed", "passed"),
        ({"fail_checks": ["it"]}, "failed", "not yet"),
        ({"break_checks": ["it"]}, "error", ""),
        ({"check_seconds": 0.6}, "passed", "passed"),
    ],
)
def test_a_file_passes_by_its_job(checker, checked_lesson, settings, script, state, message):
    settings.SYRINGE_FAKE_SCRIPT = json.dumps(script)
    check = {"kind": "file", "path": "checks/it.py", "language": "python"}
    live_lesson = checked_lesson({}, it=check)
    current_backend().ensure(environment_spec(live_lesson))

    row = checked(checker, live_lesson)

    assert (row.state, row.message) == (state, message)


def test_a_job_whose_result_nobody_took_is_not_asked_again(checker, checked_lesson, settings):
    """The stage was left and is back: what an old job finds is of another time."""
    settings.SYRINGE_FAKE_SCRIPT = json.dumps({"check_seconds": 3600})
    check = {"kind": "file", "path": "checks/it.py", "language": "python"}
    live_lesson = checked_lesson({}, it=check)
    current_backend().ensure(environment_spec(live_lesson))

    def jobs() -> list[int]:
        seen = current_backend().observe([environment_ref(live_lesson)])
        return sorted(run for _, run in seen[environment_ref(live_lesson)].jobs)

    checker.wake()
    wait_until(lambda: jobs() == [1], what="a job")
    objectives_close(live_lessons=[live_lesson])
    settings.SYRINGE_FAKE_SCRIPT = "{}"
    open_all(live_lesson)

    assert checked(checker, live_lesson).attempts == 1
    assert jobs() == [1, 2]


def test_a_file_whose_environment_is_gone_is_nobody_s_fault(checker, checked_lesson):
    check = {"kind": "file", "path": "checks/it.py", "language": "python"}
    live_lesson = checked_lesson({}, it=check)

    checker.wake()

    wait_until(lambda: objective(live_lesson, "it").detail, what="an attempt")
    row = objective(live_lesson, "it")
    assert (row.attempts, row.errors, row.claim) == (0, 0, None)
