"""What one look at a livelesson leads to: a pure function of the row, the world and the clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.states import Desired, EndReason, State
from scheduler.backends.base import (
    EndpointObservation,
    EnvironmentObservation,
    LessonSpec,
    Phase,
    ReasonCode,
)

AT_ONCE = timedelta(0)
MAX_BACK_OFF = timedelta(seconds=30)
MAX_INTERNAL_FAILURES = 5
STEADY = timedelta(minutes=2)
"""Who was READY for so long does not keep crashing, so that its attempts are counted anew.

It is longer than a crash that nobody reported may go unnoticed.
"""


class Act(StrEnum):
    """The one call to the backend that a step makes."""

    ENSURE = "ensure"
    CONFIGURE = "configure"
    DESTROY = "destroy"


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits that decisions keep."""

    boot_timeout: timedelta
    configuration_timeout: timedelta
    start_attempts: int


@dataclass(frozen=True, slots=True)
class Decision:
    """One step: call the backend (``act``), then write ``to`` and ``changes``, then wait.

    ``wait`` is the time until the next look, None when nothing is left to do. ``jobs`` names
    the endpoints to configure, ``probes`` those whose reachability the scheduler has to test.
    """

    to: State | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    act: Act | None = None
    jobs: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    wait: timedelta | None = AT_ONCE


REASONS: dict[ReasonCode, str] = {
    ReasonCode.NONE: "",
    ReasonCode.PENDING: "Waiting for its turn.",
    ReasonCode.IMAGE_PULL: "Fetching the image.",
    ReasonCode.IMAGE_MISSING: "An image of this lesson is not available here.",
    ReasonCode.NO_CAPACITY: "There is no room for another lesson at the moment.",
    ReasonCode.UNSCHEDULABLE: "No machine of the cluster can run this lesson.",
    ReasonCode.FOLDER_MISSING: "The lesson's files could not be fetched.",
    ReasonCode.CRASHED: "An endpoint of this lesson crashed.",
    ReasonCode.CONFIGURATION_FAILED: "Configuring the endpoints for this stage failed.",
    ReasonCode.CONFIGURATION_UNSUPPORTED: "This lesson's configuration is not possible here.",
    ReasonCode.UNREACHABLE: "The endpoints run but do not answer.",
    ReasonCode.TIMEOUT: "The lesson took too long to start.",
    ReasonCode.REJECTED: "This lesson cannot run here.",
    ReasonCode.BACKEND_UNAVAILABLE: "The machines that run lessons cannot be reached.",
    ReasonCode.VANISHED: "The lesson's environment disappeared.",
    ReasonCode.INTERNAL: "Something went wrong inside Syringe.",
}
"""What learners read where the backend says nothing better."""

_TELLING = {ReasonCode.IMAGE_PULL, ReasonCode.NO_CAPACITY, ReasonCode.UNSCHEDULABLE}
"""What an environment that never came up waited for, and so why it never did."""


def needs_observation(row: LiveLesson) -> bool:
    """Say whether a decision on the row needs to know what exists."""
    if row.state == State.FAILED:
        return not row.environment_gone
    if row.state == State.INITIALIZED:
        return False
    return row.state != State.DELETED


def poll_delay(age: timedelta, *, awaited: bool = True) -> timedelta:
    """Return the time between looks at something that takes a while, growing with its age.

    What is ``awaited`` is due at every sweep in its first minutes: 0.6 s, since a look comes a
    little after the sweep that asked for it. Then an end is noticed within 6 s.
    """
    seconds = age.total_seconds()
    every_sweep = (180.0, 0.6) if awaited else (60.0, 1.0)
    for limit, delay in ((0.1, 0.01), (1.0, 0.1), (3.0, 0.25), every_sweep):
        if seconds < limit:
            return timedelta(seconds=delay)
    return timedelta(seconds=5)


def back_off(failures: int) -> timedelta:
    """Return the wait after the n-th failure in a row: doubling from half a second."""
    return min(MAX_BACK_OFF, timedelta(seconds=0.5 * 2 ** min(failures - 1, 10)))


