"""/exp: sessions and livelessons, in the words that the existing front end knows."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from livelessons.exp.ids import exp_id, live_lesson_id_of
from livelessons.models import LiveLesson, LiveLessonLock, LiveSession
from livelessons.presentation_tokens import PREFIX, presentation_grant
from livelessons.states import Action, Desired, State
from livelessons.terminal_tokens import terminal_grant
from tests.conftest import endpoint_dict

pytestmark = pytest.mark.django_db


def post(client, path, body=None, **extra):
    return client.post(
        f"/exp/{path}",
        body if isinstance(body, str | bytes) else json.dumps(body or {}),
        content_type="text/plain;charset=UTF-8",
        **extra,
    )


def ask(client, session, slug, stage=0):
    body = {"lessonSlug": slug, "lessonStage": stage, "sessionId": session.secret}
    return post(client, "livelesson", body)


def lock(live_lesson, action):
    now = timezone.now()
    return LiveLessonLock.objects.create(
        live_lesson=live_lesson,
        action=action,
        holder="test",
        created_at=now,
        expires_at=now + timedelta(minutes=1),
    )


def test_a_session_is_its_secret(client):
    response = post(client, "livesession")

    assert list(response.json()) == ["ID"]
    session = LiveSession.objects.get()
    assert str(session.pk) not in response.content.decode()
    assert session.source_address == "127.0.0.1"
    assert response["Cache-Control"] == "no-store"
    assert not response.cookies


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b"null", b'{"unknown": [1, {"a": 2}]}'])
def test_bodies_of_a_session(client, body):
    assert post(client, "livesession", body).status_code == 200


@pytest.mark.parametrize("body", ["{bad", "[]", '"x"', "1", "{'a': 1}", '{"a": NaN}', b"\xff"])
def test_malformed_json_is_400(client, body):
    for path in ("livesession", "livelesson"):
        response = post(client, path, body)

        assert response.status_code == 400
        assert response.json()["code"] == 3


def test_a_body_without_end_is_refused_in_the_same_form(client, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000

    response = post(client, "livelesson", '{"a": "' + "x" * 2000 + '"}')

    assert response.status_code == 413
    assert set(response.json()) == {"error", "code", "message"}


@pytest.mark.parametrize("stage", [0, "0", None, 0.0])
def test_spellings_of_the_first_stage(client, make_lesson, make_session, stage):
    lesson = make_lesson(stages=2)

    response = ask(client, make_session(), lesson.slug, stage)

    assert response.status_code == 200
    assert LiveLesson.objects.get().desired_stage == 0


def test_a_missing_stage_is_the_first(client, make_lesson, make_session):
    body = {"lessonSlug": make_lesson().slug, "sessionId": make_session().secret, "extra": True}

    assert post(client, "livelesson", body).status_code == 200


@pytest.mark.parametrize("stage", [-1, 1, 99, 2**31, 10**30, -(10**30)])
def test_a_stage_that_the_lesson_has_not(client, make_lesson, make_session, stage):
    response = ask(client, make_session(), make_lesson().slug, stage)

    assert response.status_code == 400
    assert response.json()["error"] == "Invalid stage ID for this lesson"


@pytest.mark.parametrize("stage", ["one", True, 1.5, [], {}, "1e3", "9" * 5000])
def test_a_stage_that_is_no_number(client, make_lesson, make_session, stage):
    response = ask(client, make_session(), make_lesson().slug, stage)

    assert response.status_code == 400
    assert response.json()["code"] == 3


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"sessionId": ""}, 400, "Session ID cannot be nil"),
        ({"sessionId": None, "lessonSlug": ""}, 400, "Session ID cannot be nil"),
        ({"sessionId": "nope"}, 400, "Invalid session ID nope"),
        ({"sessionId": "nope", "lessonSlug": ""}, 400, "Invalid session ID nope"),
        ({"sessionId": "no\x00pe"}, 400, "Invalid session ID no\x00pe"),
        ({"sessionId": "\ud800"}, 400, "Invalid session ID \ud800"),
        ({"sessionId": "x" * 9999}, 400, "Invalid session ID " + "x" * 9999),
        ({"lessonSlug": ""}, 400, "Lesson Slug cannot be nil"),
        ({"lessonSlug": None, "lessonStage": 99}, 400, "Lesson Slug cannot be nil"),
        ({"lessonSlug": "nope", "lessonStage": 99}, 404, "Couldn't find lesson slug 'nope'"),
        ({"lessonSlug": "\x00"}, 404, "Couldn't find lesson slug '\x00'"),
        ({"lessonSlug": "\udfff"}, 404, "Couldn't find lesson slug '\udfff'"),
        ({"lessonSlug": "x" * 200}, 404, "Couldn't find lesson slug '" + "x" * 200 + "'"),
        ({"lessonStage": 99}, 400, "Invalid stage ID for this lesson"),
        ({"lessonSlug": 7}, 400, "lessonSlug is not a string"),
    ],
)
def test_checks_in_their_order(client, make_lesson, make_session, changes, status, message):
    body = {
        "lessonSlug": make_lesson().slug,
        "lessonStage": 0,
        "sessionId": make_session().secret,
    }

    response = post(client, "livelesson", body | changes)

    assert response.status_code == status
    assert response.json()["error"] == message
    assert not LiveLesson.objects.exists()


def test_a_hidden_lesson_cannot_be_started(client, make_lesson, make_session):
    lesson = make_lesson(tier="local")

    assert ask(client, make_session(), lesson.slug).status_code == 404


def test_the_public_id_of_a_session_is_no_session(client, make_lesson, make_session):
    body = {"lessonSlug": make_lesson().slug, "sessionId": str(make_session().pk)}

    assert post(client, "livelesson", body).status_code == 400


def test_the_same_request_again_is_one_query_and_the_same_livelesson(
    client, make_lesson, make_session, django_assert_num_queries
):
    lesson, session = make_lesson(), make_session()
    first = ask(client, session, lesson.slug)

    with django_assert_num_queries(1):
        second = ask(client, session, lesson.slug)

    assert first.json() == second.json()
    assert LiveLesson.objects.count() == 1


def test_another_stage_of_a_ready_livelesson_moves_it(client, make_lesson, make_live_lesson):
    live_lesson = make_live_lesson(lesson=make_lesson(stages=2), state=State.READY)

    response = ask(client, live_lesson.session, live_lesson.slug, 1)

    assert response.status_code == 200
    assert live_lesson_id_of(response.json()["id"]) == live_lesson.pk
    live_lesson.refresh_from_db()
    assert live_lesson.desired_stage == 1
    # The page stops asking at READY: it must not see that before the move is over.
    shown = client.get(f"/exp/livelesson/{response.json()['id']}").json()
    assert shown["Status"] == "CONFIGURATION"


def test_another_stage_of_a_busy_livelesson_is_refused(client, make_lesson, make_live_lesson):
    live_lesson = make_live_lesson(lesson=make_lesson(stages=2), state=State.BOOTING)

    response = ask(client, live_lesson.session, live_lesson.slug, 1)

    assert response.status_code == 409
    assert int(response["Retry-After"]) > 0
    assert response.json()["code"] == 2


def test_after_a_failure_a_new_one_is_made(client, make_live_lesson):
    failed = make_live_lesson(state=State.FAILED)
    failed.session.refresh_from_db()

    response = ask(client, failed.session, failed.slug)

    assert response.status_code == 200
    assert live_lesson_id_of(response.json()["id"]) != failed.pk


def test_limits_cannot_be_passed_by_a_forged_header(client, settings):
    settings.SYRINGE_SESSIONS_PER_ADDRESS = 2
    settings.SYRINGE_TRUSTED_PROXIES = []

    statuses = [
        post(client, "livesession", headers={"X-Forwarded-For": f"198.51.100.{number}"}).status_code
        for number in range(3)
    ]

    assert statuses == [200, 200, 429]


def test_behind_a_trusted_proxy_each_address_has_its_own_limit(client, settings):
    settings.SYRINGE_SESSIONS_PER_ADDRESS = 1
    settings.SYRINGE_TRUSTED_PROXIES = ["unix"]

    def status(address, forged=""):
        headers = {"X-Forwarded-For": f"{forged}{address}"}
        return post(client, "livesession", headers=headers, REMOTE_ADDR="").status_code

    assert status("198.51.100.1") == status("198.51.100.2") == 200
    assert status("198.51.100.1", forged="203.0.113.9, ") == 429


def test_an_operators_login_and_cookies_of_the_same_origin_change_nothing(make_lesson):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("operator"))

    assert post(client, "livesession").status_code == 200


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (State.INITIALIZED, "INITIALIZED"),
        (State.BOOTING, "BOOTING"),
        (State.CONFIGURATION, "CONFIGURATION"),
        (State.READY, "READY"),
    ],
)
def test_states(client, make_live_lesson, django_assert_num_queries, state, shown):
    live_lesson = make_live_lesson(state=state)

    with django_assert_num_queries(1):
        response = client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}")

    assert response.json()["Status"] == shown
    assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"state": State.DELETING, "desired": Desired.GONE}, 404, "livelesson not found"),
        ({"state": State.DELETED, "desired": Desired.GONE}, 404, "livelesson not found"),
        ({"state": State.READY, "desired": Desired.GONE}, 404, "livelesson not found"),
        (
            {"state": State.FAILED},
            503,
            "Livelesson encountered errors during provisioning. See antidote logs",
        ),
    ],
)
def test_ended_and_failed_ones(client, make_live_lesson, fields, status, message):
    live_lesson = make_live_lesson(**fields)

    response = client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}")

    assert response.status_code == status
    assert response.json()["error"] == message


@pytest.mark.parametrize(
    ("action", "shown"),
    [
        (Action.STAGE_CHANGE, "CONFIGURATION"),
        (Action.RESTART, "INITIALIZED"),
    ],
)
def test_ready_is_not_shown_while_an_action_waits(client, make_live_lesson, action, shown):
    live_lesson = make_live_lesson(state=State.READY)
    lock(live_lesson, action)

    response = client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}")

    assert response.json()["Status"] == shown


def test_the_public_id_shows_nothing(client, make_live_lesson):
    live_lesson = make_live_lesson(state=State.READY)

    for name in (live_lesson.pk, live_lesson.pk.hex, exp_id(live_lesson.pk)[:-1]):
        assert client.get(f"/exp/livelesson/{name}").status_code == 404


def test_what_a_ready_livelesson_shows(client, make_lesson, make_live_lesson, settings):
    settings.SYRINGE_PUBLIC_URL = "https://lab.example.org:8443/syringe"
    lesson = make_lesson(
        stages=2,
        endpoints=[
            endpoint_dict("zulu", additional_ports=[830, 22]),
            endpoint_dict(
                "alpha",
                presentations=[
                    {"name": "page", "port": 8080, "type": "http"},
                    {"name": "cli", "port": 2222, "type": "ssh"},
                ],
            ),
            endpoint_dict("mike", presentations=[], additional_ports=[179]),
        ],
    )
    live_lesson = make_live_lesson(lesson=lesson, state=State.READY, stage=1, desired_stage=1)

    shown = client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}").json()

    assert shown["GuideContents"] == "# Guide of stage 1"
    assert shown["CurrentStage"] == 1
    assert list(shown["LiveEndpoints"]) == ["zulu", "alpha", "mike"]
    zulu, alpha, mike = shown["LiveEndpoints"].values()
    assert zulu["Ports"] == [22, 830]
    assert mike["Ports"] == [179]
    assert zulu["Host"]
    assert "antidotepassword" not in json.dumps(shown)
    now = timezone.now()
    grant = terminal_grant(alpha["SSHPassword"], now=now)
    assert (grant.live_lesson_id, grant.endpoint, grant.ports) == (
        live_lesson.pk,
        "alpha",
        (2222,),
    )
    page = alpha["LivePresentations"][0]
    domain = "lab.example.org:8443/syringe"
    assert page["HepDomain"].startswith(domain + PREFIX)
    opened = presentation_grant(page["HepDomain"].removeprefix(domain + PREFIX), now=now)
    assert (opened.live_lesson_id, opened.endpoint, opened.presentation) == (
        live_lesson.pk,
        "alpha",
        "page",
    )
    assert "SessionID" not in shown


def test_a_notebook_is_shown_by_its_address(client, make_lesson, make_live_lesson):
    lesson = make_lesson(stages=[{"guide_type": "jupyter", "configurations": {}}])
    live_lesson = make_live_lesson(lesson=lesson, state=State.READY)

    shown = client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}").json()

    assert shown["GuideType"] == "jupyter"
    assert PREFIX in shown["GuideDomain"]
    assert "GuideContents" not in shown


def test_polling_is_use(client, make_live_lesson):
    an_hour_ago = timezone.now() - timedelta(hours=1)
    live_lesson = make_live_lesson(state=State.BOOTING, last_active_at=an_hour_ago)

    client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}")

    live_lesson.refresh_from_db()
    assert live_lesson.last_active_at > an_hour_ago + timedelta(minutes=59)


def test_the_price_does_not_depend_on_how_many_there_are(
    client, make_lesson, make_session, make_live_lesson, django_assert_num_queries
):
    lesson = make_lesson()
    live_lesson = make_live_lesson(lesson=lesson)
    for _ in range(5):
        make_live_lesson(lesson=lesson)

    with django_assert_num_queries(1):
        client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}")
    with django_assert_num_queries(1):
        ask(client, live_lesson.session, lesson.slug)
