"""The pure function at the heart of the scheduler, case by case."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.states import ALLOWED, Desired, State
from scheduler.backends.base import (
    ABSENT,
    EndpointObservation,
    EndpointSpec,
    EnvironmentObservation,
    ImageSpec,
    JobObservation,
    LessonSpec,
    Phase,
    PresentationSpec,
    ReasonCode,
    StageSpec,
)
from scheduler.decisions import (
    MAX_BACK_OFF,
    REASONS,
    Act,
    Decision,
    Policy,
    back_off,
    decide,
    poll_delay,
    when_broken,
    when_rejected,
    when_unavailable,
)
from scheduler.timers import LEFT_TO_SWEEPS

NOW = timezone.now()
POLICY = Policy(
    boot_timeout=timedelta(seconds=60),
    configuration_timeout=timedelta(seconds=60),
    start_attempts=3,
)
LESSON = LessonSpec(
    slug="lesson",
    digest="d",
    bundle_sha256="b",
    endpoints=(
        EndpointSpec(
            name="linux1",
            image=ImageSpec(slug="utility"),
            configuration_type="python",
            presentations=(PresentationSpec(name="cli", port=22, type="ssh"),),
        ),
    ),
    stages=(StageSpec(configurations={"linux1": "stage0/configs/linux1.py"}), StageSpec()),
)


def row(state: State, **fields) -> LiveLesson:
    live_lesson = LiveLesson(
        **{
            "slug": "lesson",
            "state": state,
            "state_since": NOW - timedelta(seconds=5),
            "created_at": NOW,
            "last_active_at": NOW,
            "expires_at": NOW,
            "total_tests": 1,
            "configuration_run": 1,
            "lease_generation": 4,
            "observed_generation": 4,
            **fields,
        }
    )
    live_lesson.known_endpoints = [LiveEndpoint(name="linux1", position=0)]
    return live_lesson


def seen(phase: Phase = Phase.RUNNING, *, answering: bool | None = True, jobs=None):
    endpoint = EndpointObservation(
        phase=phase, host="127.0.0.1", ports={22: 4022}, answering=answering, log_tail="boom"
    )
    return EnvironmentObservation(phase=phase, endpoints={"linux1": endpoint}, jobs=jobs or {})


def decision(live_lesson: LiveLesson, observation: EnvironmentObservation):
    return decide(live_lesson, LESSON, observation, NOW, POLICY)


OBSERVATIONS = {
    "absent": ABSENT,
    "starting": seen(Phase.STARTING, answering=None),
    "running": seen(),
    "failed": seen(Phase.FAILED),
    "deleting": EnvironmentObservation(phase=Phase.DELETING),
    "configured": seen(jobs={("linux1", 1): JobObservation(phase=Phase.SUCCEEDED)}),
    "misconfigured": seen(jobs={("linux1", 1): JobObservation(phase=Phase.FAILED)}),
}


@pytest.mark.parametrize("desired", Desired)
@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
@pytest.mark.parametrize("state", State)
def test_every_step_is_one_that_the_table_allows(state, observation, desired):
    step = decision(row(state, desired=desired), observation)

    assert step.to is None or step.to in ALLOWED[state]


@pytest.mark.parametrize("desired", Desired)
@pytest.mark.parametrize("observation", OBSERVATIONS.values(), ids=OBSERVATIONS)
@pytest.mark.parametrize("state", State)
def test_nothing_rests_before_it_is_where_it_should_be(state, observation, desired):
    """Either somebody looks again, or what is wished is: nothing is ever stuck."""
    step = decision(row(state, desired=desired), observation)

    if step.wait is None:
        end = step.to or state
        rests = {
            Desired.RUNNING: {State.READY, State.FAILED, State.DELETED},
            Desired.GONE: {State.DELETED},
        }
        assert end in rests[desired]


def test_a_wish_to_end_comes_before_all_else():
    step = decision(row(State.BOOTING, desired=Desired.GONE, desired_restarts=1), seen())

    assert step.to == State.DELETING


def test_a_restart_destroys_and_takes_a_new_name():
    step = decision(row(State.READY, desired_restarts=1, attempt=4), seen())

    assert (step.act, step.to) == (Act.DESTROY, State.INITIALIZED)
    assert (step.changes["attempt"], step.changes["restarts"]) == (5, 1)


def test_an_endpoint_that_the_backend_cannot_vouch_for_is_probed():
    step = decision(row(State.BOOTING), seen(answering=None))

    assert step.probes == ("linux1",)
    assert step.to is None


def test_an_endpoint_that_has_an_address_before_it_runs_is_not_probed_yet():
    step = decision(row(State.BOOTING), seen(Phase.STARTING, answering=None))

    assert step.probes == ()
    assert step.wait > timedelta(0)


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (ReasonCode.NO_CAPACITY, ReasonCode.NO_CAPACITY),
        (ReasonCode.UNSCHEDULABLE, ReasonCode.UNSCHEDULABLE),
        (ReasonCode.PENDING, ReasonCode.TIMEOUT),
        (ReasonCode.NONE, ReasonCode.TIMEOUT),
    ],
)
def test_what_never_came_up_fails_for_what_it_waited_for(reason, told):
    late = row(State.BOOTING, start_attempts=3, state_since=NOW - timedelta(seconds=61))

    step = decision(late, EnvironmentObservation(phase=Phase.STARTING, reason=reason))

    assert (step.to, step.changes["reason_code"]) == (State.FAILED, told)


def test_what_was_found_reachable_in_another_attempt_does_not_count():
    live_lesson = row(State.BOOTING, attempt=2)
    live_lesson.known_endpoints = [
        LiveEndpoint(name="linux1", position=0, reachable=True, attempt=1, host="127.0.0.1")
    ]

    assert decision(live_lesson, seen(answering=None)).probes == ("linux1",)


@pytest.mark.parametrize("state", [State.BOOTING, State.READY])
def test_what_moved_to_another_address_is_tested_there(state):
    live_lesson = row(state)
    [known] = live_lesson.known_endpoints = [
        LiveEndpoint(name="linux1", position=0, reachable=True, attempt=1, host="127.0.0.1")
    ]
    assert decision(live_lesson, seen(answering=None)).probes == ()

    known.host = "192.0.2.1"

    assert decision(live_lesson, seen(answering=None)).probes == ("linux1",)


def test_a_stage_without_configuration_is_ready_at_once():
    step = decision(row(State.CONFIGURATION, stage=1, desired_stage=1), seen())

    assert (step.act, step.to, step.wait) == (None, State.READY, None)


def test_jobs_of_an_earlier_run_do_not_count():
    live_lesson = row(State.CONFIGURATION, configuration_run=2)

    step = decision(live_lesson, OBSERVATIONS["configured"])

    assert (step.act, step.jobs) == (Act.CONFIGURE, ("linux1",))


def test_the_last_attempt_fails_with_reason_and_log():
    step = decision(row(State.BOOTING, start_attempts=3), seen(Phase.FAILED))

    assert step.to == State.FAILED
    assert step.changes["reason_code"] == ReasonCode.CRASHED
    assert step.changes["log_tail"] == "linux1: boom"


def test_what_is_lost_for_good_ends_as_vanished_and_what_fails_as_failed():
    for observation, reason in ((ABSENT, "vanished"), (seen(Phase.FAILED), "failed")):
        step = decision(row(State.READY, start_attempts=3), observation)
        assert (step.to, step.changes["end_reason"]) == (State.FAILED, reason)


def test_what_the_cluster_refuses_is_not_tried_again():
    refused = EnvironmentObservation(phase=Phase.FAILED, reason=ReasonCode.REJECTED, message="No.")

    step = decision(row(State.BOOTING), refused)

    assert (step.to, step.changes["reason"]) == (State.FAILED, "No.")


@pytest.mark.parametrize("state", [State.BOOTING, State.CONFIGURATION])
def test_what_takes_too_long_is_tried_again(state):
    live_lesson = row(state, state_since=NOW - timedelta(seconds=61))

    step = decision(live_lesson, seen(Phase.STARTING, answering=False))

    assert step.to == State.INITIALIZED
    assert step.changes["reason_code"] == ReasonCode.TIMEOUT


def test_the_ready_delay_may_last_longer_than_a_boot_may_take():
    begun = {"state_since": NOW - timedelta(seconds=90)}
    delayed = row(State.BOOTING, reachable_since=NOW - timedelta(seconds=80), **begun)
    slow = replace(LESSON, ready_delay_seconds=3600)

    step = decide(delayed, slow, seen(), NOW, POLICY)
    assert (step.to, step.act, step.wait) == (None, None, timedelta(seconds=3520))
    assert when_unavailable(delayed, "no route", NOW, POLICY).to is None

    # What answers at last is not given up for having taken long.
    assert decide(row(State.BOOTING, **begun), slow, seen(), NOW, POLICY).to is None
    for late in (delayed, row(State.BOOTING, **begun)):
        lost = decide(late, slow, seen(answering=False), NOW, POLICY)
        assert (lost.to, lost.changes["reason_code"]) == (State.INITIALIZED, "unreachable")


def test_waits_grow_and_stay_bounded():
    delays = [poll_delay(timedelta(seconds=age)) for age in (0, 0.5, 2, 10, 30, 600)]
    backs = [back_off(failures) for failures in range(1, 20)]

    assert delays == sorted(delays)
    assert backs == sorted(backs)
    assert backs[-1] == MAX_BACK_OFF


@pytest.mark.parametrize("age", [3, 59, 61, 179])
def test_who_waits_is_looked_at_by_every_sweep_although_looks_come_late(age):
    late = timedelta(seconds=0.35)
    sweep = timedelta(seconds=age)

    wait = poll_delay(sweep + late)

    # The rest of the promised 1.5 s is for the steps that follow.
    assert sweep + late + wait <= sweep + timedelta(seconds=1)
    assert wait > LEFT_TO_SWEEPS


def test_nobody_waits_for_an_end_to_be_noticed():
    for seconds in (5, 100, 1000):
        age = timedelta(seconds=seconds)
        assert poll_delay(age, awaited=False) >= poll_delay(age)
    ending = row(State.DELETING, state_since=NOW - timedelta(seconds=10))
    gone = EnvironmentObservation(phase=Phase.DELETING)
    assert decision(ending, gone).wait > decision(row(State.BOOTING), seen(Phase.STARTING)).wait


def test_what_ends_is_never_given_up():
    for state in (State.DELETING, State.FAILED):
        ending = row(state, failures=100, state_since=NOW - timedelta(days=1))
        for step in (
            when_unavailable(ending, "away", NOW, POLICY),
            when_rejected(ending, ReasonCode.REJECTED, "no", NOW, POLICY),
            when_broken(ending, NOW),
        ):
            assert step.to is None
            assert step.wait is not None


def test_learners_are_told_in_their_words_and_operators_in_the_backends():
    step = when_rejected(
        row(State.INITIALIZED), ReasonCode.NO_CAPACITY, "", NOW, POLICY, log_tail="HTTP 403"
    )

    assert step.to == State.FAILED
    assert step.changes["reason"] == REASONS[ReasonCode.NO_CAPACITY]
    assert step.changes["log_tail"] == "HTTP 403"


@pytest.mark.parametrize("state", [State.INITIALIZED, State.CONFIGURATION])
def test_an_environment_lost_in_the_middle_of_a_step_is_made_again(state):
    def lose(start_attempts: int) -> Decision:
        lost = row(state, attempt=3, start_attempts=start_attempts)
        return when_rejected(lost, ReasonCode.VANISHED, "", NOW, POLICY, log_tail="gone")

    again, last = lose(1), lose(3)

    assert again.to in {None, *ALLOWED[state]} - {State.FAILED}
    assert (again.changes["attempt"], again.changes["start_attempts"]) == (4, 2)
    assert again.wait is not None
    assert (last.to, last.changes["reason_code"]) == (State.FAILED, ReasonCode.VANISHED)


def test_a_backend_that_asks_for_time_gets_it():
    def wait(failures: int, retry_after: float) -> timedelta | None:
        waiting = row(State.INITIALIZED, failures=failures)
        asked = timedelta(seconds=retry_after)
        return when_unavailable(waiting, "429", NOW, POLICY, retry_after=asked).wait

    assert wait(0, 7) == timedelta(seconds=7)
    assert wait(10, 7) == MAX_BACK_OFF
    assert wait(0, 0) == back_off(1)


def test_what_holds_up_an_end_is_written_down_once():
    def look(state: State, **fields: str) -> dict[str, object]:
        message = "Terminating since noon: a finalizer"
        hanging = EnvironmentObservation(phase=Phase.DELETING, message=message)
        return dict(decision(row(state, **fields), hanging).changes)

    told = look(State.DELETING)
    kept = look(State.FAILED, reason="It crashed.", log_tail="boom")

    assert told == {"reason": "Terminating since noon: a finalizer"}
    assert kept == {"log_tail": "boom\nTerminating since noon: a finalizer"}
    assert look(State.DELETING, reason="Terminating since noon: a finalizer") == {}
    assert look(State.FAILED, log_tail="boom\nTerminating since noon: a finalizer") == {}


def test_a_start_that_finds_no_backend_for_too_long_fails():
    late = row(State.INITIALIZED, state_since=NOW - timedelta(seconds=61))

    step = when_unavailable(late, "no route", NOW, POLICY)

    assert step.to == State.FAILED
    assert step.changes["reason_code"] == ReasonCode.BACKEND_UNAVAILABLE
    assert "no route" in str(step.changes["log_tail"])