def decide(
    row: LiveLesson,
    spec: LessonSpec,
    seen: EnvironmentObservation,
    now: datetime,
    policy: Policy,
) -> Decision:
    """Compare what is wished with what is, and return the one step to take.

    ``row`` comes from ``leases_take``; ``seen`` is ABSENT where ``needs_observation`` says no.
    """
    if row.desired == Desired.GONE:
        return _leave(row, seen, now)
    if row.state in {State.BOOTING, State.CONFIGURATION, State.READY} and (
        row.restarts != row.desired_restarts
    ):
        return _fresh_environment(row, start_attempts=1, restarts=row.desired_restarts)
    match State(row.state):
        case State.INITIALIZED:
            return _begin(row, now, policy)
        case State.BOOTING:
            return _boot(row, spec, seen, now, policy)
        case State.CONFIGURATION:
            return _configure(row, spec, seen, now, policy)
        case State.READY:
            return _stay(row, seen, now, policy)
        case State.FAILED:
            return _tear_down(row, seen, now)
        case State.DELETING | State.DELETED:
            return _leave(row, seen, now)


def when_unavailable(
    row: LiveLesson,
    message: str,
    now: datetime,
    policy: Policy,
    *,
    retry_after: timedelta = AT_ONCE,
) -> Decision:
    """Return the step after the backend could not be reached, or asked to be left alone."""
    timeout = (
        policy.configuration_timeout if row.state == State.CONFIGURATION else policy.boot_timeout
    )
    # Once all endpoints answer, BOOTING is nothing but the lesson's own delay.
    delayed = row.state == State.BOOTING and row.reachable_since is not None
    starting = row.state in {State.INITIALIZED, State.BOOTING, State.CONFIGURATION} and not delayed
    if starting and row.desired == Desired.RUNNING and now - row.state_since > timeout:
        return _fail(ReasonCode.BACKEND_UNAVAILABLE, "", now, log_tail=message)
    failures = row.failures + 1
    return Decision(
        changes={
            "failures": failures,
            "reason_code": ReasonCode.BACKEND_UNAVAILABLE,
            "reason": REASONS[ReasonCode.BACKEND_UNAVAILABLE],
        },
        wait=max(back_off(failures), retry_after),
    )


def when_rejected(
    row: LiveLesson,
    code: ReasonCode,
    message: str,
    now: datetime,
    policy: Policy,
    *,
    log_tail: str = "",
) -> Decision:
    """Return the step after the backend refused for good, which an environment's loss is not."""
    if row.state in {State.FAILED, State.DELETING}:
        # What cannot be destroyed now is tried again: nothing is ever forgotten.
        return Decision(changes={"failures": row.failures + 1}, wait=MAX_BACK_OFF)
    if code == ReasonCode.VANISHED:
        again = _again(row, code, message, now, policy, log_tail=log_tail)
        # What was lost needs no end; who has not begun yet begins under another name.
        to = again.to if again.to != row.state else None
        return replace(again, act=None, to=to)
    return _fail(code, message, now, log_tail=log_tail)


def when_broken(row: LiveLesson, now: datetime) -> Decision:
    """Return the step after a bug of ours: a few more tries, then FAILED."""
    failures = row.failures + 1
    ending = row.state in {State.FAILED, State.DELETING} or row.desired == Desired.GONE
    if failures > MAX_INTERNAL_FAILURES and not ending:
        return _fail(ReasonCode.INTERNAL, "", now)
    return Decision(changes={"failures": failures}, wait=back_off(failures))


def is_reachable(seen: EndpointObservation, known: LiveEndpoint, attempt: int) -> bool:
    """Say whether an endpoint answers: by the backend's word, else by our last test of it."""
    if seen.phase != Phase.RUNNING and seen.answering is None:
        return False
    if seen.answering is not None:
        return seen.answering
    return known.reachable and known.attempt == attempt and known.host == seen.host


def _begin(row: LiveLesson, now: datetime, policy: Policy) -> Decision:
    if now - row.state_since > policy.boot_timeout:
        return _fail(ReasonCode.TIMEOUT, "", now)
    return Decision(
        act=Act.ENSURE,
        to=State.BOOTING,
        changes={"failures": 0, "restarts": row.desired_restarts},
    )


