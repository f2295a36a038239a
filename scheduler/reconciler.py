"""One run of the scheduler over some livelessons: lease, observe, decide, act, write."""

import logging
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.services import leases_release, leases_take
from livelessons.states import State
from scheduler import reachability
from scheduler.backends.base import (
    ABSENT,
    BackendRejected,
    BackendUnavailable,
    EnvironmentObservation,
    EnvironmentRef,
    LessonSpec,
    ReasonCode,
    RuntimeBackend,
)
from scheduler.backends.registry import current_backend
from scheduler.closings import Closings
from scheduler.decisions import (
    AT_ONCE,
    Act,
    Decision,
    Policy,
    decide,
    needs_observation,
    when_broken,
    when_rejected,
    when_unavailable,
)
from scheduler.environments import environment_ref, environment_spec
from scheduler.failpoints import Failpoint, failpoint
from scheduler.messages import enqueue_reconcile
from scheduler.observing import observe_all
from scheduler.specs import lesson_spec
from scheduler.timers import look_soon

logger = logging.getLogger(__name__)

FRESH_SECONDS = 0.2
"""How long an observation serves steps that follow at once: a start's last ones need one look."""

MAX_TROUBLE = 2
"""Calls of one batch that may find the backend away before the rest is not even tried.

Each may take as long as a call's time limit, and a hundred of them would hold up a worker.
"""

MAX_ROUNDS = 8
"""Steps in a row that one task takes on a livelesson before it lets others have their turn."""


def policy() -> Policy:
    """Return the limits that the settings give."""
    return Policy(
        boot_timeout=timedelta(seconds=settings.SYRINGE_BOOT_TIMEOUT_SECONDS),
        configuration_timeout=timedelta(seconds=settings.SYRINGE_CONFIGURATION_TIMEOUT_SECONDS),
        start_attempts=settings.SYRINGE_START_ATTEMPTS,
    )


