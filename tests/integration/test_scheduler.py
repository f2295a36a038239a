"""From a wish to what is, on the fake backend, one run of the reconciler after another."""

import json
import signal
import time
from datetime import timedelta
from io import StringIO
from typing import ClassVar
from uuid import UUID, uuid4

import pytest
from django.core.management import call_command
from django.utils import timezone

from livelessons.errors import LiveLessonBusy
from livelessons.models import LiveEndpoint, LiveLesson, LiveLessonLock
from livelessons.services import leases_release, leases_take
from livelessons.states import Action, Desired, EndReason, State
from scheduler.backends.base import ABSENT, EnvironmentRef, ReasonCode
from scheduler.backends.fake import FakeBackend
from scheduler.decisions import STEADY
from scheduler.environments import environment_ref
from scheduler.models import FakeEnvironment
from scheduler.observing import observe_all
from scheduler.reconciler import FRESH_SECONDS, MAX_TROUBLE, Seen, reconcile, reconcile_once
from scheduler.services import (
    lesson_start,
    live_lesson_end,
    live_lesson_restart,
    live_lesson_retry,
    live_lessons_look,
    stage_change,
)
from scheduler.sweep import due_sweep
from tests.backends import AWAY, AwayBackend
from tests.concurrency import at_once
from tests.conftest import endpoint_dict

pytestmark = pytest.mark.django_db


def settle(live_lesson, *, rounds=20):
    """Reconcile until nothing is due or ``rounds`` are over, as the sweep would, without waits."""
    for _ in range(rounds):
        LiveLesson.objects.filter(pk=live_lesson.pk, next_look_at__isnull=False).update(
            next_look_at=timezone.now()
        )
        reconcile([live_lesson.pk])
        live_lesson.refresh_from_db()
        if live_lesson.next_look_at is None:
            break
    return live_lesson


def started(make_lesson, make_session, **lesson_fields):
    lesson = make_lesson(**lesson_fields)
    return lesson_start(session=make_session(), slug=lesson.slug).live_lesson


def test_a_start_becomes_ready_and_unlocked(make_lesson, make_session):
    live_lesson = started(make_lesson, make_session)
    assert live_lesson.lock.action == Action.START

    settle(live_lesson)

    assert live_lesson.state == State.READY
    assert live_lesson.observed_generation == live_lesson.generation
    assert live_lesson.healthy_tests == live_lesson.total_tests == 1
    assert not LiveLessonLock.objects.exists()
    assert [change.state for change in live_lesson.history.all()] == [
        "INITIALIZED",
        "BOOTING",
        "CONFIGURATION",
        "READY",
    ]
    endpoint = LiveEndpoint.objects.get()
    assert (endpoint.phase, endpoint.host, endpoint.ports) == (
        "running",
        "fake.invalid",
        {"22": 22},
    )


def configured_lesson(make_lesson):
    stages = [
        {"guide_type": "markdown", "configurations": {"linux1": f"stage{n}/configs/linux1.py"}}
        for n in range(2)
    ]
    return make_lesson(stages=stages, endpoints=[endpoint_dict(configuration_type="python")])


def test_each_stage_is_configured_anew(make_lesson, make_session):
    lesson = configured_lesson(make_lesson)
    live_lesson = settle(lesson_start(session=make_session(), slug=lesson.slug).live_lesson)

    for stage in (1, 0):
        stage_change(live_lesson=live_lesson, stage=stage)
        settle(live_lesson)
        assert (live_lesson.state, live_lesson.stage) == (State.READY, stage)

    jobs = FakeEnvironment.objects.get().jobs
    assert set(jobs) == {"linux1/1", "linux1/2", "linux1/3"}


def test_a_stage_change_while_busy_is_refused_naming_the_action(make_lesson, make_session):
    lesson = make_lesson(stages=2)
    session = make_session()
    lesson_start(session=session, slug=lesson.slug)

    with pytest.raises(LiveLessonBusy) as caught:
        lesson_start(session=session, slug=lesson.slug, stage=1)

    assert caught.value.context["action"] == "start"
    assert caught.value.context["retry_after"] > 0


def test_a_restart_gets_a_fresh_environment_and_leaves_nothing(make_lesson, make_session):
    live_lesson = settle(started(make_lesson, make_session))
    old = environment_ref(live_lesson)

    live_lesson_restart(live_lesson=live_lesson)
    settle(live_lesson)

    assert live_lesson.state == State.READY
    assert live_lesson.attempt == 2
    assert FakeEnvironment.objects.exclude(deleting_at=None).filter(name=old.name).exists()
    assert FakeEnvironment.objects.filter(deleting_at=None).count() == 1