def _boot(
    row: LiveLesson,
    spec: LessonSpec,
    seen: EnvironmentObservation,
    now: datetime,
    policy: Policy,
) -> Decision:
    if (trouble := _trouble(row, seen, now, policy)) is not None:
        return trouble
    healthy, unreachable = 0, 0
    for known, wanted in zip(row.known_endpoints, spec.endpoints, strict=True):
        endpoint = seen.endpoints.get(known.name)
        if endpoint is not None and is_reachable(endpoint, known, row.attempt):
            healthy += len(wanted.presentations)
        else:
            unreachable += 1
    changes = _differing(
        row,
        healthy_tests=healthy,
        reason_code=seen.reason,
        reason=seen.message or REASONS[seen.reason],
        failures=0,
    )
    if unreachable or seen.phase != Phase.RUNNING:
        age = now - row.state_since
        if age > policy.boot_timeout:
            code, message = _why_late(seen)
            return _again(row, code, message, now, policy, log_tail=_log_tail(seen))
        return Decision(changes=changes, wait=poll_delay(age), probes=_untested(row, seen))
    since = row.reachable_since or now
    remaining = since + timedelta(seconds=spec.ready_delay_seconds) - now
    if remaining > timedelta(0):
        if row.reachable_since is None:
            changes["reachable_since"] = now
        return Decision(changes=changes, wait=remaining)
    return Decision(
        to=State.CONFIGURATION, changes={**changes, "reachable_since": since, **_next_run(row)}
    )


def _configure(
    row: LiveLesson,
    spec: LessonSpec,
    seen: EnvironmentObservation,
    now: datetime,
    policy: Policy,
) -> Decision:
    if (trouble := _trouble(row, seen, now, policy)) is not None:
        return trouble
    files = spec.stages[row.stage].configurations
    wanted = [e.name for e in spec.endpoints if e.configuration_type and e.name in files]
    jobs = {name: seen.jobs.get((name, row.configuration_run)) for name in wanted}
    for name, job in jobs.items():
        if job is not None and job.phase == Phase.FAILED:
            message = f"Configuring {name} failed: {job.message}" if job.message else ""
            return _again(
                row,
                ReasonCode.CONFIGURATION_FAILED,
                message,
                now,
                policy,
                log_tail=job.log_tail,
            )
    age = now - row.state_since
    if age > policy.configuration_timeout:
        return _again(row, ReasonCode.TIMEOUT, "", now, policy, log_tail=_log_tail(seen))
    if missing := tuple(name for name, job in jobs.items() if job is None):
        return Decision(act=Act.CONFIGURE, jobs=missing, wait=poll_delay(age))
    if all(job is not None and job.phase == Phase.SUCCEEDED for job in jobs.values()):
        return Decision(
            to=State.READY,
            changes={
                "ready_at": row.ready_at or now,
                "observed_generation": row.lease_generation,
                "healthy_tests": row.total_tests,
                **_NO_TROUBLE,
            },
            wait=AT_ONCE if row.desired_stage != row.stage else None,
        )
    return Decision(changes=_differing(row, failures=0), wait=poll_delay(age))


def _stay(row: LiveLesson, seen: EnvironmentObservation, now: datetime, policy: Policy) -> Decision:
    if (trouble := _trouble(row, seen, now, policy)) is not None:
        return trouble
    if row.desired_stage != row.stage:
        return Decision(to=State.CONFIGURATION, changes={**_next_run(row), "start_attempts": 1})
    changes = _differing(row, observed_generation=row.lease_generation, **_NO_TROUBLE)
    # What starts again by itself is watched until it runs, or has failed.
    wait = None if seen.phase == Phase.RUNNING else poll_delay(now - row.state_since)
    return Decision(changes=changes, wait=wait, probes=_untested(row, seen))


def _untested(row: LiveLesson, seen: EnvironmentObservation) -> tuple[str, ...]:
    """Return the endpoints that run and of which nobody has said yet that they answer there."""
    names = []
    for known in row.known_endpoints:
        endpoint = seen.endpoints.get(known.name)
        # An address may come first; what answers there before all of it runs says nothing.
        if endpoint is None or endpoint.phase != Phase.RUNNING:
            continue
        if not is_reachable(endpoint, known, row.attempt):
            names.append(known.name)
    return tuple(names)


def _tear_down(row: LiveLesson, seen: EnvironmentObservation, now: datetime) -> Decision:
    if row.environment_gone:
        return Decision(
            changes=_differing(row, observed_generation=row.lease_generation), wait=None
        )
    if seen.phase == Phase.ABSENT:
        return Decision(
            changes={"environment_gone": True, "observed_generation": row.lease_generation},
            wait=None,
        )
    return _destroy(row, seen, now)


