"""How ``check_lesson`` shows what it does and what it has found."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curriculum.problems import printable
from curriculum.rehearsals import Notify, ObjectiveReport, Outcome, Round, StageReport

_SHOWN_DETAIL_LINES = 15
_STYLES = {Outcome.PASSED: "green", Outcome.FAILED: "yellow", Outcome.BROKEN: "red"}


@contextmanager
def notices() -> Iterator[Notify]:
    """Show on standard error what is done: in one line of a terminal, else line by line."""
    console = Console(stderr=True, highlight=False, markup=False)
    if not console.is_terminal:
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    with console.status("Starting") as status:
        yield lambda text: status.update(Text(text))


def show_report(slug: str, reports: Sequence[StageReport], stream: Any) -> None:
    """Write a table for each stage, what is wrong, and a last sentence."""
    console = Console(file=stream, highlight=False, markup=False)
    for report in reports:
        console.print(_table(report))
        if not report.has_solution:
            console.print("There is no solution for this stage, so passing was not checked.")
        for problem in report.problems:
            console.print(f"Stage {report.stage}: {printable(problem)}", style="red")
        for one in report.objectives:
            _show_problems(console, report.stage, one)
    console.print(_sentence(slug, reports))


def report_document(slug: str, reports: Sequence[StageReport]) -> dict[str, Any]:
    """Return the report for programs."""
    return {
        "lesson": slug,
        "good": all(report.is_good for report in reports),
        "stages": [
            {
                "stage": report.stage,
                "good": report.is_good,
                "has_solution": report.has_solution,
                "problems": report.problems,
                "objectives": [
                    {
                        "slug": one.objective["slug"],
                        "kind": one.objective["check"]["kind"],
                        "problems": one.problems,
                        **{
                            turn: {
                                "outcome": answer.outcome,
                                "message": answer.message,
                                "detail": answer.detail,
                                "seconds": round(answer.seconds, 3),
                            }
                            for turn, answer in one.answers.items()
                        },
                    }
                    for one in report.objectives
                ],
            }
            for report in reports
        ],
    }


def _table(report: StageReport) -> Table:
    table = Table(title=f"Stage {report.stage}", title_justify="left")
    table.add_column("objective", overflow="fold")
    turns = [turn for turn in Round if any(turn in one.answers for one in report.objectives)]
    for turn in turns:
        table.add_column(turn.value, no_wrap=True)
    table.add_column("what learners read", overflow="fold", ratio=1)
    for one in report.objectives:
        name = Text(one.objective["slug"], style="bold red" if one.problems else "bold")
        table.add_row(name, *(_cell(one, turn) for turn in turns), _messages(one, turns))
    return table


def _cell(one: ObjectiveReport, turn: Round) -> Text:
    answer = one.answers.get(turn)
    if answer is None:
        return Text("-")
    return Text(f"{answer.outcome.value} {answer.seconds:.1f} s", style=_STYLES[answer.outcome])


def _messages(one: ObjectiveReport, turns: Sequence[Round]) -> Text:
    """Return the messages of the first and the second round; the third repeats the second."""
    said = [one.answers[turn].message for turn in turns[:2] if turn in one.answers]
    return Text("\n".join(printable(message) for message in dict.fromkeys(said) if message))


def _show_problems(console: Console, stage: int, one: ObjectiveReport) -> None:
    for problem in one.problems:
        slug = one.objective["slug"]
        console.print(f"Stage {stage}, {slug}: {printable(problem)}", style="red")
    last = list(one.answers.values())[-1]
    if one.problems and last.outcome != Outcome.PASSED:
        for line in last.detail.strip().splitlines()[-_SHOWN_DETAIL_LINES:]:
            console.print(f"    {printable(line)}", style="dim")


def _sentence(slug: str, reports: Sequence[StageReport]) -> str:
    number = sum(len(report.objectives) for report in reports)
    bad = sum(bool(one.problems) for report in reports for one in report.objectives)
    others = sum(len(report.problems) for report in reports)
    if bad or others:
        solutions = ", and not every solution worked" if others else ""
        return f"{slug}: {bad} of {number} objectives are not as they should be{solutions}."
    if all(report.has_solution for report in reports):
        return f"{slug}: all {number} objectives fail before and pass after the solution."
    return f"{slug}: nothing wrong was found with {number} objectives, not all of them solved."
