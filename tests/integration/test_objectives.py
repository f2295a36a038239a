"""What becomes of objectives: opened, checked, passed, lost, and started over."""

import itertools
from collections import Counter
from datetime import timedelta

import jsonschema
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from events.catalogue import CATALOGUE
from events.models import OutboxEvent
from livelessons.errors import ObjectiveNotFound, ObjectiveNotOpen, StageGated
from livelessons.models import LiveLesson, LiveObjective
from livelessons.selectors import live_lesson_with_objectives
from livelessons.services import leases_take, live_lessons_move, objectives_wake
from livelessons.services.checkers import checker_beat
from livelessons.services.objectives import (
    objective_broken,
    objective_failed,
    objective_passed,
    objective_postpone,
    objective_release,
)
from livelessons.services.openings import objective_ask
from livelessons.snapshots import objectives as shown
from livelessons.states import ObjectiveState, State
from scheduler.services import lesson_start, live_lesson_end, live_lesson_restart, stage_change
from tests.conftest import objective_dict, stage_dict
from tests.objectives import claim, claim_one, due_now, objective, open_all, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_ready(make_lesson, make_live_lesson):
    """Return a factory of READY livelessons whose first stage's objectives are due."""

    def make(*stages, opened=True, **fields):
        live_lesson = make_live_lesson(
            lesson=make_lesson(stages=list(stages)), state=State.READY, **fields
        )
        if opened:
            open_all(live_lesson)
        return live_lesson

    return make


def move(live_lesson, to, **changes):
    (row,) = leases_take(live_lesson_ids=[live_lesson.pk], ttl=timedelta(seconds=30))
    live_lessons_move(live_lessons=[row], to=to, at=timezone.now(), next_look_at=None, **changes)
    live_lesson.refresh_from_db()


def events():
    return [(event.type, event.data.get("objective")) for event in OutboxEvent.objects.all()]


def version(live_lesson):
    return LiveLesson.objects.values_list("version", flat=True).get(pk=live_lesson.pk)


def pass_all(live_lesson):
    due_now(live_lesson)
    for claimed in claim(per_live_lesson=100):
        assert objective_passed(claimed, message="done")


def test_rows_of_all_stages_are_made_with_the_livelesson(make_lesson, make_session):
    lesson = make_lesson(
        stages=[stage_dict(objective_dict("a"), objective_dict("b")), stage_dict(objective_dict())]
    )

    live_lesson = lesson_start(session=make_session(), slug=lesson.slug).live_lesson

    assert states(live_lesson) == {"a": "waiting", "b": "waiting"}
    assert states(live_lesson, 1) == {"make-notes": "waiting"}
    assert claim() == []


def test_arriving_at_ready_opens_the_objectives_of_the_stage(make_ready):
    stages = [stage_dict(objective_dict("a"), objective_dict("b")), stage_dict(objective_dict())]
    live_lesson = make_ready(*stages, opened=False)
    LiveLesson.objects.update(state=State.CONFIGURATION)

    move(live_lesson, State.READY)

    (first,) = claim()
    assert first.objective.slug == "a"
    assert first.check["script"] == "true"
    assert first.live_lesson == live_lesson
    assert [endpoint.name for endpoint in first.live_lesson.known_endpoints] == ["linux1"]
    # Not all in the same second.
    assert objective(live_lesson, "b").next_check_at > timezone.now()
    assert states(live_lesson, 1) == {"make-notes": "waiting"}