def test_an_ended_livelesson_is_deleted_only_when_the_backend_says_so(
    make_lesson, make_session, settings
):
    settings.SYRINGE_FAKE_SCRIPT = '{"delete_seconds": 3600}'
    live_lesson = settle(started(make_lesson, make_session))

    live_lesson_end(live_lesson=live_lesson, reason=EndReason.LEARNER)
    settle(live_lesson)
    assert live_lesson.state == State.DELETING

    settings.SYRINGE_FAKE_SCRIPT = '{"delete_seconds": 0}'
    settle(live_lesson)
    assert live_lesson.state == State.DELETED
    assert live_lesson.environment_gone
    assert live_lesson.end_reason == EndReason.LEARNER
    assert not FakeEnvironment.objects.exists()


def test_ending_takes_over_a_running_start(make_lesson, make_session):
    live_lesson = started(make_lesson, make_session)

    live_lesson_end(live_lesson=live_lesson)
    settle(live_lesson)

    assert live_lesson.state == State.DELETED
    assert not LiveLessonLock.objects.exists()


def test_after_ending_the_same_lesson_can_start_at_once(make_lesson, make_session):
    lesson, session = make_lesson(), make_session()
    first = lesson_start(session=session, slug=lesson.slug).live_lesson
    live_lesson_end(live_lesson=first)

    second = lesson_start(session=session, slug=lesson.slug)

    assert second.created
    assert second.live_lesson.pk != first.pk


def test_a_crashed_environment_is_replaced(make_lesson, make_session, settings):
    settings.SYRINGE_FAKE_SCRIPT = '{"fail_attempts": [1]}'

    live_lesson = settle(started(make_lesson, make_session))

    assert live_lesson.state == State.READY
    assert live_lesson.attempt == 2
    assert live_lesson.reason_code == ""


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ('{"fail_attempts": [1, 2, 3]}', ReasonCode.CRASHED),
        ('{"rejected": true}', ReasonCode.REJECTED),
    ],
)
def test_what_cannot_start_fails_with_a_reason_and_is_torn_down(
    make_lesson, make_session, settings, script, code
):
    settings.SYRINGE_FAKE_SCRIPT = script

    live_lesson = settle(started(make_lesson, make_session))

    assert live_lesson.state == State.FAILED
    assert live_lesson.reason_code == code
    assert live_lesson.reason
    assert live_lesson.end_reason == EndReason.FAILED
    assert live_lesson.environment_gone
    assert not FakeEnvironment.objects.filter(deleting_at=None).exists()
    assert not LiveLessonLock.objects.exists()


def test_a_failed_configuration_fails_with_the_log_for_operators(
    make_lesson, make_session, settings
):
    settings.SYRINGE_FAKE_SCRIPT = '{"fail_configuration_attempts": [1, 2, 3]}'
    lesson = configured_lesson(make_lesson)

    live_lesson = settle(lesson_start(session=make_session(), slug=lesson.slug).live_lesson)

    assert live_lesson.state == State.FAILED
    assert live_lesson.reason_code == ReasonCode.CONFIGURATION_FAILED
    assert "linux1" in live_lesson.reason
    assert live_lesson.log_tail == "exit 1"


def test_an_endpoint_that_never_answers_fails_as_unreachable(make_lesson, make_session, settings):
    settings.SYRINGE_FAKE_SCRIPT = '{"answering": false}'
    settings.SYRINGE_START_ATTEMPTS = 1
    live_lesson = started(make_lesson, make_session)
    reconcile([live_lesson.pk])
    LiveLesson.objects.update(state_since=timezone.now() - timedelta(hours=1))

    settle(live_lesson)

    assert (live_lesson.state, live_lesson.reason_code) == (State.FAILED, "unreachable")


def test_after_a_failure_the_session_may_start_again(make_lesson, make_session, settings):
    settings.SYRINGE_FAKE_SCRIPT = '{"rejected": true}'
    lesson, session = make_lesson(), make_session()
    failed = settle(lesson_start(session=session, slug=lesson.slug).live_lesson)
    settings.SYRINGE_FAKE_SCRIPT = "{}"

    again = live_lesson_retry(live_lesson=failed, holder="operator")

    assert again.pk != failed.pk
    assert settle(again).state == State.READY


def test_an_unavailable_backend_is_asked_again_with_back_off(make_lesson, make_session, settings):
    settings.SYRINGE_FAKE_SCRIPT = '{"unavailable_rate": 1.0}'
    live_lesson = started(make_lesson, make_session)

    waits = []
    for _ in range(4):
        reconcile([live_lesson.pk])
        live_lesson.refresh_from_db()
        waits.append((live_lesson.next_look_at - timezone.now()).total_seconds())
    assert live_lesson.state == State.INITIALIZED
    assert live_lesson.reason_code == ReasonCode.BACKEND_UNAVAILABLE
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]

    settings.SYRINGE_FAKE_SCRIPT = "{}"
    assert settle(live_lesson).state == State.READY
    assert live_lesson.failures == 0


