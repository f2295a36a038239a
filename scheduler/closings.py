"""Writing what a run found: rows to which the same happened in one statement.

Thousands of livelessons that boot at once take the same steps; together each costs a small part
of what it costs alone.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import DataError, IntegrityError

from livelessons.errors import LeaseLost, StaleTransition
from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.services import live_lessons_move
from livelessons.states import State
from scheduler.decisions import Decision, when_broken
from scheduler.failpoints import Failpoint, failpoint

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.2
"""How long a row waits for more of its kind at most, well within its lease."""

# What one row can do to the statement that it shares with others.
_TROUBLE_OF_ONE = (LeaseLost, StaleTransition, DataError, IntegrityError, ValueError)


@dataclass(frozen=True, slots=True)
class _Kind:
    to: State | None
    wait: timedelta | None
    changes: frozenset[tuple[str, object]]

    @classmethod
    def of(cls, decision: Decision) -> "_Kind":
        return cls(decision.to, decision.wait, frozenset(decision.changes.items()))


_Closing = tuple[LiveLesson, Sequence[LiveEndpoint]]


class Closings:
    """The closing writes of one run, gathered by kind; ``now`` is the run's time."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._kinds: dict[_Kind, list[_Closing]] = defaultdict(list)
        self._write_by: float | None = None

    def add(
        self, live_lesson: LiveLesson, decision: Decision, endpoints: Sequence[LiveEndpoint]
    ) -> None:
        """Take on a row's decision and its endpoints that changed."""
        self._kinds[_Kind.of(decision)].append((live_lesson, endpoints))
        if self._write_by is None:
            self._write_by = time.monotonic() + GATHER_SECONDS

    def are_due(self) -> bool:
        """Say whether the first of them has waited long enough."""
        return self._write_by is not None and time.monotonic() >= self._write_by

    def write(self) -> list[LiveLesson]:
        """Write them all; return the rows that somebody else changed in between."""
        kinds, self._kinds, self._write_by = self._kinds, defaultdict(list), None
        lost: list[LiveLesson] = []
        for kind, found in kinds.items():
            if len(found) == 1 or not self._moved_together(kind, found):
                lost += [closing[0] for closing in found if not self._moved(kind, closing)]
        return lost

    def _moved_together(self, kind: _Kind, found: Sequence[_Closing]) -> bool:
        try:
            self._move(kind, found)
        except _TROUBLE_OF_ONE:
            return False
        return True

    def _moved(self, kind: _Kind, closing: _Closing) -> bool:
        """Write one row, or that it is broken; say whether it was still ours to write."""
        row, _ = closing
        try:
            try:
                self._move(kind, [closing])
            except LeaseLost:
                raise
            except Exception:
                logger.exception("writing failed", extra={"livelesson": str(row.pk)})
                self._move(_Kind.of(when_broken(row, self._now)), [(row, ())])
        except LeaseLost:
            return False
        return True

    def _move(self, kind: _Kind, found: Sequence[_Closing]) -> None:
        live_lessons_move(
            live_lessons=[row for row, _ in found],
            to=kind.to,
            at=self._now,
            next_look_at=None if kind.wait is None else self._now + kind.wait,
            endpoints=[endpoint for _, endpoints in found for endpoint in endpoints],
            **dict(kind.changes),
        )
        failpoint(Failpoint.MOVED)
