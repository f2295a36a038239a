"""Stages that open when the one before them is completed. No query is made here."""

from collections.abc import Collection

from lessons.specs import LessonDict, counting, is_gate, stage_objectives


def closed_gate(spec: LessonDict, *, at: int, stage: int, completed: Collection[int]) -> int | None:
    """Return the stage that has to be completed on the way from ``at`` to ``stage``, or None.

    Gates behind the learner stay open, whatever became of their objectives.
    """
    for passed in range(at, stage):
        closed = is_gate(spec, passed) and passed not in completed
        if closed and counting(stage_objectives(spec, passed)):
            return passed
    return None


def open_stages(spec: LessonDict, *, at: int, completed: Collection[int]) -> int:
    """Return how many stages, from the first, can be had now."""
    number = len(spec["stages"])
    gate = closed_gate(spec, at=at, stage=number - 1, completed=completed)
    return number if gate is None else gate + 1
