"""Objectives in /api/v1: as they stand, checked now when asked for, and gates."""

import json
import socket
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from livelessons.check_limits import A_MINUTE
from livelessons.models import Checker, LiveLesson
from livelessons.services.checkers import checker_beat, checker_leave
from livelessons.services.objectives import (
    objective_broken,
    objective_failed,
    objective_passed,
)
from livelessons.states import State
from tests.conftest import objective_dict, stage_dict
from tests.objectives import claim_one, open_all, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(make_lesson, make_live_lesson):
    """A READY livelesson with a gate between its stages, and a checker that lives."""
    hint = {"text": "Try touch.", "after_failures": 1, "after_minutes": None}
    live_lesson = make_live_lesson(
        lesson=make_lesson(
            stages=[
                stage_dict(
                    objective_dict("make-notes", hints=[hint]),
                    objective_dict("read-notes", needs=["make-notes"], optional=True),
                    gate=True,
                    complete_message="On to the next.",
                ),
                stage_dict(),
            ]
        ),
        state=State.READY,
    )
    open_all(live_lesson)
    checker_beat(name="checker")
    return live_lesson


@pytest.fixture
def call(client, ready):
    """Return a way to call the API as the livelesson's learner."""

    def send(method, path="", body=None, **headers):
        return client.generic(
            method,
            f"/api/v1/livelessons/{ready.pk}{path}",
            json.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers={"Authorization": f"Bearer {ready.session.secret}", **headers},
        )

    return send


def test_how_objectives_are_shown(call, ready, django_assert_num_queries):
    objective_failed(claim_one(ready, "make-notes"), message="There is no notes.txt yet.")

    with django_assert_num_queries(1):
        shown = call("GET").json()

    assert shown["open_stages"] == 1
    objectives = shown["objectives"]
    items = objectives.pop("items")
    assert objectives == {
        "checking": True,
        "summary": "0 of 1",
        "complete": False,
        "complete_message": None,
    }
    assert items[0].pop("checked_at").endswith("Z")
    assert items == [
        {
            "slug": "make-notes",
            "description": "Do make-notes",
            "optional": False,
            "needs": [],
            "state": "failed",
            "message": "There is no notes.txt yet.",
            "attempts": 1,
            "passed_at": None,
            "hints": ["Try touch."],
        },
        {
            "slug": "read-notes",
            "description": "Do read-notes",
            "optional": True,
            "needs": ["make-notes"],
            "state": "waiting",
            "message": "",
            "attempts": 0,
            "checked_at": None,
            "passed_at": None,
            "hints": [],
        },
    ]


def test_a_completed_stage(call, ready):
    objective_passed(claim_one(ready, "make-notes"), message="")

    shown = call("GET").json()

    assert shown["objectives"]["summary"] == "1 of 1"
    assert shown["objectives"]["complete"] is True
    assert shown["objectives"]["complete_message"] == "On to the next."
    assert shown["open_stages"] == 2


def test_a_stage_without_objectives_has_none(call, ready):
    LiveLesson.objects.update(stage=1, desired_stage=1)

    shown = call("GET").json()

    assert shown["objectives"] is None
    assert shown["open_stages"] == 2


def test_a_broken_check_tells_learners_nothing_of_its_inside(call, ready):
    objective_broken(claim_one(ready, "make-notes"), detail="secret of the author")

    response = call("GET")

    assert response.json()["objectives"]["items"][0]["state"] == "error"
    assert "secret of the author" not in response.text


@pytest.mark.parametrize("seen", ["never", "long ago", "ahead", "left"])
def test_checks_are_off_while_no_checker_lives(call, seen):
    if seen == "long ago":
        Checker.objects.update(seen_at=timezone.now() - timedelta(seconds=16))
    elif seen == "ahead":
        # By a clock that was set back since; one that lives would have said so anew.
        Checker.objects.update(seen_at=timezone.now() + timedelta(minutes=5))
    elif seen == "never":
        Checker.objects.all().delete()
    else:
        checker_leave(name="checker")

    assert call("GET").json()["objectives"]["checking"] is False
    response = call("POST", "/objectives/make-notes/check")
    assert (response.status_code, response.json()["code"]) == (503, "checks_off")


