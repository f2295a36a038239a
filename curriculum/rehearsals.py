"""Does a stage's check tell apart a learner who has done nothing and one who has done all?

Every objective has to fail on the untouched stage and to pass, twice, after the author's solution.
Nothing here knows where the stage runs.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lessons.specs import ObjectiveDict, objective_variable


class Outcome(StrEnum):
    """What a check came to."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    """It said nothing of the learner: its author, or a machine, is at fault."""


class Round(StrEnum):
    """When a check is made."""

    UNTOUCHED = "untouched"
    SOLVED = "solved"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Answer:
    """``message`` is what learners read, ``detail`` the end of what the check printed."""

    outcome: Outcome
    message: str = ""
    detail: str = ""
    seconds: float = 0.0


class RunningStage(Protocol):
    """A stage as a learner has it before them."""

    async def ask(self, objective: ObjectiveDict, variables: Mapping[str, str]) -> Answer:
        """Check an objective once; ``variables`` are what the checks that it needs printed."""

    async def solve(self, endpoint: str, script: str) -> str:
        """Run a part of the author's solution and return what went wrong, or nothing."""


Notify = Callable[[str], None]
"""Is told what is being done."""


@dataclass(slots=True)
class ObjectiveReport:
    """What an objective's check answered, and what is wrong with that."""

    objective: ObjectiveDict
    answers: dict[Round, Answer] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass(slots=True)
class StageReport:
    """One stage; ``problems`` are those of no single objective."""

    stage: int
    objectives: list[ObjectiveReport]
    has_solution: bool
    problems: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.problems or any(report.problems for report in self.objectives))


async def stage_rehearse(
    running: RunningStage,
    *,
    stage: int,
    objectives: Sequence[ObjectiveDict],
    solution: Mapping[str, str],
    patience_seconds: float,
    notify: Notify,
) -> StageReport:
    """Go through a stage as an idle learner and as a perfect one, and report.

    ``patience_seconds`` is what may pass between the solution and an objective that sees it.
    """
    reports = [ObjectiveReport(objective) for objective in objectives]
    report = StageReport(stage, reports, has_solution=bool(solution))
    notify(f"Stage {stage}: checking what nobody has touched yet")
    await _go_round(running, Round.UNTOUCHED, reports)
    for one in reports:
        _judge_untouched(one, reports)
    if not solution:
        return report
    notify(f"Stage {stage}: running the solution on {', '.join(solution)}")
    report.problems += await _solve(running, solution)
    notify(f"Stage {stage}: checking what is solved")
    await _go_round(running, Round.SOLVED, reports, patience_seconds=patience_seconds)
    notify(f"Stage {stage}: checking it again")
    await _go_round(running, Round.AGAIN, reports)
    for one in reports:
        _judge_solved(one)
    return report


def in_order(objectives: Iterable[ObjectiveDict]) -> list[ObjectiveDict]:
    """Return objectives so that each comes after those it needs."""
    waiting = list(objectives)
    ordered: list[ObjectiveDict] = []
    while waiting:
        done = {objective["slug"] for objective in ordered}
        ready = [one for one in waiting if done.issuperset(one["needs"])]
        # Lessons are checked for circles when they are imported.
        ordered += ready or waiting
        waiting = [one for one in waiting if one not in ordered]
    return ordered


async def _solve(running: RunningStage, solution: Mapping[str, str]) -> list[str]:
    told = await asyncio.gather(
        *(running.solve(endpoint, script) for endpoint, script in solution.items())
    )
    return [
        f"the solution for {endpoint} did not work: {wrong}"
        for endpoint, wrong in zip(solution, told, strict=True)
        if wrong
    ]


async def _go_round(
    running: RunningStage,
    turn: Round,
    reports: Iterable[ObjectiveReport],
    *,
    patience_seconds: float = 0.0,
) -> None:
    """Ask every objective, those that others need first; asked anew until they pass, if told."""
    by_slug = {report.objective["slug"]: report for report in reports}
    end = time.monotonic() + patience_seconds
    for objective in in_order(report.objective for report in by_slug.values()):
        variables = {
            objective_variable(slug): _printed(by_slug[slug].answers.get(turn))
            for slug in objective["needs"]
            if slug in by_slug
        }
        answers = by_slug[objective["slug"]].answers
        while True:
            began = time.monotonic()
            answer = await running.ask(objective, variables)
            answers[turn] = Answer(
                answer.outcome, answer.message, answer.detail, time.monotonic() - began
            )
            if answer.outcome == Outcome.PASSED or time.monotonic() > end:
                break
            await asyncio.sleep(0.5)


def _printed(answer: Answer | None) -> str:
    return answer.message if answer is not None and answer.outcome == Outcome.PASSED else ""


def _judge_untouched(report: ObjectiveReport, reports: Iterable[ObjectiveReport]) -> None:
    answer = report.answers[Round.UNTOUCHED]
    if answer.outcome == Outcome.PASSED:
        report.problems.append("it passes before anybody has done anything")
    if answer.outcome == Outcome.BROKEN and not _waits(report, reports):
        report.problems.append(f"the check broke on the untouched stage: {_explained(answer)}")


def _waits(report: ObjectiveReport, reports: Iterable[ObjectiveReport]) -> bool:
    """Say whether the objective would not be checked yet, since others have to pass before it."""
    passed = {
        one.objective["slug"]
        for one in reports
        if one.answers[Round.UNTOUCHED].outcome == Outcome.PASSED
    }
    return not passed.issuperset(report.objective["needs"])


def _judge_solved(report: ObjectiveReport) -> None:
    solved, again = report.answers[Round.SOLVED], report.answers[Round.AGAIN]
    if solved.outcome != Outcome.PASSED:
        verb = "does not pass" if solved.outcome == Outcome.FAILED else "breaks"
        report.problems.append(f"it {verb} after the solution: {_explained(solved)}")
    elif again.outcome != Outcome.PASSED:
        report.problems.append(f"it passes once and then no longer: {_explained(again)}")


def _explained(answer: Answer) -> str:
    return answer.message or answer.detail.strip().rpartition("\n")[2] or "it printed nothing"