def test_a_claim_is_shown_while_nothing_was_found_before(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    before = version(live_lesson)

    (claimed,) = claim(checker="worker-1")

    assert states(live_lesson) == {"a": "checking"}
    assert objective(live_lesson, "a").checker == "worker-1"
    assert version(live_lesson) == before + 1
    assert claim() == []
    objective_failed(claimed, message="There is no notes.txt yet.")
    due_now(live_lesson)
    before = version(live_lesson)
    claim()
    assert states(live_lesson) == {"a": "failed"}
    assert version(live_lesson) == before


def test_a_failed_check_tells_the_learner_and_backs_off(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    pauses = []
    for _ in range(12):
        claimed = claim_one(live_lesson, "a")
        assert objective_failed(claimed, message="No notes.", detail="the whole tail")
        row = objective(live_lesson, "a")
        pauses.append((row.next_check_at - row.checked_at).total_seconds())

    assert pauses[:3] == [2, 3, 4.5]
    assert pauses[-1] == 60
    assert (row.state, row.message, row.detail) == ("failed", "No notes.", "the whole tail")
    assert (row.attempts, row.failures, row.errors) == (12, 12, 0)


def test_many_objectives_of_one_idle_livelesson_cost_a_check_a_second(make_ready):
    names = [f"objective-{number}" for number in range(10)]
    live_lesson = make_ready(stage_dict(*map(objective_dict, names)), opened=False)
    LiveLesson.objects.update(state=State.CONFIGURATION)
    move(live_lesson, State.READY)

    rows = list(LiveObjective.objects.order_by("position"))

    gaps = [b.next_check_at - a.next_check_at for a, b in itertools.pairwise(rows)]
    assert gaps == [timedelta(seconds=1)] * 9
    assert {row.pause_seconds for row in rows} == {10}


def test_the_same_result_again_is_no_news(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    objective_failed(claim_one(live_lesson, "a"), message="No notes.")
    before = version(live_lesson)

    objective_failed(claim_one(live_lesson, "a"), message="No notes.")
    assert version(live_lesson) == before

    objective_failed(claim_one(live_lesson, "a"), message="Other notes.")
    assert version(live_lesson) == before + 1


def test_hints_come_with_failures_and_with_time(make_ready):
    hints = [
        {"text": "first", "after_failures": 2, "after_minutes": None},
        {"text": "second", "after_failures": None, "after_minutes": 5},
    ]
    live_lesson = make_ready(stage_dict(objective_dict("a", hints=hints)))

    def seen():
        return shown(live_lesson_with_objectives(live_lesson.pk))["items"][0]["hints"]

    objective_failed(claim_one(live_lesson, "a"), message="No.")
    assert seen() == []
    before = version(live_lesson)
    objective_failed(claim_one(live_lesson, "a"), message="No.")
    assert seen() == ["first"]
    assert version(live_lesson) == before + 1
    now = timezone.now()
    LiveObjective.objects.update(
        opened_at=now - timedelta(minutes=6), checked_at=now - timedelta(minutes=2)
    )
    objective_failed(claim_one(live_lesson, "a"), message="No.")
    assert seen() == ["first", "second"]
    assert version(live_lesson) == before + 2


def test_a_broken_check_counts_for_nothing(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))

    objective_broken(claim_one(live_lesson, "a"), detail="syntax error near line 1")

    row = objective(live_lesson, "a")
    assert (row.state, row.message, row.detail) == ("error", "", "syntax error near line 1")
    assert (row.attempts, row.failures, row.errors) == (0, 0, 1)
    assert row.next_check_at is not None


def test_an_edge_objective_is_passed_once_and_for_all(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a"), objective_dict("b")))

    objective_passed(claim_one(live_lesson, "a"), message="Well done.")

    row = objective(live_lesson, "a")
    assert (row.state, row.message, row.next_check_at) == ("passed", "Well done.", None)
    assert row.passed_at is not None
    assert events() == [("objective.passed", "a")]


def test_a_level_objective_may_be_lost_and_won_again(make_ready):
    live_lesson = make_ready(
        stage_dict(objective_dict("up", mode="level"), objective_dict("b", needs=["up"]))
    )
    objective_passed(claim_one(live_lesson, "up"), message="It is up.")
    assert objective(live_lesson, "b").next_check_at is not None

    objective_failed(claim_one(live_lesson, "up"), message="It is down.")

    assert states(live_lesson) == {"up": "failed", "b": "waiting"}
    assert objective(live_lesson, "up").passed_at is None
    assert objective(live_lesson, "b").next_check_at is None
    objective_passed(claim_one(live_lesson, "up"), message="It is up.")
    assert events() == [("objective.passed", "up")] * 2


def test_a_broken_check_takes_nothing_away(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("up", mode="level"), objective_dict("b")))
    objective_passed(claim_one(live_lesson, "up"), message="It is up.")

    objective_broken(claim_one(live_lesson, "up"), detail="no interpreter")

    row = objective(live_lesson, "up")
    assert (row.state, row.message, row.errors) == ("passed", "It is up.", 1)
    assert events() == [("objective.passed", "up")]


def test_what_was_printed_is_there_for_the_checks_that_need_it(make_ready):
    make_ready(
        stage_dict(objective_dict("find-port"), objective_dict("use-it", needs=["find-port"]))
    )
    (claimed,) = claim()
    assert claimed.objective.slug == "find-port"

    objective_passed(claimed, message="8080")

    (claimed,) = claim()
    assert claimed.objective.slug == "use-it"
    assert claimed.variables == {"OBJECTIVE_FIND_PORT": "8080"}


def test_the_last_counting_objective_completes_the_stage(make_ready):
    live_lesson = make_ready(
        stage_dict(
            objective_dict("a"),
            objective_dict("b"),
            objective_dict("extra", optional=True),
            complete_message="Well done!",
        )
    )
    objective_passed(claim_one(live_lesson, "a"), message="")
    seen = shown(live_lesson_with_objectives(live_lesson.pk))
    assert (seen["summary"], seen["complete"], seen["complete_message"]) == ("1 of 2", False, None)

    objective_passed(claim_one(live_lesson, "b"), message="")

    seen = shown(live_lesson_with_objectives(live_lesson.pk))
    assert (seen["summary"], seen["complete"]) == ("2 of 2", True)
    assert seen["complete_message"] == "Well done!"
    assert [kind for kind, _ in events()] == ["objective.passed"] * 2 + ["stage.completed"]
    for event in OutboxEvent.objects.all():
        jsonschema.validate(event.data, CATALOGUE[event.type].schema)
        assert event.subject == f"livelessons/{live_lesson.pk}"
        assert event.published_at is None


def test_a_stage_is_completed_once(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("up", mode="level")))
    for message in ("up", "up again"):
        objective_passed(claim_one(live_lesson, "up"), message=message)
        objective_failed(claim_one(live_lesson, "up"), message="down")

    assert [kind for kind, _ in events()].count("stage.completed") == 1


def test_a_result_after_the_stage_changed_is_dropped(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")), stage_dict())
    (claimed,) = claim()

    stage_change(live_lesson=live_lesson, stage=1)
    assert not objective_passed(claimed, message="")

    move(live_lesson, State.CONFIGURATION, stage=1)
    assert not objective_passed(claimed, message="")
    assert states(live_lesson) == {"a": "waiting"}
    assert claim() == []
    assert events() == []


def test_a_result_after_the_lesson_ended_is_dropped(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    (claimed,) = claim()

    live_lesson_end(live_lesson=live_lesson)

    assert not objective_failed(claimed, message="")
    move(live_lesson, State.DELETING)
    assert not objective_failed(claimed, message="")
    assert objective(live_lesson, "a").next_check_at is None


def test_going_back_to_a_stage_keeps_what_was_passed(make_ready):
    live_lesson = make_ready(
        stage_dict(objective_dict("a"), objective_dict("up", mode="level"), objective_dict("b")),
        stage_dict(),
    )
    for slug in ("a", "up"):
        objective_passed(claim_one(live_lesson, slug), message="")
    for stage in (1, 0):
        stage_change(live_lesson=live_lesson, stage=stage)
        move(live_lesson, State.CONFIGURATION, stage=stage)
        move(live_lesson, State.READY)

    assert states(live_lesson) == {"a": "passed", "up": "passed", "b": "waiting"}
    due_now(live_lesson)
    assert {claimed.objective.slug for claimed in claim()} == {"up", "b"}


def test_a_fresh_environment_starts_the_objectives_of_its_stage_over(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a"), objective_dict("b")))
    objective_passed(claim_one(live_lesson, "a"), message="")
    late = claim_one(live_lesson, "b")

    move(live_lesson, State.INITIALIZED, attempt=2, stage=0)

    row = objective(live_lesson, "a")
    assert (row.state, row.attempts, row.opened_at, row.next_check_at) == ("waiting", 0, None, None)
    assert not objective_passed(late, message="")


def test_a_fresh_environment_leaves_a_completed_stage_alone(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    pass_all(live_lesson)

    move(live_lesson, State.INITIALIZED, attempt=2, stage=0)

    assert states(live_lesson) == {"a": "passed"}


def test_a_restart_starts_everything_over(make_ready):
    live_lesson = make_ready(
        stage_dict(objective_dict("a"), gate=True), stage_dict(objective_dict("b"))
    )
    pass_all(live_lesson)
    stage_change(live_lesson=live_lesson, stage=1)
    move(live_lesson, State.CONFIGURATION, stage=1)
    move(live_lesson, State.READY)
    (late,) = claim()

    live_lesson_restart(live_lesson=live_lesson)

    assert not objective_passed(late, message="")
    assert states(live_lesson) == {"a": "waiting"}
    assert states(live_lesson, 1) == {"b": "waiting"}
    assert claim() == []


def test_a_gate_opens_with_the_stage_before_it(make_ready):
    checker_beat(name="checker")
    live_lesson = make_ready(
        stage_dict(objective_dict("a"), objective_dict("x", optional=True), gate=True),
        stage_dict(),
        stage_dict(),
    )
    with pytest.raises(StageGated) as refused:
        stage_change(live_lesson=live_lesson, stage=2)
    assert refused.value.context["missing"] == ["a"]
    assert "Do a" in str(refused.value)

    pass_all(live_lesson)
    live_lesson.refresh_from_db()

    stage_change(live_lesson=live_lesson, stage=2)


def test_a_gate_cannot_be_walked_around(make_lesson, make_session):
    checker_beat(name="checker")
    lesson = make_lesson(stages=[stage_dict(objective_dict("a"), gate=True), stage_dict()])

    with pytest.raises(StageGated):
        lesson_start(session=make_session(), slug=lesson.slug, stage=1)


def test_a_gate_stays_open_for_a_session_whose_lesson_was_lost(make_ready, make_session):
    checker_beat(name="checker")
    lost = make_ready(stage_dict(objective_dict("a"), gate=True), stage_dict())
    pass_all(lost)
    LiveLesson.objects.update(state=State.FAILED)

    again = lesson_start(session=lost.session, slug=lost.slug, stage=1).live_lesson

    assert (again.pk != lost.pk, again.completed_stages) == (True, [0])
    with pytest.raises(StageGated):
        lesson_start(session=make_session(), slug=lost.slug, stage=1)


def test_nobody_is_checked_who_is_away(make_ready):
    live_lesson = make_ready(
        stage_dict(objective_dict("a")), last_active_at=timezone.now() - timedelta(minutes=11)
    )
    objective_failed(claim_one(live_lesson, "a"), message="No.")
    assert objective(live_lesson, "a").next_check_at > timezone.now() + timedelta(minutes=50)

    objectives_wake(live_lesson_ids=[live_lesson.pk])

    row = objective(live_lesson, "a")
    assert row.next_check_at - row.checked_at == timedelta(seconds=2)


def test_use_undoes_the_back_off(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    for _ in range(8):
        objective_failed(claim_one(live_lesson, "a"), message="No.")
    LiveObjective.objects.update(checked_at=timezone.now() - timedelta(seconds=10))
    assert claim() == []

    objectives_wake(live_lesson_ids=[live_lesson.pk])

    (claimed,) = claim()
    objective_failed(claimed, message="No.")
    row = objective(live_lesson, "a")
    assert row.next_check_at - row.checked_at == timedelta(seconds=2)


SILENCE = "The machine does not answer at the moment."


def shown_of(live_lesson, slug="a"):
    items = shown(live_lesson_with_objectives(live_lesson.pk))["items"]
    return next((item["state"], item["message"]) for item in items if item["slug"] == slug)


def test_a_machine_that_does_not_answer_is_shown_and_costs_nothing(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    (claimed,) = claim()
    before = version(live_lesson)
    assert shown_of(live_lesson) == ("checking", "")

    assert objective_postpone(claimed, detail="refused")

    assert shown_of(live_lesson) == ("waiting", SILENCE)
    assert version(live_lesson) == before + 1
    # It stays so while it is tried again.
    claimed = claim_one(live_lesson, "a")
    assert shown_of(live_lesson) == ("waiting", SILENCE)
    objective_postpone(claimed, detail="refused")
    assert version(live_lesson) == before + 1
    row = objective(live_lesson, "a")
    assert (row.attempts, row.failures, row.errors, row.detail) == (0, 0, 0, "refused")

    objective_failed(claim_one(live_lesson, "a"), message="No.")
    assert shown_of(live_lesson) == ("failed", "No.")
    objective_postpone(claim_one(live_lesson, "a"), detail="")
    assert shown_of(live_lesson) == ("failed", SILENCE)
    objective_passed(claim_one(live_lesson, "a"), message="Yes.")
    assert shown_of(live_lesson) == ("passed", "Yes.")


def test_who_asks_a_machine_that_does_not_answer_is_answered(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    objective_failed(claim_one(live_lesson, "a"), message="No.")
    objective_ask(live_lesson=live_lesson, slug="a")
    (early,) = claim()
    objective_ask(live_lesson=live_lesson, slug="a")

    objective_postpone(early, detail="")
    assert shown_of(live_lesson) == ("checking", "No.")
    (claimed,) = claim()
    objective_postpone(claimed, detail="")

    assert shown_of(live_lesson) == ("waiting", SILENCE)
    row = objective(live_lesson, "a")
    assert row.answered == row.wishes == 2
    assert claim() == []


def test_a_lost_machine_takes_nothing_that_was_passed(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a", mode="level")))
    objective_passed(claim_one(live_lesson, "a"), message="42")

    objective_postpone(claim_one(live_lesson, "a"), detail="")

    assert shown_of(live_lesson) == ("passed", "42")


def test_a_machine_that_does_not_answer_is_not_hurried(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    for _ in range(4):
        objective_postpone(claim_one(live_lesson, "a"), detail="")

    for _ in range(3):
        objectives_wake(live_lesson_ids=[live_lesson.pk])

    row = objective(live_lesson, "a")
    assert row.next_check_at - row.unanswered_at == timedelta(seconds=2)
    LiveLesson.objects.update(last_active_at=timezone.now() - timedelta(minutes=11))
    objective_postpone(claim_one(live_lesson, "a"), detail="")
    assert objective(live_lesson, "a").next_check_at > timezone.now() + timedelta(minutes=50)


def test_silence_of_a_stage_that_was_left_is_dropped(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")), stage_dict())
    (claimed,) = claim()
    stage_change(live_lesson=live_lesson, stage=1)

    assert not objective_postpone(claimed, detail="")
    assert objective(live_lesson, "a").unanswered_at is None


def test_use_does_not_let_a_second_checker_in(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    (claimed,) = claim()

    objectives_wake(live_lesson_ids=[live_lesson.pk])
    objective_ask(live_lesson=live_lesson, slug="a")

    assert claim() == []
    assert objective_failed(claimed, message="No.")


def test_asking_during_a_check_brings_another_one(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    (claimed,) = claim()
    objective_ask(live_lesson=live_lesson, slug="a")

    objective_failed(claimed, message="No.")

    assert states(live_lesson) == {"a": "checking"}
    (claimed,) = claim()
    objective_failed(claimed, message="No.")
    assert states(live_lesson) == {"a": "failed"}


def test_asking_checks_at_once_and_shows(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    objective_failed(claim_one(live_lesson, "a"), message="No.")
    before = version(live_lesson)

    objective_ask(live_lesson=live_lesson, slug="a")

    assert states(live_lesson) == {"a": "checking"}
    assert version(live_lesson) == before + 1
    assert len(claim()) == 1


def test_what_cannot_be_asked_for(make_ready):
    live_lesson = make_ready(
        stage_dict(objective_dict("a"), objective_dict("b", needs=["a"])),
        stage_dict(objective_dict("c")),
    )
    for slug in ("c", "unknown"):
        with pytest.raises(ObjectiveNotFound):
            objective_ask(live_lesson=live_lesson, slug=slug)
    with pytest.raises(ObjectiveNotOpen):
        objective_ask(live_lesson=live_lesson, slug="b")
    objective_passed(claim_one(live_lesson, "a"), message="")
    objective_ask(live_lesson=live_lesson, slug="a")
    assert states(live_lesson)["a"] == "passed"


def test_a_killed_checkers_claims_expire(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))
    (lost,) = claim(checker="killed")
    row = objective(live_lesson, "a")
    assert row.claimed_until == row.next_check_at
    held = (row.claimed_until - timezone.now()).total_seconds()
    assert 15 < held <= 20
    past = timezone.now() - timedelta(seconds=1)
    LiveObjective.objects.update(claimed_until=past, next_check_at=past)

    (claimed,) = claim(checker="alive")

    assert not objective_passed(lost, message="")
    assert objective_passed(claimed, message="")


def test_a_check_given_back_is_due_at_once(make_ready):
    make_ready(stage_dict(objective_dict("a")))
    (claimed,) = claim()

    objective_release(claimed)

    (again,) = claim()
    assert again.objective.attempts == 0
    assert not objective_passed(claimed, message="")


def test_one_livelesson_takes_its_share_only(make_ready):
    names = [f"objective-{number}" for number in range(8)]
    many = make_ready(stage_dict(*map(objective_dict, names)))
    few = make_ready(stage_dict(objective_dict("a")))

    taken = [claimed.live_lesson.pk for claimed in claim(per_live_lesson=3)]

    assert sorted(taken) == sorted([many.pk] * 3 + [few.pk])
    assert claim(per_live_lesson=3) == []
    assert len(claim(per_live_lesson=4)) == 1


def test_a_busy_livelesson_does_not_go_before_the_others(make_ready):
    """One has much to check and is first each time; the places of a checker are few."""
    names = [f"objective-{number}" for number in range(60)]
    busy = make_ready(stage_dict(*map(objective_dict, names)))
    others = [make_ready(stage_dict(objective_dict("a"))) for _ in range(5)]

    def first_due(live_lesson):
        past = timezone.now() - timedelta(minutes=1)
        rows = LiveObjective.objects.filter(live_lesson=live_lesson, claim=None)
        rows.update(next_check_at=past)

    first_due(busy)
    taken = claim(limit=3)
    for _ in range(3):
        first_due(busy)
        taken += claim(limit=1)

    counts = Counter(claimed.live_lesson.pk for claimed in taken)
    assert counts[busy.pk] == 1
    assert all(counts[live_lesson.pk] == 1 for live_lesson in others)


def test_the_oldest_go_first(make_ready):
    live_lessons = [make_ready(stage_dict(objective_dict("a"))) for _ in range(4)]
    for age, live_lesson in enumerate(live_lessons):
        due = timezone.now() - timedelta(seconds=age + 1)
        LiveObjective.objects.filter(live_lesson=live_lesson).update(next_check_at=due)

    taken = [claim(limit=1)[0].live_lesson.pk for _ in live_lessons]

    assert taken == [live_lesson.pk for live_lesson in reversed(live_lessons)]


def test_those_that_cannot_be_checked_hide_nobody(make_ready, make_session):
    names = [f"objective-{number}" for number in range(95)]
    busy = make_ready(stage_dict(*map(objective_dict, names)))
    assert len(claim(per_live_lesson=3)) == 3
    changing = make_ready(stage_dict(*map(objective_dict, names)), stage_dict())
    LiveLesson.objects.filter(pk=changing.pk).update(desired_stage=1)
    for live_lesson in (busy, changing):
        due_now(live_lesson)
    last = make_ready(stage_dict(objective_dict("a")))

    (claimed,) = claim(limit=1, per_live_lesson=3)

    assert claimed.live_lesson == last


@pytest.mark.parametrize(
    "changes",
    [
        {"state": State.CONFIGURATION},
        {"desired": "gone"},
        {"desired_stage": 1},
        {"desired_restarts": 1},
    ],
)
def test_only_what_stands_still_is_checked(make_ready, changes):
    make_ready(stage_dict(objective_dict("a")), stage_dict())
    LiveLesson.objects.update(**changes)

    assert claim() == []


def test_lessons_without_objectives_cost_no_statement(make_live_lesson):
    rows = {}
    for state in (State.CONFIGURATION, State.READY, State.BOOTING):
        rows[state] = make_live_lesson(state=state)
    with CaptureQueriesContext(connection) as captured:
        move(rows[State.CONFIGURATION], State.READY)
        move(rows[State.READY], State.DELETING)
        move(rows[State.BOOTING], State.INITIALIZED, attempt=2)
        live_lesson_restart(live_lesson=rows[State.CONFIGURATION])

    assert "liveobjective" not in "".join(query["sql"] for query in captured)


def test_a_nul_and_a_flood_are_kept_out(make_ready):
    live_lesson = make_ready(stage_dict(objective_dict("a")))

    objective_failed(claim_one(live_lesson, "a"), message="a\0" * 5000, detail="\0b" * 50_000)

    row = objective(live_lesson, "a")
    assert len(row.message) == 500
    assert len(row.detail) <= 16_000
    assert row.state == ObjectiveState.FAILED