def test_the_tag_follows_everything_that_is_shown(call, ready):
    tags = {call("GET")["ETag"]}
    objective_failed(claim_one(ready, "make-notes"), message="No.")
    tags.add(call("GET")["ETag"])
    # The same again shows in the number of attempts alone.
    objective_failed(claim_one(ready, "make-notes"), message="No.")
    tags.add(call("GET")["ETag"])
    Checker.objects.all().delete()
    last = call("GET")["ETag"]
    tags.add(last)

    assert len(tags) == 4
    assert call("GET", **{"If-None-Match": last}).status_code == 304


def test_checking_now(call, ready):
    objective_failed(claim_one(ready, "make-notes"), message="No.")
    LiveLesson.objects.update(last_active_at=timezone.now() - timedelta(minutes=5))

    response = call("POST", "/objectives/make-notes/check", {})

    assert response.status_code == 202
    assert response.json()["id"] == str(ready.pk)
    assert states(ready)["make-notes"] == "checking"
    ready.refresh_from_db()
    assert timezone.now() - ready.last_active_at < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("slug", "status", "code"),
    [
        ("unknown", 404, "objective_not_found"),
        ("read-notes", 409, "objective_not_open"),
        ("no slug", 404, "not_found"),
    ],
)
def test_what_cannot_be_checked_now(call, slug, status, code):
    response = call("POST", f"/objectives/{slug}/check")

    assert (response.status_code, response.json()["code"]) == (status, code)


def test_others_objectives_do_not_exist(client, ready, make_session):
    response = client.post(
        f"/api/v1/livelessons/{ready.pk}/objectives/make-notes/check",
        headers={"Authorization": f"Bearer {make_session().secret}"},
    )

    assert response.status_code == 404


def test_nobody_asks_without_end(call):
    # The minute may end in between, but not twice.
    answers = [call("POST", "/objectives/make-notes/check") for _ in range(2 * A_MINUTE + 1)]

    assert [answer.status_code for answer in answers[:A_MINUTE]] == [202] * A_MINUTE
    refused = [answer for answer in answers if answer.status_code != 202]
    assert refused
    for answer in refused:
        assert (answer.status_code, answer.json()["code"]) == (429, "too_many_checks")
        assert 1 <= int(answer["Retry-After"]) <= 60


@pytest.mark.parametrize("away", ["refuses", "hangs"])
def test_without_redis_nobody_is_refused(call, settings, away):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if away == "refuses":
            silent.close()
        settings.CACHES = {
            "default": {
                **settings.CACHES["default"],
                "LOCATION": f"redis://127.0.0.1:{port}/0",
            }
        }
        begun = time.monotonic()
        answers = [call("POST", "/objectives/make-notes/check") for _ in range(2)]
        taken = time.monotonic() - begun

    assert [answer.status_code for answer in answers] == [202, 202]
    # Less than a second for each: what waits longer than it may waits many.
    assert taken < 3 * len(answers)


def test_a_gate_names_what_is_missing(call):
    response = call("POST", "/stage", {"stage": 1})

    assert response.status_code == 409
    assert response.json() == {
        "detail": "This stage opens when these objectives are reached: Do make-notes.",
        "code": "stage_gated",
        "missing": ["make-notes"],
    }


def test_a_gate_stands_before_a_start_as_well(client, ready, make_session):
    response = client.post(
        "/api/v1/livelessons",
        json.dumps({"lesson": ready.slug, "stage": 1}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {make_session().secret}"},
    )

    assert (response.status_code, response.json()["code"]) == (409, "stage_gated")


@pytest.mark.parametrize("why", ["nobody checks", "its check is broken"])
def test_a_gate_stands_open_where_nobody_could_pass_it(call, client, ready, why):
    tag = call("GET")["ETag"]
    if why == "nobody checks":
        checker_leave(name="checker")
    else:
        objective_broken(claim_one(ready, "make-notes"), detail="")

    response = call("GET", **{"If-None-Match": tag})
    assert response.json()["open_stages"] == 2
    listed = client.get(
        "/api/v1/livelessons", headers={"Authorization": f"Bearer {ready.session.secret}"}
    )
    assert listed.json()["livelessons"][0]["open_stages"] == 2
    changed = call("POST", "/stage", {"stage": 1})
    assert (changed.status_code, changed.json()["desired_stage"]) == (202, 1)
