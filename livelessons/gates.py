"""Stages that open when the one before them is completed. No query is made here.

A gate is for learners to pass, so it stands open while objectives are not checked at all, and does
not wait for those whose check is broken.
"""

from collections.abc import Collection, Mapping, Sequence

from lessons.specs import LessonDict, ObjectiveDict, counting, is_gate, stage_objectives
from livelessons.states import ObjectiveState


def closed_gate(
    spec: LessonDict,
    *,
    at: int,
    stage: int,
    completed: Collection[int],
    states: Mapping[str, str],
    checked: bool,
) -> int | None:
    """Return the stage that has to be completed on the way from ``at`` to ``stage``, or None.

    ``states`` are those of the objectives of ``at``, by slug; ``checked`` says whether anybody
    checks. Gates behind the learner stay open, whatever became of their objectives.
    """
    if not checked:
        return None
    for passed in range(at, stage):
        if is_gate(spec, passed) and passed not in completed:
            objectives = stage_objectives(spec, passed)
            if still_missing(objectives, states if passed == at else {}):
                return passed
    return None


def open_stages(
    spec: LessonDict,
    *,
    at: int,
    completed: Collection[int],
    states: Mapping[str, str],
    checked: bool,
) -> int:
    """Return how many stages, from the first, can be had now."""
    number = len(spec["stages"])
    gate = closed_gate(
        spec, at=at, stage=number - 1, completed=completed, states=states, checked=checked
    )
    return number if gate is None else gate + 1


def still_missing(
    objectives: Sequence[ObjectiveDict], states: Mapping[str, str]
) -> list[ObjectiveDict]:
    """Return those of a stage's objectives for which its gate waits.

    Not those whose check is broken, nor what needs one of them, since it can never be passed.
    """
    out_of_reach: set[str] = set()
    while (
        found := {
            objective["slug"]
            for objective in objectives
            if states.get(objective["slug"]) != ObjectiveState.PASSED
            and (
                states.get(objective["slug"]) == ObjectiveState.ERROR
                or not out_of_reach.isdisjoint(objective["needs"])
            )
        }
        - out_of_reach
    ):
        out_of_reach |= found
    return [
        objective
        for objective in counting(objectives)
        if states.get(objective["slug"]) != ObjectiveState.PASSED
        and objective["slug"] not in out_of_reach
    ]
