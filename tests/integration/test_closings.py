"""Closing writes of a run: rows of one kind together, and no row in the way of another."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from livelessons.models import LiveLesson
from livelessons.services import leases_take
from livelessons.states import State
from scheduler.closings import Closings
from scheduler.decisions import Decision
from scheduler.reconciler import reconcile_once

TTL = timedelta(seconds=30)


@pytest.fixture
def taken(make_live_lesson: Callable[..., LiveLesson]) -> Callable[[int], list[LiveLesson]]:
    """Return a maker of leased livelessons."""

    def take(number: int) -> list[LiveLesson]:
        ids = [make_live_lesson().pk for _ in range(number)]
        rows = {row.pk: row for row in leases_take(live_lesson_ids=ids, ttl=TTL)}
        return [rows[pk] for pk in ids]

    return take


def state_of(row: LiveLesson) -> str:
    return LiveLesson.objects.values_list("state", flat=True).get(pk=row.pk)


def test_ten_rows_take_a_step_with_the_queries_of_two(make_live_lesson):
    def own_queries(number: int) -> int:
        ids = [make_live_lesson().pk for _ in range(number)]
        with CaptureQueriesContext(connection) as captured:
            again, _ = reconcile_once(ids)
            assert sorted(again) == sorted(ids)
        return sum('"livelessons_' in query["sql"] for query in captured)

    own_queries(1)
    assert own_queries(10) == own_queries(2)


def test_a_row_that_a_wish_overtook_is_given_back_and_the_others_move(taken):
    first, wished, last = taken(3)
    LiveLesson.objects.filter(pk=wished.pk).update(generation=F("generation") + 1)
    closings = Closings(timezone.now())
    for row in (first, wished, last):
        closings.add(row, Decision(to=State.BOOTING), ())

    assert closings.write() == [wished]

    assert [state_of(row) for row in (first, wished, last)] == [
        State.BOOTING,
        State.INITIALIZED,
        State.BOOTING,
    ]


def test_a_row_that_cannot_be_written_is_noted_as_broken_and_the_others_move(taken):
    fine, broken = taken(2)
    [endpoint] = broken.known_endpoints
    # PostgreSQL has no text with this character.
    endpoint.message = "\x00"
    closings = Closings(timezone.now())
    closings.add(fine, Decision(to=State.BOOTING), fine.known_endpoints)
    closings.add(broken, Decision(to=State.BOOTING), [endpoint])

    assert closings.write() == []

    assert [state_of(row) for row in (fine, broken)] == [State.BOOTING, State.INITIALIZED]
    broken.refresh_from_db()
    assert (broken.failures, broken.lease_token) == (1, None)
    assert broken.next_look_at > timezone.now()


def test_a_move_that_the_table_refuses_does_not_stop_the_others(taken):
    fine, ended = taken(2)
    LiveLesson.objects.filter(pk=ended.pk).update(state=State.DELETED)
    closings = Closings(timezone.now())
    for row in (fine, ended):
        closings.add(row, Decision(to=State.BOOTING), ())

    assert closings.write() == []

    assert [state_of(row) for row in (fine, ended)] == [State.BOOTING, State.DELETED]


def test_what_was_written_is_not_written_again(taken):
    [row] = taken(1)
    closings = Closings(timezone.now())
    closings.add(row, Decision(to=State.BOOTING), ())

    assert closings.write() == []
    assert closings.write() == []
    assert not closings.are_due()
    assert row.history.count() == 1
