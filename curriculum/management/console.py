"""How the commands show progress, problems and what was done."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from curriculum.loader import Progress as ShowProgress
from curriculum.loader import no_progress
from curriculum.problems import Problem, Severity, printable
from curriculum.reports import ImportReport, Tally

_LISTED = 20


@contextmanager
def progress_bar() -> Iterator[ShowProgress]:
    """Show a bar on a terminal's standard error, and nothing anywhere else."""
    if not sys.stderr.isatty():
        yield no_progress
        return
    columns = (TextColumn("{task.description:16}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        tasks = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(step, total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield show


def problem_lines(problems: Iterable[Problem], folder: str) -> list[str]:
    """Return every problem as ``file:line: message``."""
    return [problem.render(folder) for problem in problems]


def verdict(problems: Iterable[Problem]) -> tuple[int, str]:
    """Return the number of errors, and a sentence about errors and warnings."""
    severities = [problem.severity for problem in problems]
    errors = severities.count(Severity.ERROR)
    return errors, f"{_count(errors, 'error')}, {_count(len(severities) - errors, 'warning')}."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _row(kind: str, tally: Tally) -> str:
    counts = (tally.added, tally.changed, tally.unchanged, tally.refused, tally.removed)
    return f"{kind:12}" + "".join(f"{len(slugs):>11}" for slugs in counts)


def _names(verb: str, kind: str, slugs: list[str]) -> list[str]:
    if not slugs:
        return []
    shown = ", ".join(printable(slug) for slug in sorted(slugs)[:_LISTED])
    more = f" and {len(slugs) - _LISTED} more" if len(slugs) > _LISTED else ""
    return [f"{verb} {kind}: {shown}{more}"]


def _kinds(report: ImportReport) -> dict[str, Tally]:
    return {
        "lessons": report.lessons,
        "collections": report.collections,
        "images": report.images,
    }


def summary_lines(report: ImportReport) -> list[str]:
    """Return what an import did, as a table and the names of what moved."""
    heads = ("added", "changed", "unchanged", "refused", "removed")
    lines = [" " * 12 + "".join(f"{head:>11}" for head in heads)]
    lines += [_row(kind, tally) for kind, tally in _kinds(report).items()]
    for kind, tally in _kinds(report).items():
        lines += _names("Added", kind, tally.added)
        lines += _names("Changed", kind, tally.changed)
        lines += _left_out(kind, tally)
    if any(tally.kept for tally in _kinds(report).values()):
        lines.append("--prune removes what is no longer in the folder, if nothing needs it.")
    lines.append(revision_sentence(report))
    return lines


def left_out_lines(report: ImportReport) -> list[str]:
    """Return the names of what an import did not take or no longer found in the folder."""
    return [line for kind, tally in _kinds(report).items() for line in _left_out(kind, tally)]


def _left_out(kind: str, tally: Tally) -> list[str]:
    return [
        *_names("Refused", kind, tally.refused),
        *_names("Removed", kind, tally.removed),
        *_names("No longer in the folder but kept,", kind, tally.kept),
    ]


def revision_sentence(report: ImportReport) -> str:
    """Say whether an import changed anything."""
    if report.changed:
        return f"The curriculum is now revision {report.revision}."
    return f"Nothing changed; the curriculum stays at revision {report.revision}."