def reconcile(live_lesson_ids: Sequence[UUID]) -> None:
    """Take the livelessons as many steps as need no waiting.

    May run twice, late, or after a crash; rows that vanished or that another run holds are left
    alone.
    """
    due, seen = list(live_lesson_ids), NOTHING_SEEN
    for _ in range(MAX_ROUNDS):
        due, seen = reconcile_once(due, seen)
        if not due:
            return
    enqueue_reconcile(due)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed at a moment of ``time.monotonic``, and has not been acted on since."""

    at: float
    environments: Mapping[EnvironmentRef, EnvironmentObservation]

    def of(self, ref: EnvironmentRef) -> EnvironmentObservation | None:
        """Return what was seen of an environment unless that is too long ago."""
        if time.monotonic() - self.at > FRESH_SECONDS:
            return None
        return self.environments.get(ref)


NOTHING_SEEN = Seen(0.0, {})


def reconcile_once(
    live_lesson_ids: Sequence[UUID], seen: Seen = NOTHING_SEEN
) -> tuple[list[UUID], Seen]:
    """Take each livelesson one step; return those to look at again at once, and what was seen.

    Of environments in ``seen`` the backend is not asked again.
    """
    rows = leases_take(
        live_lesson_ids=live_lesson_ids, ttl=timedelta(seconds=settings.SYRINGE_LEASE_SECONDS)
    )
    failpoint(Failpoint.LEASE_TAKEN)
    if not rows:
        return [], NOTHING_SEEN
    return _Run(rows, current_backend(), seen).take_step()


class _Run:
    """The step of one batch: rows of one lease, observed in one call."""

    def __init__(self, rows: Sequence[LiveLesson], backend: RuntimeBackend, seen: Seen) -> None:
        self.rows = rows
        self.backend = backend
        self.seen = seen
        self.seen_at = time.monotonic()
        self.untouched: dict[EnvironmentRef, EnvironmentObservation] = {}
        self.now = timezone.now()
        self.policy = policy()
        self.quiet: dict[timedelta | None, list[LiveLesson]] = defaultdict(list)
        self.closings = Closings(self.now)
        self.troubles: list[BackendUnavailable] = []
        self.again: list[UUID] = []
        self.soon: dict[timedelta, list[UUID]] = defaultdict(list)
        self.watches: list[tuple[UUID, int, list[reachability.Target]]] = []

    def take_step(self) -> tuple[list[UUID], Seen]:
        observations, trouble = self._observe()
        failpoint(Failpoint.OBSERVED)
        for row in self.rows:
            self._step(row, observations.get(environment_ref(row)), trouble)
            if self.closings.are_due():
                self._write()
        self._write()
        for pause, rows in self.quiet.items():
            leases_release(live_lessons=rows, next_look_at=self._due(pause))
            failpoint(Failpoint.RELEASED)
        for wait, ids in self.soon.items():
            look_soon(ids, wait)
        return list(dict.fromkeys(self.again)), Seen(self.seen_at, self.untouched)

    def _observe(
        self,
    ) -> tuple[Mapping[EnvironmentRef, EnvironmentObservation], BackendUnavailable | None]:
        refs = [environment_ref(row) for row in self.rows if needs_observation(row)]
        known = {ref: found for ref in refs if (found := self.seen.of(ref)) is not None}
        if known:
            self.seen_at = self.seen.at
        unknown = [ref for ref in refs if ref not in known]
        if not unknown:
            return known, None
        try:
            return {**known, **observe_all(self.backend, unknown)}, None
        except BackendUnavailable as exc:
            logger.warning("backend not observed: %s", exc)
            return {}, exc
        except BackendRejected as exc:
            # It says nothing about any lesson, so none is given up for it.
            logger.error("backend refuses to be observed: %s", exc)
            return {}, BackendUnavailable(reason=str(exc))

    def _step(
        self,
        row: LiveLesson,
        seen: EnvironmentObservation | None,
        trouble: BackendUnavailable | None,
    ) -> None:
        """Take one row a step; whatever goes wrong with it stays with it."""
        try:
            self._advance(row, seen, trouble)
        except Exception:
            logger.exception("reconciling failed", extra=_log_fields(row))
            self._close(row, when_broken(row, self.now), ABSENT)

    def _write(self) -> None:
        lost = self.closings.write()
        # A wish came in between, or the lease ran out: what we saw is old, so look again.
        leases_release(live_lessons=lost, next_look_at=self.now)
        self.again += [row.pk for row in lost]
        for row in lost:
            self.untouched.pop(environment_ref(row), None)
        # Only now do the rows say where the endpoints are that may answer.
        for watch in self.watches:
            reachability.watch(*watch)
        self.watches.clear()

    def _advance(
        self,
        row: LiveLesson,
        seen: EnvironmentObservation | None,
        trouble: BackendUnavailable | None,
    ) -> None:
        if trouble is not None and needs_observation(row):
            self._close(row, self._unavailable(row, trouble), ABSENT)
            return
        if seen is None and needs_observation(row):
            self._close(row, when_broken(row, self.now), ABSENT)
            return
        seen = seen or ABSENT
        lesson = lesson_spec(row.spec)
        try:
            decision = decide(row, lesson, seen, self.now, self.policy)
            if decision.act is None and needs_observation(row):
                self.untouched[environment_ref(row)] = seen
            self._act(row, decision)
        except BackendUnavailable as exc:
            logger.warning("backend unavailable: %s", exc, extra=_log_fields(row))
            self.troubles.append(exc)
            decision = self._unavailable(row, exc)
        except BackendRejected as exc:
            logger.warning("backend refused: %s", exc, extra=_log_fields(row))
            decision = when_rejected(
                row,
                ReasonCode(exc.reason_code),
                exc.told,
                self.now,
                self.policy,
                log_tail=exc.detail,
            )
        self._close(row, decision, seen)
        self._probe(row, lesson, decision, seen)

    def _unavailable(self, row: LiveLesson, exc: BackendUnavailable) -> Decision:
        retry_after = timedelta(seconds=exc.retry_after)
        return when_unavailable(row, str(exc), self.now, self.policy, retry_after=retry_after)

    def _act(self, row: LiveLesson, decision: Decision) -> None:
        if decision.act is None:
            return
        if len(self.troubles) >= MAX_TROUBLE:
            raise self.troubles[0]
        spec = environment_spec(row)
        match decision.act:
            case Act.ENSURE:
                failpoint(Failpoint.BEFORE_ENSURE)
                self.backend.ensure(spec)
                failpoint(Failpoint.AFTER_ENSURE)
            case Act.CONFIGURE:
                for endpoint in decision.jobs:
                    failpoint(Failpoint.BEFORE_CONFIGURE)
                    self.backend.configure(
                        spec, stage=row.stage, endpoint=endpoint, run=row.configuration_run
                    )
                    failpoint(Failpoint.AFTER_CONFIGURE)
            case Act.DESTROY:
                failpoint(Failpoint.BEFORE_DESTROY)
                self.backend.destroy(spec.ref)
                failpoint(Failpoint.AFTER_DESTROY)

    def _close(self, row: LiveLesson, decision: Decision, seen: EnvironmentObservation) -> None:
        fresh = decision.to in {State.INITIALIZED, State.BOOTING}
        endpoints = [] if fresh else changed_endpoints(row, seen)
        if decision.to is None and not decision.changes and not endpoints:
            self.quiet[decision.wait].append(row)
        else:
            self.closings.add(row, decision, endpoints)
        if decision.wait == AT_ONCE:
            self.again.append(row.pk)
        elif decision.wait is not None:
            self.soon[decision.wait].append(row.pk)

    def _probe(
        self,
        row: LiveLesson,
        lesson: LessonSpec,
        decision: Decision,
        seen: EnvironmentObservation,
    ) -> None:
        targets = []
        for endpoint in lesson.endpoints if decision.probes else ():
            found = seen.endpoints.get(endpoint.name)
            if endpoint.name in decision.probes and found and found.answering is None:
                ports = tuple(
                    (found.ports[p.port], p.type)
                    for p in endpoint.presentations
                    if p.port in found.ports
                )
                if found.host:
                    targets.append(reachability.Target(endpoint.name, found.host, ports))
        if targets:
            self.watches.append((row.pk, row.attempt, targets))

    def _due(self, wait: timedelta | None) -> datetime | None:
        return None if wait is None else self.now + wait


def _log_fields(row: LiveLesson) -> dict[str, str]:
    return {"livelesson": str(row.pk), "lesson": row.slug, "state": row.state}


def changed_endpoints(row: LiveLesson, seen: EnvironmentObservation) -> list[LiveEndpoint]:
    """Return the endpoints that look other than when they were last written, brought up to date."""
    changed = []
    for known in row.known_endpoints:
        now = seen.endpoints.get(known.name)
        if now is None:
            continue
        values: dict[str, object] = {
            "phase": now.phase,
            "reason_code": now.reason,
            "message": now.message,
            "host": now.host,
            "ports": {str(port): outside for port, outside in now.ports.items()},
            "log_tail": now.log_tail,
            "attempt": row.attempt,
        }
        if now.answering is not None:
            values["reachable"] = now.answering
        elif known.attempt != row.attempt or known.host != now.host:
            values["reachable"] = False
        if any(getattr(known, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(known, name, value)
            known.is_judged = "reachable" in values
            changed.append(known)
    return changed