def test_the_last_steps_of_a_start_need_one_look(make_lesson, make_session, monkeypatch):
    live_lesson = started(make_lesson, make_session)
    looks = []
    observe = FakeBackend.observe

    def counted(self, refs):
        looks.append(list(refs))
        return observe(self, refs)

    monkeypatch.setattr(FakeBackend, "observe", counted)

    reconcile([live_lesson.pk])

    live_lesson.refresh_from_db()
    assert live_lesson.state == State.READY
    assert len(looks) == 1


def test_what_was_seen_too_long_ago_is_looked_at_again():
    ref = EnvironmentRef(uuid4(), 1)
    now = time.monotonic()

    assert Seen(now, {ref: ABSENT}).of(ref) is ABSENT
    assert Seen(now - FRESH_SECONDS, {ref: ABSENT}).of(ref) is None
    assert Seen(now, {}).of(ref) is None


def test_what_was_acted_on_is_looked_at_again(make_lesson, make_session):
    live_lesson = settle(started(make_lesson, make_session))
    live_lesson_end(live_lesson=live_lesson)

    again, seen = reconcile_once([live_lesson.pk])
    assert (again, list(seen.environments)) == ([live_lesson.pk], [environment_ref(live_lesson)])
    _, seen = reconcile_once(again, seen)

    assert seen.environments == {}
    assert settle(live_lesson).state == State.DELETED


def test_a_backend_that_is_away_is_not_asked_for_every_row_of_a_batch(
    make_lesson, make_session, settings, monkeypatch
):
    settings.SYRINGE_BACKEND = AWAY
    monkeypatch.setattr(AwayBackend, "asked", 0)
    rows = [started(make_lesson, make_session, slug=f"away-{number}") for number in range(6)]

    reconcile([row.pk for row in rows])

    assert AwayBackend.asked == MAX_TROUBLE
    for row in rows:
        row.refresh_from_db()
        assert row.reason_code == ReasonCode.BACKEND_UNAVAILABLE
        assert row.next_look_at > timezone.now()


def test_a_vanished_environment_is_replaced_when_somebody_looks(make_lesson, make_session):
    live_lesson = settle(started(make_lesson, make_session))
    FakeEnvironment.objects.all().delete()
    LiveLesson.objects.update(next_look_at=timezone.now())

    settle(live_lesson)

    assert (live_lesson.state, live_lesson.attempt) == (State.READY, 2)


def test_one_broken_row_does_not_stop_its_batch(make_lesson, make_session):
    broken, sound = (started(make_lesson, make_session) for _ in range(2))
    LiveLesson.objects.filter(pk=broken.pk).update(spec={"nonsense": True})

    for _ in range(8):
        reconcile([broken.pk, sound.pk])

    broken.refresh_from_db()
    sound.refresh_from_db()
    assert sound.state == State.READY
    assert (broken.state, broken.reason_code) == (State.FAILED, "internal")


class OneBlindSpot(FakeBackend):
    """Breaks over one environment, whatever else it is asked about."""

    spot = None

    def observe(self, refs):
        if self.spot in refs:
            raise ValueError("an unreadable environment")
        return super().observe(refs)


def test_one_environment_that_cannot_be_observed_does_not_stop_its_batch(
    make_lesson, make_session, settings, monkeypatch
):
    settings.SYRINGE_BACKEND = f"{__name__}.{OneBlindSpot.__name__}"
    rows = [started(make_lesson, make_session) for _ in range(5)]
    broken = rows.pop(1)
    monkeypatch.setattr(OneBlindSpot, "spot", environment_ref(broken))

    for _ in range(8):
        reconcile([broken.pk, *(row.pk for row in rows)])

    for row in (broken, *rows):
        row.refresh_from_db()
    assert {row.state for row in rows} == {State.READY}
    assert (broken.state, broken.reason_code) == (State.FAILED, "internal")
    assert not broken.environment_gone


def test_a_backend_that_breaks_over_everything_is_not_asked_for_each(monkeypatch):
    refs = [EnvironmentRef(uuid4(), 1) for _ in range(100)]
    asked = []

    def observe(self, refs):
        asked.append(refs)
        raise ValueError("a bug")

    monkeypatch.setattr(FakeBackend, "observe", observe)

    with pytest.raises(ValueError, match="a bug"):
        observe_all(FakeBackend(), refs)

    assert len(asked) < 25


