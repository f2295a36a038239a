"""What is wrong with a curriculum, and where."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


def printable(text: str) -> str:
    """Escape what could forge lines or steer a terminal; names and keys are the author's."""
    return _UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def quoted(text: str) -> str:
    """Return the author's text fit for a message: printable, short and in quotes."""
    return f"'{printable(text if len(text) <= 60 else text[:57] + '...')}'"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing to correct; ``file`` is relative to the curriculum's folder."""

    file: str
    line: int
    message: str
    severity: Severity = Severity.ERROR

    def render(self, folder: str = "") -> str:
        """Return ``file:line: message``, as editors and CI systems read it."""
        name = f"{folder.rstrip('/')}/{self.file}" if folder else self.file
        label = "" if self.severity is Severity.ERROR else "warning: "
        return f"{printable(name)}:{self.line}: {label}{self.message}"


@dataclass(slots=True)
class Report:
    """Collects the problems of one file or folder, so that all are told at once."""

    file: str
    problems: list[Problem] = field(default_factory=list)

    def error(self, message: str, *, line: int = 1, file: str = "") -> None:
        """Add what prevents an import."""
        self.problems.append(Problem(file or self.file, line, message))

    def warning(self, message: str, *, line: int = 1, file: str = "") -> None:
        """Add what an author should know."""
        self.problems.append(Problem(file or self.file, line, message, Severity.WARNING))

    @property
    def has_errors(self) -> bool:
        """Whether anything here prevents an import."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)

    def promote_warnings(self) -> None:
        """Make errors of all warnings, as ``--strict`` asks."""
        self.problems = [replace(p, severity=Severity.ERROR) for p in self.problems]


def sorted_problems(reports: Iterable[Report]) -> list[Problem]:
    """Return the problems of all reports, once each, by file and line."""
    return sorted({problem for report in reports for problem in report.problems})
