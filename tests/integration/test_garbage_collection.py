"""What collection ends, destroys and deletes, what it spares, and that one row stops nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.models import OutboxEvent
from garbage_collector import tasks
from garbage_collector.batches import collect
from garbage_collector.expiry import (
    expired_live_lessons_end,
    idle_live_lessons_end,
)
from garbage_collector.orphans import environments_compare, fallen
from garbage_collector.retention import (
    ended_live_lessons_delete,
    old_events_delete,
    old_sessions_delete,
    settled_locks_delete,
)
from lessons.models import Lesson
from livelessons.models import (
    LiveEndpoint,
    LiveLesson,
    LiveLessonChange,
    LiveLessonLock,
    LiveSession,
)
from livelessons.states import Action, Desired, EndReason, State
from scheduler.backends.base import ABSENT, BackendUnavailable, EnvironmentRef
from scheduler.backends.fake import FakeBackend
from scheduler.environments import environment_ref
from scheduler.models import FakeEnvironment
from scheduler.reconciler import reconcile
from scheduler.services import lesson_start
from syringe_project.celery import app
from syringe_project.celery_settings import beat_schedule
from syringe_project.locks import AdvisoryLock, advisory_lock
from tests.waiting import FOR_EVER, PATIENCE

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
LONG_AGO = timedelta(days=1000)


@pytest.fixture
def break_row():
    """Return a way to make PostgreSQL refuse every ``change`` of one row."""

    def break_it(row, change):
        table, number = row._meta.db_table, uuid4().hex
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute(
                f"CREATE FUNCTION refuse_{number}() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'this row is broken'; END $$"
            )
            cursor.execute(
                f"CREATE TRIGGER refuse_{number} BEFORE {change} ON {table} FOR EACH ROW "
                f"WHEN (OLD.id = '{row.pk}') EXECUTE FUNCTION refuse_{number}()"
            )

    return break_it


@pytest.fixture
def elsewhere():
    """Return a second connection to the database, in a transaction of its own."""
    other = connection.copy()
    other.set_autocommit(False)
    yield other
    other.rollback()
    other.close()


def settle(live_lesson):
    for _ in range(20):
        LiveLesson.objects.filter(pk=live_lesson.pk, next_look_at__isnull=False).update(
            next_look_at=timezone.now()
        )
        reconcile([live_lesson.pk])
        live_lesson.refresh_from_db()
        if live_lesson.next_look_at is None:
            break
    return live_lesson


@pytest.fixture
def ready(make_lesson, make_session):
    """Return a factory of livelessons that the scheduler made READY."""

    def make(**session_fields):
        session = make_session(**session_fields)
        return settle(lesson_start(session=session, slug=make_lesson().slug).live_lesson)

    return make


def aged(live_lesson, **fields):
    LiveLesson.objects.filter(pk=live_lesson.pk).update(**fields)
    return live_lesson


def environment_of(live_lesson, *, attempt=None, **fields):
    ref = EnvironmentRef(live_lesson.pk, attempt or live_lesson.attempt)
    return make_environment(ref, slug=live_lesson.slug, **fields)


def make_environment(ref, **fields):
    return FakeEnvironment.objects.create(
        name=ref.name,
        **{
            "instance": django_settings.SYRINGE_INSTANCE,
            "slug": "any",
            "created_at": timezone.now(),
            **fields,
        },
    )


def alive():
    """Return the names of the environments that nobody asked to disappear."""
    return set(FakeEnvironment.objects.filter(deleting_at=None).values_list("name", flat=True))


EXPIRING = [
    pytest.param(
        idle_live_lessons_end, lambda now: {"last_active_at": now - LONG_AGO}, id="unused"
    ),
    pytest.param(
        expired_live_lessons_end,
        lambda now: {"expires_at": now - timedelta(seconds=1)},
        id="too old",
    ),
]


@pytest.mark.parametrize(("job", "fields"), EXPIRING)
def test_what_is_over_is_ended_and_disappears(ready, job, fields):
    over, used = ready(), ready()
    aged(over, **fields(timezone.now()))

    assert job() == 1

    settle(over)
    settle(used)
    assert (over.state, over.end_reason) == (State.DELETED, EndReason.EXPIRED)
    assert used.state == State.READY
    assert alive() == {environment_ref(used).name}
    assert not LiveLessonLock.objects.exists()


@pytest.mark.parametrize(("job", "fields"), EXPIRING)
def test_persistent_sessions_are_spared(make_live_lesson, make_session, job, fields):
    session = make_session(persistent=True)
    spared = make_live_lesson(session=session, state=State.READY, **fields(timezone.now()))

    assert job() == 0

    spared.refresh_from_db()
    assert spared.desired == Desired.RUNNING


@pytest.mark.parametrize(("job", "fields"), EXPIRING)
def test_what_has_ended_or_is_ending_keeps_its_end(make_live_lesson, job, fields):
    over = fields(timezone.now())
    ending = {"desired": Desired.GONE, "end_reason": EndReason.LEARNER}
    make_live_lesson(state=State.READY, **ending, **over)
    make_live_lesson(state=State.DELETING, **ending, **over)
    make_live_lesson(state=State.DELETED, **ending, **over)
    make_live_lesson(state=State.FAILED, end_reason=EndReason.FAILED, **over)

    assert job() == 0

    assert not LiveLesson.objects.filter(end_reason=EndReason.EXPIRED).exists()


@pytest.mark.parametrize(("job", "fields"), EXPIRING)
def test_a_start_that_is_over_is_ended_in_spite_of_its_lock(make_lesson, make_session, job, fields):
    live_lesson = lesson_start(session=make_session(), slug=make_lesson().slug).live_lesson
    aged(live_lesson, **fields(timezone.now()))

    assert job() == 1

    lock = LiveLessonLock.objects.get(live_lesson=live_lesson)
    assert lock.action == Action.DELETE
    assert lock.holder.startswith("garbage collection")


@pytest.mark.parametrize(("job", "fields"), EXPIRING)
def test_one_broken_row_does_not_stop_the_end_of_others(
    make_live_lesson, break_row, caplog, job, fields
):
    over = fields(timezone.now())
    first, broken, last = (make_live_lesson(state=State.READY, **over) for _ in range(3))
    break_row(broken, "UPDATE")

    assert job() == 2

    gone = LiveLesson.objects.filter(desired=Desired.GONE)
    assert set(gone) == {first, last}
    assert [record.row for record in caplog.records if record.message == "not collected"] == [
        str(broken.pk)
    ]


def test_the_limit_of_a_batch_leaves_nothing_behind(make_session):
    now = timezone.now()
    sessions = [make_session(last_seen_at=now - LONG_AGO) for _ in range(7)]
    served = []

    count = collect(
        job="test",
        rows=LiveSession.objects.all(),
        order="last_seen_at",
        act=served.append,
        batch=3,
    )

    assert count == 7
    assert [len(batch) for batch in served] == [3, 3, 1]
    assert {row for batch in served for row in batch} == set(sessions)


def test_a_batch_of_nothing_but_broken_rows_is_passed(make_session):
    broken = [make_session(last_seen_at=timezone.now() - LONG_AGO) for _ in range(3)]
    sound = make_session()
    served = []

    def act(rows):
        if any(row in broken for row in rows):
            raise ArithmeticError
        served.extend(rows)

    count = collect(
        job="test", rows=LiveSession.objects.all(), order="last_seen_at", act=act, batch=2
    )

    assert (count, served) == (1, [sound])


def test_while_one_run_works_another_returns(make_live_lesson):
    make_live_lesson(state=State.READY, last_active_at=timezone.now() - LONG_AGO)
    taken, over = Event(), Event()

    def work():
        with transaction.atomic():
            advisory_lock(AdvisoryLock.COLLECTION, "idle")
            taken.set()
            over.wait(timeout=FOR_EVER)
        connection.close()

    with ThreadPoolExecutor(1) as other:
        run = other.submit(work)
        try:
            assert taken.wait(timeout=PATIENCE)
            assert idle_live_lessons_end() == 0
        finally:
            over.set()
        run.result(timeout=PATIENCE)

    assert idle_live_lessons_end() == 1


@pytest.mark.django_db(transaction=True)
def test_rows_that_somebody_holds_are_left_to_the_next_run(make_live_lesson, elsewhere):
    held, free = (
        make_live_lesson(state=State.READY, last_active_at=timezone.now() - LONG_AGO)
        for _ in range(2)
    )
    with elsewhere.cursor() as cursor:
        cursor.execute(
            "UPDATE livelessons_livelesson SET last_active_at = now() WHERE id = %s", [held.pk]
        )

    assert idle_live_lessons_end() == 1

    elsewhere.commit()
    assert idle_live_lessons_end() == 0
    held.refresh_from_db()
    free.refresh_from_db()
    assert (held.desired, free.desired) == (Desired.RUNNING, Desired.GONE)


def test_environments_without_an_owner_are_destroyed(make_live_lesson):
    restarted = make_live_lesson(state=State.READY, attempt=3)
    deleted = make_live_lesson(state=State.DELETED, environment_gone=True)
    failed = make_live_lesson(state=State.FAILED, environment_gone=True)
    environment_of(restarted, attempt=1)
    environment_of(restarted, attempt=2)
    environment_of(deleted)
    environment_of(failed)
    make_environment(EnvironmentRef(uuid4(), 1))
    kept = environment_of(restarted)

    environments_compare()

    assert alive() == {kept.name}


@pytest.mark.parametrize("state", [state for state in State if state != State.DELETED])
def test_environments_with_an_owner_are_left_to_the_scheduler(make_live_lesson, state):
    owned = environment_of(make_live_lesson(state=state))

    environments_compare()

    assert alive() == {owned.name}


def test_environments_of_another_instance_are_not_ours(make_live_lesson):
    foreign = make_environment(EnvironmentRef(uuid4(), 1), instance="another")

    environments_compare()

    assert alive() == {foreign.name}


def test_one_environment_that_cannot_be_destroyed_does_not_stop_the_rest(settings):
    settings.SYRINGE_FAKE_SCRIPT = '{"lessons": {"stubborn": {"unavailable_rate": 1.0}}}'
    stubborn = make_environment(EnvironmentRef(uuid4(), 1), slug="stubborn")
    for _ in range(5):
        make_environment(EnvironmentRef(uuid4(), 1))

    environments_compare()
    assert alive() == {stubborn.name}

    settings.SYRINGE_FAKE_SCRIPT = "{}"
    environments_compare()
    assert alive() == set()


class UnlistableBackend(FakeBackend):
    """A backend that is away when its environments are to be listed."""

    def owned(self):
        yield from list(super().owned())[:1]
        raise BackendUnavailable(reason="it is away")

    def observe(self, refs):
        raise BackendUnavailable(reason="it is away")


def test_a_backend_that_is_away_accuses_nobody(make_live_lesson, settings):
    settings.SYRINGE_BACKEND = f"{__name__}.{UnlistableBackend.__name__}"
    make_live_lesson(state=State.READY, next_look_at=None)
    orphan = make_environment(EnvironmentRef(uuid4(), 1))

    environments_compare()

    assert alive() == {orphan.name}
    assert LiveLesson.objects.get().next_look_at is None


def test_a_vanished_environment_is_replaced(ready):
    vanished, sound = ready(), ready()
    FakeEnvironment.objects.filter(name=environment_ref(vanished).name).delete()

    environments_compare()

    settle(vanished)
    settle(sound)
    assert (vanished.state, vanished.attempt) == (State.READY, 2)
    assert vanished.history.filter(reason_code="vanished", attempt=2).exists()
    assert (sound.state, sound.attempt) == (State.READY, 1)
    assert alive() == {environment_ref(row).name for row in (vanished, sound)}


def test_a_broken_row_does_not_keep_others_from_being_looked_at(ready, break_row):
    rows = [ready() for _ in range(3)]
    FakeEnvironment.objects.all().delete()
    break_row(rows[1], "UPDATE")

    environments_compare()

    due = LiveLesson.objects.filter(next_look_at__isnull=False)
    assert set(due) == {rows[0], rows[2]}


class OtherBackend(FakeBackend):
    """Another place than the one where lessons ran until now."""

    label = "other"

    def observe(self, refs):
        return dict.fromkeys(refs, ABSENT)


def test_livelessons_of_a_backend_that_is_no_longer_used_end_as_orphaned(
    ready, settings, make_lesson, make_session
):
    left, kept_session = ready(), ready(persistent=True)
    failed = aged(ready(), state=State.FAILED, end_reason=EndReason.FAILED)
    settings.SYRINGE_BACKEND = f"{__name__}.{OtherBackend.__name__}"
    here = lesson_start(session=make_session(), slug=make_lesson().slug).live_lesson

    tasks.environments()

    for row in (left, kept_session, failed):
        settle(row)
        reason = EndReason.FAILED if row is failed else EndReason.ORPHANED
        assert (row.end_reason, row.environment_gone) == (reason, True)
        assert row.state == (State.FAILED if row is failed else State.DELETED)
        assert row.attempt == 1
    here.refresh_from_db()
    assert (here.desired, here.backend) == (Desired.RUNNING, "other")


class OneBlindSpot(FakeBackend):
    """Breaks over one environment, whatever else it is asked about; counts who asked."""

    spot = None
    looks = 0

    def observe(self, refs):
        type(self).looks += 1
        if self.spot in refs:
            raise ValueError("an unreadable environment")
        return super().observe(refs)


@pytest.fixture
def blind_spot(settings, monkeypatch):
    """Return a backend that is asked from now on, and that breaks over its ``spot``."""
    settings.SYRINGE_BACKEND = f"{__name__}.{OneBlindSpot.__name__}"
    monkeypatch.setattr(OneBlindSpot, "spot", None)
    monkeypatch.setattr(OneBlindSpot, "looks", 0)
    return OneBlindSpot


def test_what_stands_on_nothing_is_noticed_by_one_look_for_all(ready, settings, blind_spot):
    crashed, starting, moved, vanished, sound = (ready() for _ in range(5))
    others = [ready() for _ in range(3)]
    aged(others[0], desired=Desired.GONE)
    aged(others[1], state=State.BOOTING)
    aged(others[2], next_look_at=timezone.now() + HOUR)
    doing = {
        crashed: {"fail_attempts": [1]},
        starting: {"hang_attempts": [1]},
        moved: {"address": "192.0.2.7:4022"},
        **{other: {"fail_attempts": [1]} for other in others},
    }
    script = {"lessons": {row.slug: what for row, what in doing.items()}}
    settings.SYRINGE_FAKE_SCRIPT = json.dumps(script)
    FakeEnvironment.objects.filter(name=environment_ref(vanished).name).delete()

    blind_spot.looks = 0
    assert set(fallen(blind_spot())) == {row.pk for row in (crashed, starting, moved, vanished)}
    assert blind_spot.looks == 1

    environments_compare()
    for row in (crashed, vanished, moved, sound):
        settle(row)
    assert [(row.state, row.attempt) for row in (crashed, vanished)] == [(State.READY, 2)] * 2
    assert crashed.history.filter(reason_code="crashed", attempt=2).exists()
    assert [(row.state, row.attempt) for row in (moved, sound)] == [(State.READY, 1)] * 2
    assert moved.endpoints.get().host == "192.0.2.7"
    # What starts again by itself is watched until it does.
    settle(starting)
    assert (starting.state, starting.attempt) == (State.READY, 1)
    assert starting.next_look_at is not None
    del script["lessons"][starting.slug]
    settings.SYRINGE_FAKE_SCRIPT = json.dumps(script)
    assert settle(starting).next_look_at is None
    assert fallen(blind_spot()) == []


def test_an_environment_over_which_the_backend_breaks_hides_no_other(ready, blind_spot):
    rows = [ready() for _ in range(5)]
    blind_spot.spot = environment_ref(rows[2])
    FakeEnvironment.objects.filter(name=environment_ref(rows[4]).name).delete()

    assert set(fallen(blind_spot())) == {rows[2].pk, rows[4].pk}


def test_ended_rows_go_with_all_they_hold_after_the_retention_time(ready, settings):
    live_lesson = ready()
    aged(live_lesson, expires_at=timezone.now())
    expired_live_lessons_end()
    settle(live_lesson)

    assert ended_live_lessons_delete() == 0
    aged(live_lesson, ended_at=timezone.now() - LONG_AGO)
    assert ended_live_lessons_delete() == 1

    assert not LiveLesson.objects.exists()
    assert not LiveEndpoint.objects.exists()
    assert not LiveLessonChange.objects.exists()


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"state": State.DELETING}, id="still disappearing"),
        pytest.param({"state": State.FAILED}, id="failed and not yet torn down"),
        pytest.param({"state": State.DELETED, "environment_gone": False}, id="nobody said gone"),
        pytest.param(
            {"state": State.FAILED, "environment_gone": True, "ended_at": HOUR}, id="recent"
        ),
    ],
)
def test_no_row_goes_before_its_environment_and_its_time(make_live_lesson, fields):
    age = fields.get("ended_at", LONG_AGO)
    make_live_lesson(**{**fields, "ended_at": timezone.now() - age})

    assert ended_live_lessons_delete() == 0

    assert LiveLesson.objects.count() == 1


def test_one_row_that_cannot_be_deleted_does_not_stop_the_rest(make_live_lesson, break_row):
    rows = [
        make_live_lesson(
            state=State.DELETED, environment_gone=True, ended_at=timezone.now() - LONG_AGO
        )
        for _ in range(4)
    ]
    break_row(rows[0], "DELETE")

    assert ended_live_lessons_delete() == 3

    assert LiveLesson.objects.get() == rows[0]


def test_old_events_go():
    for age in (LONG_AGO, HOUR):
        event = OutboxEvent.objects.create(type="objective.passed", subject="x", data={})
        OutboxEvent.objects.filter(pk=event.pk).update(occurred_at=timezone.now() - age)

    assert old_events_delete() == 1

    assert OutboxEvent.objects.get() == event


def test_old_sessions_go(make_session, make_live_lesson):
    old = timezone.now() - LONG_AGO
    make_session(last_seen_at=old)
    kept = {
        make_session(),
        make_session(last_seen_at=old, persistent=True),
        make_live_lesson(state=State.READY, session=make_session(last_seen_at=old)).session,
        make_live_lesson(state=State.DELETED, session=make_session(last_seen_at=old)).session,
    }

    assert old_sessions_delete() == 1

    assert set(LiveSession.objects.all()) == kept


def test_a_session_goes_once_its_ended_livelessons_are_gone(make_session, make_live_lesson):
    old = timezone.now() - LONG_AGO
    make_live_lesson(
        session=make_session(last_seen_at=old),
        state=State.FAILED,
        environment_gone=True,
        ended_at=old,
    )

    assert old_sessions_delete() == 0
    ended_live_lessons_delete()
    assert old_sessions_delete() == 1


def locked(live_lesson, *, expires_in=HOUR):
    now = timezone.now()
    return LiveLessonLock.objects.create(
        live_lesson=live_lesson,
        action=Action.RESTART,
        holder="learner",
        created_at=now,
        expires_at=now + expires_in,
    )


@pytest.mark.parametrize(
    ("fields", "expires_in", "goes"),
    [
        pytest.param({"state": State.READY}, -HOUR, True, id="expired"),
        pytest.param({"state": State.READY}, HOUR, False, id="a wish is not answered"),
        pytest.param({"state": State.READY, "observed_generation": 1}, HOUR, True, id="answered"),
        pytest.param({"state": State.FAILED}, -HOUR, True, id="expired and failed"),
        pytest.param({"state": State.DELETED}, HOUR, True, id="deleted"),
        pytest.param({"state": State.BOOTING}, -HOUR, False, id="still on its way"),
    ],
)
def test_locks_that_were_left_over_go(make_live_lesson, fields, expires_in, goes):
    locked(make_live_lesson(**fields), expires_in=expires_in)

    assert settled_locks_delete() == int(goes)

    assert LiveLessonLock.objects.exists() is not goes


def test_replaced_versions_of_lessons_are_collected(make_lesson):
    old, new = make_lesson("same"), make_lesson("same")
    Lesson.objects.update(created_at=timezone.now() - LONG_AGO)

    tasks.lessons()

    assert set(Lesson.objects.all()) == {new}
    assert old.pk != new.pk


COLLECTIONS = sorted(
    entry["task"] for name, entry in beat_schedule.items() if name.startswith("collect ")
)


@pytest.mark.parametrize("task", COLLECTIONS)
def test_beat_sends_tasks_that_exist_to_the_queue_of_collection(task):
    app.loader.import_default_modules()

    assert app.amqp.router.route({}, task)["queue"].name == "gc"
    assert app.tasks[task].apply().successful()


def test_beat_sends_every_task_of_collection():
    app.loader.import_default_modules()

    known = [name for name in app.tasks if name.startswith("garbage_collector")]
    assert sorted(known) == COLLECTIONS


@pytest.mark.parametrize(
    ("job", "index"),
    [
        (idle_live_lessons_end, "livelesson_idle"),
        (expired_live_lessons_end, "livelesson_expiry"),
        (ended_live_lessons_delete, "livelesson_ended"),
        (old_sessions_delete, "session_last_seen"),
        (old_events_delete, "event_occurred"),
    ],
)
def test_each_search_can_use_its_index(job, index):
    with CaptureQueriesContext(connection) as captured:
        job()
    search = next(query["sql"] for query in captured if "SKIP LOCKED" in query["sql"])

    with connection.cursor() as cursor:
        for other_way in ("seqscan", "bitmapscan", "sort"):
            cursor.execute(f"SET LOCAL enable_{other_way} = off")
        cursor.execute(f"EXPLAIN {search}")
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert index in plan
    assert "Index Cond" in plan
