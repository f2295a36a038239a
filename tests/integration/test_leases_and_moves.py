"""The one statement that changes a state: guarded by the lease, the generation and the table."""

import itertools
from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from livelessons.errors import LeaseLost, StaleTransition
from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.services import leases_release, leases_take, live_lessons_move
from livelessons.services.locks import lock_take
from livelessons.states import ALLOWED, Action, State
from scheduler.backends.base import EndpointObservation, EnvironmentObservation, Phase
from scheduler.reconciler import changed_endpoints

TTL = timedelta(seconds=30)


def take(live_lesson):
    [row] = leases_take(live_lesson_ids=[live_lesson.pk], ttl=TTL)
    return row


def move(row, to, **changes):
    live_lessons_move(live_lessons=[row], to=to, at=timezone.now(), next_look_at=None, **changes)


@pytest.mark.parametrize(("old", "new"), list(itertools.product(State, State)))
def test_every_pair_of_states(make_live_lesson, old, new):
    live_lesson = make_live_lesson(state=old)
    row = take(live_lesson)

    if new in ALLOWED[old]:
        move(row, new)
    else:
        with pytest.raises(StaleTransition):
            move(row, new)

    live_lesson.refresh_from_db()
    assert live_lesson.state == (new if new in ALLOWED[old] else old)
    assert [change.state for change in live_lesson.history.all()] == (
        [new] if new in ALLOWED[old] else []
    )


def test_a_leased_row_is_not_taken_twice(make_live_lesson):
    live_lesson = make_live_lesson()

    take(live_lesson)

    assert leases_take(live_lesson_ids=[live_lesson.pk], ttl=TTL) == []


def test_an_expired_lease_is_taken_over_and_its_holder_writes_nothing(make_live_lesson):
    live_lesson = make_live_lesson()
    [slow] = leases_take(live_lesson_ids=[live_lesson.pk], ttl=timedelta(seconds=-1))
    quick = take(live_lesson)

    with pytest.raises(LeaseLost):
        move(slow, State.BOOTING)
    move(quick, State.BOOTING)

    live_lesson.refresh_from_db()
    assert live_lesson.state == State.BOOTING


def test_a_wish_in_between_defeats_the_closing_write(make_live_lesson):
    live_lesson = make_live_lesson()
    row = take(live_lesson)
    LiveLesson.objects.filter(pk=live_lesson.pk).update(generation=F("generation") + 1)

    with pytest.raises(LeaseLost):
        move(row, State.BOOTING)

    live_lesson.refresh_from_db()
    assert live_lesson.state == State.INITIALIZED


def test_releasing_keeps_an_overtaken_row_due(make_live_lesson):
    quiet, wished = make_live_lesson(), make_live_lesson()
    rows = leases_take(live_lesson_ids=[quiet.pk, wished.pk], ttl=TTL)
    LiveLesson.objects.filter(pk=wished.pk).update(generation=F("generation") + 1)
    later = timezone.now() + timedelta(hours=1)

    leases_release(live_lessons=rows, next_look_at=later)

    quiet.refresh_from_db()
    wished.refresh_from_db()
    assert (quiet.lease_until, quiet.next_look_at) == (None, later)
    assert wished.lease_until is None
    assert wished.next_look_at <= timezone.now()


@pytest.mark.parametrize("end", [State.READY, State.FAILED])
def test_the_action_lock_goes_with_the_end_of_the_action(make_live_lesson, end):
    live_lesson = make_live_lesson(state=State.CONFIGURATION)
    lock_take(live_lesson=live_lesson, action=Action.START, holder="test")

    move(take(live_lesson), end)

    live_lesson.refresh_from_db()
    assert not hasattr(live_lesson, "lock")


def test_a_move_shows_in_the_version(make_live_lesson):
    live_lesson = make_live_lesson()

    move(take(live_lesson), State.BOOTING)

    assert LiveLesson.objects.get(pk=live_lesson.pk).version == live_lesson.version + 1


def test_rows_move_together_or_not_at_all(make_live_lesson):
    ours, wished = make_live_lesson(), make_live_lesson()
    rows = leases_take(live_lesson_ids=[ours.pk, wished.pk], ttl=TTL)
    LiveLesson.objects.filter(pk=wished.pk).update(generation=F("generation") + 1)

    with pytest.raises(LeaseLost):
        live_lessons_move(live_lessons=rows, to=State.BOOTING, at=timezone.now(), next_look_at=None)

    ours.refresh_from_db()
    assert ours.state == State.INITIALIZED
    assert not ours.history.exists()


def test_a_refusal_names_the_row_that_the_table_refuses(make_live_lesson):
    fine, ended = make_live_lesson(), make_live_lesson(state=State.DELETED)
    rows = leases_take(live_lesson_ids=[fine.pk, ended.pk], ttl=TTL)

    with pytest.raises(StaleTransition) as caught:
        live_lessons_move(live_lessons=rows, to=State.BOOTING, at=timezone.now(), next_look_at=None)

    assert caught.value.context["live_lesson_id"] == ended.pk


def test_a_test_that_found_an_endpoint_reachable_meanwhile_keeps_its_word(make_live_lesson):
    live_lesson = make_live_lesson(state=State.BOOTING)

    def look(phase, host, *, meanwhile=None):
        row = take(live_lesson)
        endpoint = EndpointObservation(phase, host=host)
        seen = EnvironmentObservation(phase, endpoints={"linux1": endpoint})
        changed = changed_endpoints(row, seen)
        if meanwhile:
            LiveEndpoint.objects.update(**meanwhile)
        move(row, None, endpoints=changed)
        found = LiveEndpoint.objects.get()
        return found.phase, found.host, found.reachable

    assert look(Phase.STARTING, "here") == ("starting", "here", False)
    running = look(Phase.RUNNING, "here", meanwhile={"reachable": True})
    assert running == ("running", "here", True)
    # That word was about another place.
    assert look(Phase.RUNNING, "there") == ("running", "there", False)