def _leave(row: LiveLesson, seen: EnvironmentObservation, now: datetime) -> Decision:
    if row.state == State.DELETED:
        return Decision(wait=None)
    if row.state != State.DELETING:
        return Decision(to=State.DELETING, changes={"ended_at": row.ended_at or now})
    if seen.phase == Phase.ABSENT:
        return Decision(
            to=State.DELETED,
            changes={"environment_gone": True, "observed_generation": row.lease_generation},
            wait=None,
        )
    return _destroy(row, seen, now)


def _destroy(row: LiveLesson, seen: EnvironmentObservation, now: datetime) -> Decision:
    wait = poll_delay(now - row.state_since, awaited=False)
    if seen.phase == Phase.DELETING:
        return Decision(changes=_what_holds_up(row, seen.message), wait=wait)
    return Decision(act=Act.DESTROY, wait=wait)


def _what_holds_up(row: LiveLesson, message: str) -> dict[str, object]:
    """Write down for operators what an environment waits for that does not go."""
    if not message or message in f"{row.reason}\n{row.log_tail}":
        return {}
    if row.state == State.DELETING:
        return {"reason": message}
    # The reason is why it failed, and learners still read it.
    return {"log_tail": f"{row.log_tail}\n{message}".strip()}


def _trouble(
    row: LiveLesson, seen: EnvironmentObservation, now: datetime, policy: Policy
) -> Decision | None:
    if seen.phase in {Phase.ABSENT, Phase.DELETING}:
        return _again(row, ReasonCode.VANISHED, "", now, policy)
    if seen.phase == Phase.FAILED:
        code = seen.reason or ReasonCode.CRASHED
        if code == ReasonCode.REJECTED:
            return _fail(code, seen.message, now, log_tail=_log_tail(seen))
        return _again(row, code, seen.message, now, policy, log_tail=_log_tail(seen))
    return None


def _again(
    row: LiveLesson,
    code: ReasonCode,
    message: str,
    now: datetime,
    policy: Policy,
    *,
    log_tail: str = "",
) -> Decision:
    steady = row.state == State.READY and now - row.state_since >= STEADY
    tried = 0 if steady else row.start_attempts
    if tried >= policy.start_attempts:
        return _fail(code, message, now, log_tail=log_tail)
    decision = _fresh_environment(
        row,
        start_attempts=tried + 1,
        reason_code=code,
        reason=message or REASONS[code],
        log_tail=log_tail,
    )
    return Decision(
        to=decision.to,
        changes=decision.changes,
        act=decision.act,
        wait=back_off(max(tried, 1)),
    )


def _fresh_environment(row: LiveLesson, **changes: object) -> Decision:
    return Decision(
        act=Act.DESTROY,
        to=State.INITIALIZED,
        changes={
            "attempt": row.attempt + 1,
            "stage": row.desired_stage,
            "healthy_tests": 0,
            "reachable_since": None,
            "failures": 0,
            **changes,
        },
    )


def _fail(code: ReasonCode, message: str, now: datetime, *, log_tail: str = "") -> Decision:
    vanished = code == ReasonCode.VANISHED
    return Decision(
        to=State.FAILED,
        changes={
            "reason_code": code,
            "reason": message or REASONS[code],
            "log_tail": log_tail,
            "ended_at": now,
            "end_reason": EndReason.VANISHED if vanished else EndReason.FAILED,
            "failures": 0,
        },
    )


_NO_TROUBLE: dict[str, object] = {"reason_code": "", "reason": "", "log_tail": "", "failures": 0}


def _next_run(row: LiveLesson) -> dict[str, object]:
    return {"stage": row.desired_stage, "configuration_run": row.configuration_run + 1}


def _differing(row: LiveLesson, **values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if getattr(row, name) != value}


def _why_late(seen: EnvironmentObservation) -> tuple[ReasonCode, str]:
    """Return what kept an environment from being there in time, as far as it says so."""
    if seen.phase == Phase.RUNNING:
        return ReasonCode.UNREACHABLE, ""
    if seen.reason in _TELLING:
        return seen.reason, seen.message
    return ReasonCode.TIMEOUT, ""


def _log_tail(seen: EnvironmentObservation) -> str:
    tails = (f"{name}: {e.log_tail}" for name, e in seen.endpoints.items() if e.log_tail)
    return "\n".join(tails)
