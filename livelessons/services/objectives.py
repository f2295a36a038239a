"""Objectives: when they are checked, by whom, and what came of it.

Each step is one statement that says itself under which condition it happens, by the database's
clock. Who writes objectives holds the row of their livelesson; claims pass by what is held.

What stays: an objective that was passed stays so when the learner goes to another stage and comes
back, where ``level`` ones are checked anew. A fresh environment has nothing of the learner's work,
so the objectives of the stage in which it begins start over, unless that stage had been completed
already; a restart that was wished for starts all of them over.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Prefetch, prefetch_related_objects

from events.catalogue import OBJECTIVE_PASSED, STAGE_COMPLETED
from events.services import publish
from lessons.specs import (
    CheckDict,
    ObjectiveDict,
    counting,
    objective_variable,
    stage_objectives,
)
from livelessons.errors import LiveLessonNotFound, ObjectiveNotFound, ObjectiveNotOpen
from livelessons.models import LiveLesson, LiveObjective
from livelessons.states import Desired, ObjectiveState, State
from livelessons.wakeups import wake

BACK_OFF = 1.5
LONGEST_PAUSE_SECONDS = 60.0
AWAY_PAUSE_SECONDS = 3600.0
"""Nobody is there to see a result; whoever comes back is noticed by use."""

MESSAGE_LENGTH = 500
DETAIL_LENGTH = 16_000


@dataclass(frozen=True, slots=True)
class Claimed:
    """A check that is ours to do until the claim expires, and what is needed for that.

    ``live_lesson`` has ``known_endpoints``, as after ``leases_take``. ``variables`` are what the
    checks printed that this one needs, by the names of their environment variables.
    """

    objective: LiveObjective
    live_lesson: LiveLesson
    definition: ObjectiveDict
    variables: Mapping[str, str]

    @property
    def check(self) -> CheckDict:
        return self.definition["check"]


def objectives_create(*, live_lesson: LiveLesson) -> None:
    """Make the rows of a new livelesson's objectives, of all its stages."""


def objectives_open(*, live_lessons: Sequence[LiveLesson]) -> None:
    """Have the objectives of the stages checked at which these livelessons are READY now.

    Within the transaction that moves them, whose ``stage`` is the one arrived at.
    """


def objectives_close(*, live_lessons: Sequence[LiveLesson]) -> None:
    """Check nothing of these livelessons any more and drop results that are still to come.

    Within the transaction that moves them.
    """


def objectives_renew(*, live_lessons: Sequence[LiveLesson]) -> None:
    """Close, and start the objectives over that a fresh environment knows nothing of."""


def objectives_restart(*, live_lesson: LiveLesson) -> None:
    """Start all objectives of a livelesson over, within the transaction of the wish."""


def objectives_claim(
    *, checker: str, limit: int, per_live_lesson: int, ttl: timedelta
) -> list[Claimed]:
    """Take checks that are due, the oldest first, and return them.

    At most ``limit``, and of one livelesson no more than ``per_live_lesson`` at a time, those of
    other checkers included. A claim holds ``ttl`` longer than its check may take; then, or when
    it is released, the check is due again.
    """
    return []


def objective_release(claimed: Claimed) -> None:
    """Give back a check that was not done; it is due at once and counts for nothing."""


def objective_passed(claimed: Claimed, *, message: str, detail: str = "") -> bool:
    """Write that a check passed; False if the claim no longer stands and nothing was written.

    The claim ends with the environment, the stage, READY, or its time. ``message`` is what the
    check printed last, for the learner and for the checks that need it; ``detail`` is all of it,
    for authors.
    """
    return False


def objective_failed(claimed: Claimed, *, message: str, detail: str = "") -> bool:
    """Write that a check was done and not passed; as ``objective_passed``."""
    return False


def objective_broken(claimed: Claimed, *, detail: str) -> bool:
    """Write that the check itself does not work, which no learner is told as a failure.

    As ``objective_passed``. An edge objective or a level one that was passed before stays passed.
    """
    return False


def objectives_wake(*, live_lesson_ids: Sequence[UUID]) -> None:
    """Check the open objectives of livelessons that are being used soon, without back-off.

    One statement. An objective is still not checked more often than its interval allows.
    """


def objectives_ask(*, live_lesson: LiveLesson, slugs: Sequence[str]) -> list[str]:
    """Check these objectives of the present stage now; return those that are being checked.

    A check in progress began before this, so another one follows it.
    """
    return []


def checker_beat(*, name: str) -> None:
    """Say that a checker lives, every few seconds; and forget those that died long ago."""


def checker_leave(*, name: str) -> None:
    """Say that a checker ends."""
