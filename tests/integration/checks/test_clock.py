"""A database whose clock is set forward and back: checks go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from livelessons.models import LiveLesson, LiveObjective
from livelessons.selectors import checks_are_on
from livelessons.services import live_lesson_touch, objectives_wake
from livelessons.services.checkers import checks_follow_clock
from livelessons.services.objectives import objective_failed, objective_passed, objective_postpone
from livelessons.states import ObjectiveState
from tests.integration.checks.conftest import run
from tests.integration.checks.test_faults import wait_for_state
from tests.objectives import claim, claim_one, objective

pytestmark = pytest.mark.django_db(transaction=True)

TTL = timedelta(seconds=15)
JUMPS = [timedelta(minutes=40), timedelta(hours=7), timedelta(days=3)]

_OWN_CLOCK = """
    CREATE TABLE clock (ahead interval NOT NULL);
    INSERT INTO clock VALUES ('0');
    CREATE FUNCTION statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE AS
        'SELECT pg_catalog.statement_timestamp() + (SELECT ahead FROM public.clock)';
    ALTER DATABASE {name} SET search_path = public, pg_catalog;
"""
_NO_OWN_CLOCK = """
    ALTER DATABASE {name} RESET search_path;
    DROP FUNCTION public.statement_timestamp();
    DROP TABLE clock;
"""


@pytest.fixture
def set_clock(transactional_db: None) -> Iterator[Callable[[timedelta], None]]:
    """Return a way to set the database's clock, as all connections of the test see it."""

    def execute(sql: str, *values: object) -> None:
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(sql.format(name=name), values or None)

    execute(_OWN_CLOCK)
    connection.close()
    yield lambda ahead: execute("UPDATE clock SET ahead = %s", ahead)
    execute(_NO_OWN_CLOCK)
    connection.close()


def test_a_clock_that_is_set_stops_no_checker(set_clock, checker, checked_lesson, ssh):
    test = "test -e {0} || { echo There is no {0}.; exit 1; }"
    one = {name: run(test.replace("{0}", name)) for name in ("first", "second")}
    live_lesson = checked_lesson({22: ssh.port}, **one)
    checker.wake()
    wait_for_state(live_lesson, "first", ObjectiveState.FAILED)

    set_clock(-JUMPS[0])
    (ssh.home / "first").touch()
    wait_for_state(live_lesson, "first", ObjectiveState.PASSED)
    assert checks_are_on()

    set_clock(timedelta(0))
    (ssh.home / "second").touch()
    objectives_wake(live_lesson_ids=[live_lesson.pk])
    wait_for_state(live_lesson, "second", ObjectiveState.PASSED)


@pytest.mark.parametrize("back", JUMPS)
def test_what_a_clock_left_ahead_comes_near(set_clock, checked_lesson, back):
    check = run("true", timeout_seconds=5)
    live_lesson = checked_lesson({}, held=check, failed=check, silent=check)
    objective_failed(claim_one(live_lesson, "failed"), message="No.")
    objective_postpone(claim_one(live_lesson, "silent"), detail="")
    held = claim_one(live_lesson, "held")

    set_clock(-back)
    assert claim() == []
    checks_follow_clock(ttl=TTL)
    assert objective(live_lesson, "silent").checked_at is None

    set_clock(timedelta(seconds=6) - back)
    assert {claimed.objective.slug for claimed in claim()} == {"failed", "silent"}
    set_clock(TTL + timedelta(seconds=6) - back)
    (again,) = [claimed for claimed in claim() if claimed.objective.slug == "held"]
    assert not objective_passed(held, message="")
    assert objective_passed(again, message="")


def test_use_counts_from_now_where_the_last_check_lies_ahead(set_clock, checked_lesson):
    live_lesson = checked_lesson({}, it=run("true"))
    for _ in range(5):
        objective_failed(claim_one(live_lesson, "it"), message="No.")

    set_clock(-timedelta(hours=1))
    objectives_wake(live_lesson_ids=[live_lesson.pk])
    set_clock(timedelta(seconds=3) - timedelta(hours=1))

    assert len(claim()) == 1


def test_nobody_is_away_for_a_clock_that_was_set(set_clock, checked_lesson):
    live_lesson = checked_lesson({}, it=run("true"))
    set_clock(-timedelta(hours=1))
    live_lesson_touch(live_lesson_id=live_lesson.pk)
    LiveObjective.objects.update(next_check_at=F("opened_at") - timedelta(hours=1))
    set_clock(timedelta(minutes=11) - timedelta(hours=1))

    objective_failed(claim_one(live_lesson, "it"), message="No.")

    row = objective(live_lesson, "it")
    assert row.next_check_at - row.checked_at == timedelta(hours=1)
    assert LiveLesson.objects.get().last_active_at < row.checked_at


def test_a_clock_that_is_right_changes_nothing(checked_lesson):
    live_lesson = checked_lesson({}, held=run("true"), failed=run("true"), away=run("true"))
    objective_failed(claim_one(live_lesson, "failed"), message="No.")
    LiveLesson.objects.update(last_active_at=F("last_active_at") - timedelta(hours=1))
    objective_failed(claim_one(live_lesson, "away"), message="No.")
    claim(ttl=TTL)
    before = list(LiveObjective.objects.order_by("pk").values())

    checks_follow_clock(ttl=TTL)

    assert list(LiveObjective.objects.order_by("pk").values()) == before