def test_what_keeps_crashing_once_it_is_ready_is_given_up(make_lesson, make_session, settings):
    live_lesson = settle(started(make_lesson, make_session))

    def crash():
        attempts = list(range(1, live_lesson.attempt + 1))
        settings.SYRINGE_FAKE_SCRIPT = json.dumps({"fail_attempts": attempts})
        live_lessons_look(live_lesson_ids=[live_lesson.pk])
        return settle(live_lesson)

    for attempt in (2, 3):
        crash()
        assert (live_lesson.state, live_lesson.attempt) == (State.READY, attempt)
    # After a while that it ran, its crashes are counted anew.
    LiveLesson.objects.update(state_since=timezone.now() - STEADY)
    assert (crash().state, live_lesson.start_attempts) == (State.READY, 1)
    for _ in range(2):
        assert crash().state == State.READY

    crash()
    assert (live_lesson.state, live_lesson.reason_code) == (State.FAILED, "crashed")
    assert live_lesson.environment_gone


def test_a_run_that_looked_before_a_change_puts_nothing_to_rest(make_lesson, make_session):
    live_lesson = settle(started(make_lesson, make_session))
    for state in (State.READY, State.CONFIGURATION):
        LiveLesson.objects.update(state=state)
        held = leases_take(live_lesson_ids=[live_lesson.pk], ttl=timedelta(seconds=5))

        live_lessons_look(live_lesson_ids=[live_lesson.pk])

        leases_release(live_lessons=held, next_look_at=None)
        live_lesson.refresh_from_db()
        assert live_lesson.next_look_at is not None
    LiveLesson.objects.update(state=State.READY)
    settle(live_lesson)
    assert live_lesson.observed_generation == live_lesson.generation


class ToldBackend(FakeBackend):
    """Has a watcher that wakes once whom it was told, and ends."""

    told: ClassVar[set[UUID]] = set()

    def watch(self, wake, stop):
        wake(self.told)


@pytest.mark.django_db(transaction=True)
def test_what_the_watcher_notices_is_due_whatever_becomes_of_its_message(
    make_lesson, make_session, settings, monkeypatch
):
    settings.SYRINGE_BACKEND = f"{__name__}.{ToldBackend.__name__}"
    told, other = (settle(started(make_lesson, make_session)) for _ in range(2))
    monkeypatch.setattr(ToldBackend, "told", {told.pk, uuid4()})
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    try:
        call_command("watch_backend", stdout=StringIO())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    told.refresh_from_db()
    other.refresh_from_db()
    assert told.next_look_at <= timezone.now()
    assert other.next_look_at is None
    assert due_sweep() == 1


def test_the_ready_delay_is_kept(make_lesson, make_session):
    live_lesson = started(make_lesson, make_session, ready_delay_seconds=50)

    reconcile([live_lesson.pk])
    live_lesson.refresh_from_db()
    assert live_lesson.state == State.BOOTING
    assert timedelta(seconds=40) < live_lesson.next_look_at - timezone.now()

    LiveLesson.objects.update(reachable_since=timezone.now() - timedelta(seconds=51))
    assert settle(live_lesson).state == State.READY


def test_the_sweep_claims_due_rows_once(make_live_lesson):
    due = make_live_lesson()
    make_live_lesson(next_look_at=timezone.now() + timedelta(hours=1))
    make_live_lesson(next_look_at=None, state=State.READY)

    assert due_sweep() == 1
    assert due_sweep() == 0

    due.refresh_from_db()
    assert due.next_look_at > timezone.now()


def test_a_hundred_booting_rows_cost_a_fixed_number_of_queries(
    make_live_lesson, make_session, django_assert_max_num_queries, settings
):
    settings.SYRINGE_FAKE_SCRIPT = '{"boot_seconds": 60}'
    session = make_session()
    rows = [make_live_lesson(session=session) for _ in range(30)]
    reconcile([row.pk for row in rows])
    reconcile([row.pk for row in rows])

    with django_assert_max_num_queries(6):
        reconcile([row.pk for row in rows])

    assert LiveLesson.objects.filter(state=State.BOOTING).count() == 30


def test_ending_twice_keeps_the_first_reason(make_lesson, make_session):
    live_lesson = settle(started(make_lesson, make_session))
    live_lesson_end(live_lesson=live_lesson, reason=EndReason.EXPIRED)
    live_lesson.refresh_from_db()

    live_lesson_end(live_lesson=live_lesson, reason=EndReason.LEARNER)

    live_lesson.refresh_from_db()
    assert live_lesson.desired == Desired.GONE
    assert live_lesson.end_reason == EndReason.EXPIRED


@pytest.mark.django_db(transaction=True)
def test_one_message_delivered_to_several_workers_at_once_acts_once(make_lesson, make_session):
    live_lesson = started(make_lesson, make_session)

    results = at_once(lambda _: reconcile([live_lesson.pk]))

    assert [result for result in results if result is not None] == []
    assert settle(live_lesson).state == State.READY
    assert FakeEnvironment.objects.count() == 1
    states = [change.state for change in live_lesson.history.all()]
    assert states == ["INITIALIZED", "BOOTING", "CONFIGURATION", "READY"]
