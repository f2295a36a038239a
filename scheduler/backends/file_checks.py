"""Checks that are files of the lesson's folder: how every backend runs them and reads the verdict.

Nothing but the standard library is needed here, since the local backend's supervisors have no
more.
"""

import json
from pathlib import Path
from typing import NamedTuple

KEPT_CHECKS = 3
"""How many runs of one check, the newest, a backend reports."""

VERDICT_BYTES = 4000
"""A little less than Kubernetes keeps of a termination message."""

_PROGRAM = Path(__file__).with_name("check_program.py").read_text()


class Verdict(NamedTuple):
    """What came of a check: ``outcome`` is passed, failed or broken."""

    outcome: str
    message: str
    log_tail: str


def check_command(
    *, verdict: str, language: str, endpoint: str, path: str, timeout_seconds: float
) -> list[str]:
    """Return the command that runs a check and writes ``VERDICT_BYTES`` at most to ``verdict``.

    That is a file, or ``-`` for standard output, of which it is the last line then.
    """
    arguments = [verdict, str(VERDICT_BYTES), language, endpoint, path, f"{timeout_seconds:g}"]
    return ["python", "-c", _PROGRAM, *arguments]


def read_verdict(text: str) -> Verdict | None:
    """Read what a check has written last; None where that is no verdict."""
    try:
        values = json.loads(text.strip().rpartition("\n")[2])
        return Verdict(*(str(values[name]) for name in Verdict._fields))
    except (ValueError, KeyError, TypeError):
        return None
