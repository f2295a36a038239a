"""Which of an objective's hints a learner sees."""

from datetime import datetime, timedelta

from lessons.specs import HintDict, ObjectiveDict


def revealed_hints(
    definition: ObjectiveDict,
    *,
    failures: int,
    opened_at: datetime | None,
    checked_at: datetime | None,
) -> list[str]:
    """Return the hints that the checks so far have earned.

    Time counts up to the last check, so that hints, too, only change when a check is done.
    """
    tried = checked_at - opened_at if checked_at and opened_at else timedelta(0)
    return [hint["text"] for hint in definition["hints"] if _is_revealed(hint, failures, tried)]


def _is_revealed(hint: HintDict, failures: int, tried: timedelta) -> bool:
    wanted, minutes = hint["after_failures"], hint["after_minutes"]
    enough_failures = wanted is not None and failures >= wanted
    return enough_failures or (minutes is not None and tried >= timedelta(minutes=minutes))
