"""Objectives under things that happen at the same moment, each on a connection of its own."""

from datetime import timedelta
from itertools import count

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.models import OutboxEvent
from livelessons.models import LiveLesson, LiveObjective
from livelessons.services import leases_take, live_lessons_move, objectives_wake
from livelessons.services.objectives import objective_failed, objective_passed
from livelessons.services.openings import objectives_ask, objectives_open
from livelessons.states import State
from scheduler.services import stage_change
from tests.concurrency import THREADS, at_once
from tests.conftest import objective_dict, stage_dict
from tests.objectives import claim, due_now, open_all, states

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 10


def make_ready(make_lesson, make_live_lesson, *names, stages=()):
    lesson = make_lesson(stages=[stage_dict(*map(objective_dict, names)), *stages])
    live_lesson = make_live_lesson(lesson=lesson, state=State.READY)
    open_all(live_lesson)
    return live_lesson


def nodes(plan):
    """Return a node of a query's plan and all below it."""
    return [plan, *(node for below in plan.get("Plans", []) for node in nodes(below))]


def good(results):
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results


def test_two_checkers_never_take_one_check(make_lesson, make_live_lesson):
    names = [f"objective-{number}" for number in range(5)]
    live_lessons = [make_ready(make_lesson, make_live_lesson, *names) for _ in range(12)]

    for _ in range(ROUNDS):
        taken = good(at_once(lambda number: claim(checker=f"checker-{number}", limit=20)))

        found = [claimed.objective for claims in taken for claimed in claims]
        assert len({row.pk for row in found}) == len(found)
        for live_lesson in live_lessons:
            assert sum(row.live_lesson_id == live_lesson.pk for row in found) <= 3
        for row in LiveObjective.objects.filter(claim__isnull=False):
            assert row.claim in {taken.claim for taken in found}
        LiveObjective.objects.update(claim=None, claimed_until=None, next_check_at=timezone.now())


def test_all_that_is_due_is_taken_by_checkers_that_come_at_once(make_lesson, make_live_lesson):
    for _ in range(THREADS):
        make_ready(make_lesson, make_live_lesson, "a", "b", "c")

    taken = []
    for _ in range(ROUNDS):
        taken += [
            c.objective.pk for claims in good(at_once(lambda _: claim(limit=4))) for c in claims
        ]

    assert sorted(taken) == sorted(LiveObjective.objects.values_list("pk", flat=True))


def test_a_stage_is_completed_once_by_passes_at_once(make_lesson, make_live_lesson):
    names = [f"objective-{number}" for number in range(THREADS)]
    for _ in range(ROUNDS):
        OutboxEvent.objects.all().delete()
        live_lesson = make_ready(make_lesson, make_live_lesson, *names)
        claims = claim(per_live_lesson=THREADS)

        def settle(number, claims=claims):
            return objective_passed(claims[number], message="")

        assert good(at_once(settle)) == [True] * THREADS

        kinds = [event.type for event in OutboxEvent.objects.all()]
        assert sorted(kinds) == ["objective.passed"] * THREADS + ["stage.completed"]
        live_lesson.refresh_from_db()
        assert live_lesson.completed_stages == [0]


def test_a_result_and_a_stage_change_at_once(make_lesson, make_live_lesson):
    for _ in range(ROUNDS * 2):
        OutboxEvent.objects.all().delete()
        live_lesson = make_ready(make_lesson, make_live_lesson, "a", stages=[stage_dict()])
        (claimed,) = claim()

        def both(number, claimed=claimed, live_lesson=live_lesson):
            if number == 0:
                return objective_passed(claimed, message="")
            if number == 1:
                stage_change(live_lesson=live_lesson, stage=1)
                (row,) = leases_take(live_lesson_ids=[live_lesson.pk], ttl=timedelta(seconds=9))
                live_lessons_move(
                    live_lessons=[row],
                    to=State.CONFIGURATION,
                    at=timezone.now(),
                    next_look_at=None,
                    stage=1,
                )
            return None

        written = good(at_once(both))[0]

        # Either the pass is whole or there is nothing of it.
        assert states(live_lesson) == {"a": "passed" if written else "waiting"}
        kinds = [event.type for event in OutboxEvent.objects.all()]
        assert kinds == (["objective.passed", "stage.completed"] if written else [])
        live_lesson.refresh_from_db()
        assert live_lesson.completed_stages == ([0] if written else [])
        assert not LiveObjective.objects.filter(
            live_lesson=live_lesson, next_check_at__isnull=False
        )


def test_everything_at_once_waits_for_nobody_in_a_ring(make_lesson, make_live_lesson):
    names = [f"objective-{number}" for number in range(6)]
    live_lessons = [
        make_ready(make_lesson, make_live_lesson, *names, stages=[stage_dict()]) for _ in range(3)
    ]
    ids = [live_lesson.pk for live_lesson in live_lessons]
    numbers = count()

    def settle():
        for claimed in claim(limit=4):
            settle_one = objective_passed if next(numbers) % 5 == 0 else objective_failed
            settle_one(claimed, message=str(next(numbers)))

    def ask():
        for live_lesson in live_lessons:
            objectives_ask(live_lesson=live_lesson, slugs=names)

    def again():
        for live_lesson in live_lessons:
            with transaction.atomic():
                LiveLesson.objects.select_for_update().get(pk=live_lesson.pk)
                due_now(live_lesson)

    def move():
        # As the scheduler does: several rows in one statement, in no order.
        with transaction.atomic():
            LiveLesson.objects.filter(pk__in=ids).update(version=F("version") + 1)
            objectives_open(live_lessons=live_lessons)

    deeds = [
        settle,
        lambda: objectives_wake(live_lesson_ids=ids),
        lambda: objectives_wake(live_lesson_ids=list(reversed(ids))),
        ask,
        again,
        move,
    ]

    def work(number):
        for _ in range(ROUNDS):
            deeds[number]()

    good(at_once(work))


def test_a_claim_costs_the_same_however_many_there_are(make_lesson, make_live_lesson):
    """2,000 livelessons with 3 objectives: what is not due is not looked at."""
    live_lesson = make_ready(make_lesson, make_live_lesson, "a", "b", "c")
    later = timezone.now() + timedelta(minutes=1)
    base = {
        field.attname: getattr(live_lesson, field.attname)
        for field in LiveLesson._meta.concrete_fields
        if field.name not in {"id", "slug"}
    }
    others = LiveLesson.objects.bulk_create(
        LiveLesson(slug=f"other-{number}", **base) for number in range(2000)
    )
    LiveObjective.objects.bulk_create(
        LiveObjective(
            live_lesson=other,
            stage=0,
            position=position,
            slug=slug,
            interval_seconds=2,
            timeout_seconds=10,
            next_check_at=later,
        )
        for other in others
        for position, slug in enumerate("abc")
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE livelessons_liveobjective, livelessons_livelesson")
    with CaptureQueriesContext(connection) as captured:
        assert len(claim()) == 3
    LiveObjective.objects.filter(live_lesson=live_lesson).update(
        next_check_at=timezone.now(), claim=None, claimed_until=None
    )

    statement = next(query["sql"] for query in captured if "SKIP LOCKED" in query["sql"])
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        (plan,) = cursor.fetchone()[0]

    scans = [
        node for node in nodes(plan["Plan"]) if "liveobjective" in node.get("Relation Name", "")
    ]
    assert "live_objective_due" in {node.get("Index Name") for node in scans}
    looked_at = sum(
        (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        for node in scans
    )
    assert looked_at < 50
