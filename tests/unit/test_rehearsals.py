"""What a rehearsal makes of what checks answer, with a stage that is nothing but a script."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from curriculum.rehearsals import (
    Answer,
    Outcome,
    Round,
    StageReport,
    in_order,
    stage_rehearse,
)
from lessons.specs import ObjectiveDict

PASSED, FAILED, BROKEN = (Answer(outcome, outcome.value) for outcome in Outcome)


def objective(slug: str, *needs: str) -> ObjectiveDict:
    return ObjectiveDict(
        slug=slug,
        description=slug,
        optional=False,
        mode="edge",
        needs=list(needs),
        hints=[],
        check={
            "kind": "run",
            "script": "true",
            "endpoint": "linux",
            "timeout_seconds": 1,
            "interval_seconds": 1,
        },
    )


@dataclass
class ScriptedStage:
    """Answers from lists, one for each time it is asked; the last stays."""

    answers: Mapping[str, list[Answer]]
    failing: Mapping[str, str] = field(default_factory=dict)
    solved: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    async def ask(self, objective: ObjectiveDict, variables: Mapping[str, str]) -> Answer:
        self.asked.append((objective["slug"], dict(variables)))
        left = self.answers[objective["slug"]]
        return left.pop(0) if len(left) > 1 else left[0]

    async def solve(self, endpoint: str, script: str) -> str:
        self.solved.append((endpoint, script))
        return self.failing.get(endpoint, "")


async def rehearse(
    running: ScriptedStage,
    *objectives: ObjectiveDict,
    solution: Mapping[str, str] | None = None,
    patience_seconds: float = 0.0,
) -> StageReport:
    return await stage_rehearse(
        running,
        stage=0,
        objectives=objectives or [objective("note")],
        solution={"linux": "solve"} if solution is None else solution,
        patience_seconds=patience_seconds,
        notify=lambda text: None,
    )


async def test_what_fails_and_then_passes_twice_is_good() -> None:
    running = ScriptedStage({"note": [FAILED, PASSED, PASSED]})

    report = await rehearse(running)

    assert report.is_good
    assert [report.objectives[0].answers[turn].outcome for turn in Round] == [
        Outcome.FAILED,
        Outcome.PASSED,
        Outcome.PASSED,
    ]
    assert running.solved == [("linux", "solve")]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ([PASSED, PASSED, PASSED], "before anybody has done anything"),
        ([BROKEN, PASSED, PASSED], "broke on the untouched stage"),
        ([FAILED, FAILED], "does not pass after the solution: failed"),
        ([FAILED, BROKEN], "breaks after the solution"),
        ([FAILED, PASSED, FAILED], "passes once and then no longer"),
        ([FAILED, Answer(Outcome.FAILED, "", "one\nlast words\n")], "last words"),
    ],
)
async def test_what_is_wrong_is_said(answers: list[Answer], problem: str) -> None:
    report = await rehearse(ScriptedStage({"note": answers}))

    assert not report.is_good
    assert problem in "; ".join(report.objectives[0].problems)


async def test_an_objective_has_time_to_see_the_solution() -> None:
    running = ScriptedStage({"note": [FAILED, FAILED, FAILED, PASSED]})

    assert (await rehearse(running, patience_seconds=60)).is_good


async def test_a_solution_that_fails_is_a_problem_of_the_stage() -> None:
    running = ScriptedStage({"note": [FAILED, PASSED]}, failing={"two": "it exited with 1"})

    report = await rehearse(running, solution={"one": "a", "two": "b"})

    assert report.problems == ["the solution for two did not work: it exited with 1"]
    assert not report.is_good


async def test_without_a_solution_only_failing_is_shown() -> None:
    running = ScriptedStage({"note": [FAILED]})

    report = await rehearse(running, solution={})

    assert report.is_good
    assert not report.has_solution
    assert set(report.objectives[0].answers) == {Round.UNTOUCHED}


async def test_values_pass_between_checks_and_only_when_they_passed() -> None:
    running = ScriptedStage({"b-2": [FAILED, PASSED], "a": [FAILED, Answer(Outcome.PASSED, "17")]})

    report = await rehearse(running, objective("b-2", "a"), objective("a"))

    assert report.is_good
    assert running.asked[:4] == [
        ("a", {}),
        ("b-2", {"OBJECTIVE_A": ""}),
        ("a", {}),
        ("b-2", {"OBJECTIVE_A": "17"}),
    ]
    assert [one.objective["slug"] for one in report.objectives] == ["b-2", "a"]


async def test_a_check_may_break_while_what_it_needs_is_missing() -> None:
    running = ScriptedStage({"a": [FAILED, PASSED], "b": [BROKEN, PASSED]})

    assert (await rehearse(running, objective("a"), objective("b", "a"))).is_good


def test_objectives_come_after_those_they_need() -> None:
    objectives = [objective("d", "c", "b"), objective("c", "a"), objective("b"), objective("a")]

    assert [one["slug"] for one in in_order(objectives)] == ["b", "a", "c", "d"]
