"""/exp: the pair of calls by which an older front end asks whether a stage is done."""

import json

import pytest

from livelessons.check_limits import A_MINUTE
from livelessons.exp.ids import exp_id
from livelessons.models import LiveLesson
from livelessons.services.checkers import checker_beat, checker_leave
from livelessons.services.objectives import (
    objective_broken,
    objective_failed,
    objective_passed,
    objective_postpone,
)
from livelessons.states import State
from tests.conftest import objective_dict, stage_dict
from tests.objectives import claim_one, open_all, states

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(make_lesson, make_live_lesson):
    live_lesson = make_live_lesson(
        lesson=make_lesson(
            stages=[
                stage_dict(
                    objective_dict("a"),
                    objective_dict("b", needs=["a"]),
                    objective_dict("extra", optional=True),
                    gate=True,
                    complete_message="Well done.",
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
def verify(client, ready):
    """Return a way to press the button; it returns a way to ask what came of it."""

    def press():
        response = client.post(f"/exp/livelesson/{exp_id(ready.pk)}/verify")
        assert response.status_code == 200
        number = response.json()["id"]

        def ask():
            found = client.get(f"/exp/verification/{number}").json()
            return found["working"], found["success"], found["message"]

        return ask

    return press


def test_a_stage_that_is_not_done(ready, verify):
    ask = verify()
    assert ask() == (True, False, "Checking ...")
    assert states(ready)["a"] == "checking"

    objective_failed(claim_one(ready, "a"), message="There is no a.")

    assert ask() == (False, False, "There is no a.")


def test_a_stage_that_is_done(ready, verify):
    ask = verify()
    objective_passed(claim_one(ready, "a"), message="")
    assert ask()[0] is True
    objective_passed(claim_one(ready, "b"), message="")

    assert ask() == (False, True, "Well done.")
    assert verify()() == (False, True, "Well done.")


def test_a_button_pressed_during_a_check_waits_for_the_next(ready, verify):
    early = claim_one(ready, "a")
    ask = verify()

    objective_failed(early, message="No.")
    assert ask()[0] is True
    objective_failed(claim_one(ready, "a"), message="Still no.")

    assert ask() == (False, False, "Still no.")


def test_a_broken_check_is_not_the_learners_fault(ready, verify):
    ask = verify()
    objective_broken(claim_one(ready, "a"), detail="the author's")

    working, success, message = ask()

    assert (working, success) == (False, False)
    assert "not your fault" in message


def test_a_machine_that_does_not_answer_ends_the_wait(ready, verify):
    silent = (False, False, "The machine does not answer at the moment.")
    ask = verify()
    objective_postpone(claim_one(ready, "a"), detail="")
    assert ask() == silent
    again = verify()
    assert again()[0] is True
    objective_postpone(claim_one(ready, "a"), detail="")

    assert again() == silent


def test_without_a_checker_nobody_waits(ready, verify):
    checker_leave(name="checker")

    assert verify()() == (False, False, "Objectives are not checked here at the moment.")


def test_another_stage_ends_it(ready, verify):
    ask = verify()
    LiveLesson.objects.update(stage=1, desired_stage=1)

    working, success, _ = ask()

    assert (working, success) == (False, False)


def test_a_stage_without_objectives_cannot_be_verified(client, ready):
    LiveLesson.objects.update(stage=1, desired_stage=1)

    response = client.post(f"/exp/livelesson/{exp_id(ready.pk)}/verify")

    assert (response.status_code, response.json()["message"]) == (
        400,
        "This stage has no objectives",
    )


@pytest.mark.parametrize("number", ["", "x", "-0", "{public}-0", "{id}", "{id}-", "{id}-x"])
def test_unknown_verifications(client, ready, number):
    number = number.format(public=ready.pk.hex, id=exp_id(ready.pk))

    assert client.get(f"/exp/verification/{number}").status_code == 404


def test_nobody_presses_without_end(client, ready):
    address = f"/exp/livelesson/{exp_id(ready.pk)}/verify"
    # The minute may end in between, but not twice.
    codes = [client.post(address).status_code for _ in range(2 * A_MINUTE + 1)]

    assert codes[:A_MINUTE] == [200] * A_MINUTE
    assert set(codes) == {200, 429}


def test_a_gated_stage_is_refused_in_a_sentence(client, ready):
    body = {"lessonSlug": ready.slug, "lessonStage": 1, "sessionId": ready.session.secret}

    response = client.post("/exp/livelesson", json.dumps(body), content_type="text/plain")

    assert response.status_code == 409
    assert response.json()["message"] == (
        "This stage opens when these objectives are reached: Do a; Do b."
    )
