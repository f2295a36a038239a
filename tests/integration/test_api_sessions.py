"""/api/v1/sessions, and how a session is shown."""

import json

import pytest
from django.test import Client

from livelessons.models import LiveLesson, LiveSession
from livelessons.services import learner_link

pytestmark = pytest.mark.django_db


def bearer(session):
    return {"Authorization": f"Bearer {session.secret}"}


def test_a_new_session_shows_its_secret_once_and_sets_a_cookie(client):
    response = client.post("/api/v1/sessions")

    assert response.status_code == 201
    body = response.json()
    cookie = response.cookies["syringe_session"]
    assert cookie.value == body["secret"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert not cookie["secure"]
    assert response["Cache-Control"] == "no-store"
    own = client.get("/api/v1/sessions/me").json()
    assert own == {name: value for name, value in body.items() if name != "secret"}
    assert own["id"] == str(LiveSession.objects.get().pk)


def test_the_cookie_is_secure_where_the_address_is(client, settings):
    settings.SYRINGE_PUBLIC_URL = "https://lab.example.org"

    assert client.post("/api/v1/sessions").cookies["syringe_session"]["secure"]


def test_a_learner_is_shown(client, make_session, django_assert_max_num_queries):
    session = make_session()
    learner = learner_link(session=session, provider="lti", subject="7", display_name="Ada")

    with django_assert_max_num_queries(2):
        body = client.get("/api/v1/sessions/me", headers=bearer(session)).json()

    assert body["learner"] == {"id": str(learner.pk), "display_name": "Ada"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer nope"},
        {"Authorization": "Bearer \xff\x00"},
        {"Authorization": "Bearer " + "x" * 5000},
        {"Authorization": "Basic YTpi"},
        {"Cookie": "syringe_session=nope"},
        {"Cookie": 'syringe_session="\\377\\000"'},
    ],
)
@pytest.mark.parametrize("path", ["sessions/me", "livelessons"])
def test_without_a_session_it_is_401(client, headers, path):
    response = client.get(f"/api/v1/{path}", headers=headers)

    assert response.status_code == 401
    assert response["WWW-Authenticate"].startswith("Bearer")
    assert set(response.json()) == {"detail", "code"}


def test_the_limit_of_an_address(client, settings):
    settings.SYRINGE_SESSIONS_PER_ADDRESS = 1
    assert client.post("/api/v1/sessions").status_code == 201

    response = client.post("/api/v1/sessions", headers={"X-Forwarded-For": "198.51.100.1"})

    assert response.status_code == 429
    assert response.json()["code"] == "too_many_sessions"
    assert response["Retry-After"]


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""],
)
@pytest.mark.parametrize(
    "path", ["livelessons", "livelessons/{id}/extend", "livelessons/{id}/stage"]
)
def test_a_form_of_another_site_changes_nothing(make_live_lesson, content_type, path):
    live_lesson = make_live_lesson(state="READY")
    client = Client(headers={"Cookie": f"syringe_session={live_lesson.session.secret}"})
    path = path.format(id=live_lesson.pk)

    response = client.generic("POST", f"/api/v1/{path}", b"{}", content_type=content_type)

    assert response.status_code == 403
    assert response.json()["code"] == "json_required"


def test_the_cookie_works_with_json(make_lesson, make_session):
    client = Client(headers={"Cookie": f"syringe_session={make_session().secret}"})
    body = json.dumps({"lesson": make_lesson().slug})

    response = client.post("/api/v1/livelessons", body, content_type="application/json")

    assert response.status_code == 201
    live_lesson = LiveLesson.objects.get()
    path = f"/api/v1/livelessons/{live_lesson.pk}"
    assert client.get(path).status_code == 200
    assert client.delete(path).status_code == 403
    assert client.delete(path, "{}", content_type="application/json").status_code == 202


def test_there_is_no_reading_across_origins(client, make_session):
    response = client.get(
        "/api/v1/sessions/me",
        headers=bearer(make_session()) | {"Origin": "https://labs.example.org"},
    )

    assert "Access-Control-Allow-Origin" not in response
