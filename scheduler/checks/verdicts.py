"""What comes of a check."""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum, auto

MESSAGE_LENGTH = 500
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?"
)


class Outcome(Enum):
    """Whose business the result is."""

    PASSED = auto()
    FAILED = auto()
    """What the check looked for is not so; the learner goes on."""
    BROKEN = auto()
    """The check itself does not work; its author has to look at it."""
    UNREACHABLE = auto()
    """Nothing was found out, and nobody can help it: it is tried again."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``message`` is for the learner and later checks, ``detail`` for authors."""

    outcome: Outcome
    message: str = ""
    detail: str = ""


def passed(message: str = "", detail: str = "") -> Verdict:
    return Verdict(Outcome.PASSED, message, detail)


def failed(message: str, detail: str = "") -> Verdict:
    return Verdict(Outcome.FAILED, message, detail)


def broken(detail: str) -> Verdict:
    return Verdict(Outcome.BROKEN, detail=detail)


def unreachable(detail: str) -> Verdict:
    return Verdict(Outcome.UNREACHABLE, detail=detail)


def last_line(output: str) -> str:
    """Return the last line that says something, fit to be shown to a learner.

    Without colours and whatever else a terminal would obey, and no longer than a message may be.
    """
    for line in reversed(re.split(r"[\r\n]+", _ESCAPES.sub("", output))):
        shown = "".join(_visible(character) for character in line).strip()
        if shown:
            return shown[:MESSAGE_LENGTH].rstrip()
    return ""


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category.startswith("Z") or character == "\t":
        return " "
    return "" if category.startswith("C") else character
