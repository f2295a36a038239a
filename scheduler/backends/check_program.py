"""Runs the file of a check beside its endpoint, and says what came of it.

It is carried to where authors' code runs as text, for ``python -c``, so it needs nothing but the
standard library. Its arguments: the file to write the verdict to (``-``: standard output), how many
bytes that takes, the language, the endpoint, the path and the seconds it may last.

The verdict is one line of JSON: ``outcome`` (passed, failed, broken), ``message``, ``log_tail``.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

_KEPT_BYTES = 16_000
_MESSAGE_LENGTH = 500

# An exception is told from ``sys.exit("what the learner reads")``, which has the same exit code.
_PYTHON = """
import json, runpy, sys, traceback
report, path = sys.argv[1:]
sys.argv = [path]
sys.path[0] = path.rpartition("/")[0]
try:
    runpy.run_path(path, run_name="__main__")
except Exception as problem:
    shown = problem.__traceback__
    while shown and shown.tb_frame.f_code.co_filename != path:
        shown = shown.tb_next
    traceback.print_exception(type(problem), problem, shown)
    with open(report, "w") as file:
        json.dump({"broken": f"{type(problem).__name__}: {problem}"}, file)
    sys.exit(1)
"""

# A playbook's own last line is a table, so this callback writes down what its tasks say. What a
# task of the lesson says with ``msg`` or ``fail_msg`` counts, else what its command printed.
_ANSIBLE = """
import json, os
from ansible.plugins.callback import CallbackBase

def last_line(text):
    lines = [line.strip() for line in str(text or "").splitlines()]
    return next((line for line in reversed(lines) if line), "")

def words(data):
    for item in data.get("results") or ():
        if isinstance(item, dict) and item.get("failed"):
            return words(item)
    if "rc" in data:
        printed = last_line(data.get("stdout")) or last_line(data.get("stderr"))
        if printed:
            return printed
    message = data.get("msg") or ""
    if isinstance(message, list):
        message = message[-1] if message else ""
    return last_line(message)

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "syringe_check"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = {"ran": False}

    def note(self, **changes):
        self.seen.update(changes)
        with open(os.environ["SYRINGE_CHECK_REPORT"], "w") as file:
            json.dump(self.seen, file)

    def v2_runner_on_ok(self, result):
        data = getattr(result, "result", None) or result._result
        task = getattr(result, "task", None) or result._task
        action = task.action.rpartition(".")[2]
        if action in ("assert", "debug"):
            self.note(ran=True, said=words(data))
        elif action not in ("gather_facts", "setup"):
            self.note(ran=True)

    def v2_runner_on_skipped(self, result):
        self.note(ran=True)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if ignore_errors:
            return self.note(ran=True)
        data = getattr(result, "result", None) or result._result
        message = str(data.get("msg") or "")
        # Ansible's own complaint, of a variable that is not defined for instance, and no task's.
        if "module_stderr" in data or message.startswith("Task failed: "):
            return self.note(ran=True, broken=last_line(message))
        task = getattr(result, "task", None) or result._task
        return self.note(ran=True, broken="", failed=words(data) or task.get_name())

    def v2_runner_on_unreachable(self, result):
        data = getattr(result, "result", None) or result._result
        self.note(ran=True, broken=f"the endpoint cannot be reached: {last_line(data.get('msg'))}")
"""


def main() -> None:
    place, size, language, endpoint, path, seconds = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        outcome, message, printed = _judge(Path(folder), language, endpoint, path, float(seconds))
    verdict = _verdict(outcome, message, printed, int(size))
    if place == "-":
        sys.stdout.buffer.write(verdict.encode() + b"\n")
    else:
        # For whoever reads the logs.
        print(printed.encode("ascii", "backslashreplace").decode())
        Path(place).write_text(verdict, encoding="utf-8")
    sys.exit(0 if outcome == "passed" else 1)


def _judge(
    folder: Path, language: str, endpoint: str, path: str, seconds: float
) -> tuple[str, str, str]:
    """Return the outcome, the message and the end of what was printed."""
    if not Path(path).is_file():
        return "broken", f"there is no file {path}", ""
    report = folder / "report"
    environment = dict(os.environ)
    if language == "python":
        command = [sys.executable, "-c", _PYTHON, str(report), path]
    else:
        (folder / "syringe_check.py").write_text(_ANSIBLE)
        environment["ANSIBLE_CALLBACK_PLUGINS"] = str(folder)
        environment["ANSIBLE_CALLBACKS_ENABLED"] = "syringe_check"
        environment["SYRINGE_CHECK_REPORT"] = str(report)
        command = ["ansible-playbook", "-v", "-i", f"{endpoint},", path]
    try:
        code, printed = _run(command, environment, seconds)
    except OSError as error:
        return "broken", f"{command[0]} cannot be run: {error.strerror}", ""
    noted = json.loads(report.read_text()) if report.exists() else {}
    if code is None:
        return "broken", f"it took longer than {seconds:g} s", printed
    if code < 0:
        return "broken", f"it was ended by signal {-code}", printed
    if noted.get("broken"):
        return "broken", noted["broken"], printed
    judge = _of_script if language == "python" else _of_playbook
    return (*judge(code, printed, noted), printed)


def _of_script(code: int, printed: str, noted: dict[str, str]) -> tuple[str, str]:
    return ("failed" if code else "passed"), _last_line(printed)


def _of_playbook(code: int, printed: str, noted: dict[str, str]) -> tuple[str, str]:
    if code and "failed" in noted:
        return "failed", noted["failed"]
    if code:
        signs = ("[ERROR]: ", "ERROR! ")
        errors = [line for line in printed.splitlines() if line.startswith(signs)]
        return "broken", errors[-1] if errors else _last_line(printed)
    if not noted.get("ran"):
        return "broken", "no task of the playbook ran"
    return "passed", noted.get("said", "")


def _run(command: list[str], environment: dict[str, str], seconds: float) -> tuple[int | None, str]:
    """Return the exit code, None where time ran out, and the end of the output."""
    output, output_inside = os.pipe()
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output_inside,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    finally:
        os.close(output_inside)
    kept = bytearray()
    reader = threading.Thread(target=_keep, args=(output, kept), daemon=True)
    reader.start()
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = None
    # What it left running would keep the pipe open, or go on while the verdict is written.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    reader.join(1)
    text = bytes(kept).decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return code, text


def _keep(pipe: int, kept: bytearray) -> None:
    while data := os.read(pipe, 65_536):
        kept += data
        del kept[:-_KEPT_BYTES]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")


def _verdict(outcome: str, message: str, printed: str, size: int) -> str:
    """Return the verdict in no more than so many bytes; what was printed gives way."""
    # What a playbook says of output that is not UTF-8 has characters that cannot be written.
    message = re.sub(r"[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", message[:_MESSAGE_LENGTH])
    while True:
        values = {"outcome": outcome, "message": message, "log_tail": printed.strip()}
        text = json.dumps(values, ensure_ascii=False)
        if len(text.encode()) <= size or not (printed or message):
            return text
        if printed:
            printed = printed[len(printed) // 8 + 1 :]
        else:
            message = message[: len(message) * 7 // 8]


if __name__ == "__main__":
    main()
