"""/api/v1/livelessons: the caller's own, from start to end, and nobody else's."""

import json
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from livelessons.models import LiveEndpoint, LiveLesson, LiveLessonLock
from livelessons.presentation_tokens import PREFIX, presentation_grant
from livelessons.states import Action, Desired, State
from tests.conftest import endpoint_dict

pytestmark = pytest.mark.django_db


class Learner:
    """A caller with a session."""

    def __init__(self, client, session):
        self.client = client
        self.session = session
        self.headers = {"Authorization": f"Bearer {session.secret}"}

    def call(self, method, path="", body=None, headers=None):
        return self.client.generic(
            method,
            f"/api/v1/livelessons{path}",
            json.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers=self.headers | (headers or {}),
        )


@pytest.fixture
def learner(client, make_session):
    return Learner(client, make_session())


@pytest.fixture
def ready(learner, make_lesson, make_live_lesson):
    """A READY livelesson of the learner, with three stages and two machines."""
    lesson = make_lesson(
        "two-machines",
        stages=3,
        endpoints=[
            endpoint_dict("shell"),
            endpoint_dict("web", presentations=[{"name": "page", "port": 80, "type": "http"}]),
        ],
    )
    return make_live_lesson(lesson=lesson, session=learner.session, state=State.READY)


def lock(live_lesson, action, *, minutes=1):
    now = timezone.now()
    LiveLessonLock.objects.create(
        live_lesson=live_lesson,
        action=action,
        holder="test",
        created_at=now,
        expires_at=now + timedelta(minutes=minutes),
    )


def test_start_and_start_again(learner, make_lesson, django_assert_num_queries):
    slug = make_lesson(stages=2).slug

    new = learner.call("POST", body={"lesson": slug, "stage": 1})
    with django_assert_num_queries(1):
        same = learner.call("POST", body={"lesson": slug, "stage": 1})

    assert (new.status_code, same.status_code) == (201, 200)
    assert new["Location"] == f"/api/v1/livelessons/{new.json()['id']}"
    assert new.json() == same.json()
    assert new.json()["state"] == "INITIALIZED"
    assert new.json()["running_action"] == "start"
    assert new.json()["desired_stage"] == 1
    assert LiveLesson.objects.count() == 1


def test_without_a_stage_a_running_one_stays_where_it_is(learner, ready):
    LiveLesson.objects.update(stage=2, desired_stage=2)

    response = learner.call("POST", body={"lesson": ready.slug})

    assert response.status_code == 200
    assert response.json()["stage"] == response.json()["desired_stage"] == 2


def test_a_start_at_another_stage_moves_a_ready_one(learner, ready):
    response = learner.call("POST", body={"lesson": ready.slug, "stage": 1})

    assert response.status_code == 200
    assert response.json()["desired_stage"] == 1
    assert response.json()["running_action"] == "stage_change"


def test_one_livelesson_whole(learner, ready, django_assert_num_queries):
    LiveEndpoint.objects.filter(name="shell").update(
        phase="running", reachable=True, attempt=1, host="10.9.8.7", ports={"22": 4022}
    )

    with django_assert_num_queries(1):
        response = learner.call("GET", f"/{ready.pk}")

    body = response.json()
    assert body["id"] == str(ready.pk)
    assert body["lesson"] == "two-machines"
    assert (body["stage"], body["stages"]) == (0, 3)
    assert body["guide"] == {"type": "markdown", "contents": "# Guide of stage 0", "path": ""}
    shell, web = body["endpoints"]
    assert (shell["name"], shell["phase"], shell["reachable"]) == ("shell", "running", True)
    assert shell["presentations"] == [
        {"name": "cli", "type": "ssh", "port": 22, "path": f"/terminals/{ready.pk}/shell/cli"}
    ]
    page = web["presentations"][0]["path"]
    grant = presentation_grant(page.removeprefix(PREFIX).rstrip("/"), now=timezone.now())
    assert (grant.live_lesson_id, grant.endpoint, grant.presentation) == (ready.pk, "web", "page")
    for secret in ("antidotepassword", "10.9.8.7", learner.session.secret):
        assert secret not in response.content.decode()


def test_what_was_seen_of_an_earlier_environment_is_not_shown(learner, ready):
    LiveEndpoint.objects.update(phase="running", reachable=True, attempt=1)
    LiveLesson.objects.update(attempt=2)

    endpoints = learner.call("GET", f"/{ready.pk}").json()["endpoints"]

    assert [(e["phase"], e["reachable"]) for e in endpoints] == [("", False)] * 2


def test_an_unchanged_one_is_304_in_one_query(learner, ready, django_assert_num_queries):
    first = learner.call("GET", f"/{ready.pk}")
    tag = {"If-None-Match": first["ETag"]}

    with django_assert_num_queries(1):
        unchanged = learner.call("GET", f"/{ready.pk}", headers=tag)
    learner.call("POST", f"/{ready.pk}/stage", {"stage": 1})
    changed = learner.call("GET", f"/{ready.pk}", headers=tag)

    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged["ETag"] == first["ETag"]
    assert "private" in first["Cache-Control"]
    assert changed.status_code == 200


def test_a_lock_that_runs_out_changes_the_tag(learner, ready):
    lock(ready, Action.RESTART)
    busy = learner.call("GET", f"/{ready.pk}")
    LiveLessonLock.objects.update(expires_at=timezone.now())

    later = learner.call("GET", f"/{ready.pk}", headers={"If-None-Match": busy["ETag"]})

    assert busy.json()["running_action"] == "restart"
    assert (later.status_code, later.json()["running_action"]) == (200, None)


def test_the_list_is_the_callers_own(learner, ready, make_live_lesson, django_assert_num_queries):
    make_live_lesson()
    older = make_live_lesson(
        session=learner.session,
        state=State.DELETED,
        desired=Desired.GONE,
        created_at=timezone.now() - timedelta(days=1),
        end_reason="learner",
    )

    with django_assert_num_queries(1):
        shown = learner.call("GET").json()["livelessons"]

    assert [UUID(entry["id"]) for entry in shown] == [ready.pk, older.pk]
    assert shown[1]["end_reason"] == "learner"
    assert "guide" not in shown[0]


def test_a_session_without_livelessons_has_an_empty_list(learner):
    assert learner.call("GET").json() == {"livelessons": []}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/stage", {"stage": 1}),
        ("POST", "/extend", None),
        ("POST", "/restart", None),
    ],
)
def test_others_livelessons_do_not_exist(learner, make_live_lesson, method, path, body):
    theirs = make_live_lesson(state=State.READY)

    for live_lesson_id in (theirs.pk, uuid4()):
        response = learner.call(method, f"/{live_lesson_id}{path}", body)
        assert response.status_code == 404
        assert response.json()["code"] == "livelesson_not_found"
    theirs.refresh_from_db()
    assert (theirs.generation, theirs.version) == (1, 1)


@pytest.mark.parametrize("name", ["nope", "1", "%00", "FFFFFFFF-0000-4000-8000-000000000000"])
def test_what_is_no_id_does_not_exist_either(learner, name):
    response = learner.call("GET", f"/{name}")

    assert response.status_code == 404
    assert response.json()["code"] == "not_found"


@pytest.mark.parametrize(
    ("path", "body"), [("/stage", {"stage": 1}), ("/restart", None), ("", {"lesson": "x"})]
)
def test_a_busy_one_names_the_action(learner, make_lesson, make_live_lesson, path, body):
    lesson = make_lesson("x", stages=2)
    live_lesson = make_live_lesson(lesson=lesson, session=learner.session, state=State.BOOTING)
    lock(live_lesson, Action.START)
    if path:
        path = f"/{live_lesson.pk}{path}"
    else:
        body = body | {"stage": 1}

    response = learner.call("POST", path, body)

    assert response.status_code == 409
    problem = response.json()
    assert (problem["code"], problem["action"]) == ("livelesson_busy", "start")
    assert problem["detail"]
    assert int(response["Retry-After"]) > 0


def test_stage_extension_restart_and_end(learner, ready):
    path = f"/{ready.pk}"

    moved = learner.call("POST", f"{path}/stage", {"stage": 2})
    assert (moved.status_code, moved.json()["desired_stage"]) == (202, 2)
    LiveLessonLock.objects.all().delete()
    LiveLesson.objects.update(stage=2)

    assert learner.call("POST", f"{path}/stage", {"stage": 2}).status_code == 202
    extended = learner.call("POST", f"{path}/extend")
    assert extended.status_code == 202
    assert extended.json()["expires_at"] > moved.json()["expires_at"]

    restarted = learner.call("POST", f"{path}/restart")
    assert (restarted.status_code, restarted.json()["running_action"]) == (202, "restart")

    for _ in range(2):
        ended = learner.call("DELETE", path)
        assert ended.status_code == 202
        assert ended.json()["desired"] == "gone"
        assert ended.json()["end_reason"] == "learner"


def test_no_life_without_end(learner, ready, settings):
    settings.SYRINGE_MAX_LIFETIME_SECONDS = 1

    response = learner.call("POST", f"/{ready.pk}/extend")

    assert (response.status_code, response.json()["code"]) == (409, "lifetime_exhausted")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_field"),
        ({"lesson": ""}, 400, "invalid_field"),
        ({"lesson": None}, 400, "invalid_field"),
        ({"lesson": ["x"]}, 400, "invalid_field"),
        ({"lesson": "two-machines", "stage": "1"}, 400, "invalid_field"),
        ({"lesson": "two-machines", "stage": True}, 400, "invalid_field"),
        ({"lesson": "two-machines", "stage": 0.5}, 400, "invalid_field"),
        ({"lesson": "two-machines", "stage": 3}, 400, "invalid_stage"),
        ({"lesson": "two-machines", "stage": -1}, 400, "invalid_stage"),
        ({"lesson": "two-machines", "stage": 10**40}, 400, "invalid_stage"),
        ({"lesson": "nope"}, 404, "lesson_not_found"),
        ({"lesson": "\x00"}, 404, "lesson_not_found"),
        ({"lesson": "\ud800"}, 404, "lesson_not_found"),
        ({"lesson": "hidden"}, 404, "lesson_not_found"),
        ({"lesson": "without-image"}, 503, "lesson_not_startable"),
        ([], 400, "parse_error"),
        ("x", 400, "parse_error"),
    ],
)
def test_refused_starts(learner, ready, make_lesson, body, status, code):
    make_lesson("hidden", tier="local")
    make_lesson("without-image", missing_images=["unknown"])

    response = learner.call("POST", body=body)

    assert response.status_code == status
    assert response.json()["code"] == code
    assert LiveLesson.objects.count() == 1


def test_the_limit_of_a_session(learner, ready, make_lesson, settings):
    settings.SYRINGE_LIVELESSONS_PER_SESSION = 1

    response = learner.call("POST", body={"lesson": make_lesson().slug})

    assert (response.status_code, response.json()["code"]) == (429, "too_many_livelessons")
    assert learner.call("POST", body={"lesson": ready.slug}).status_code == 200


def test_other_content_is_refused(learner):
    response = learner.client.post("/api/v1/livelessons", {"lesson": "x"}, headers=learner.headers)

    assert response.status_code == 415
    assert response.json()["code"] == "unsupported_media_type"


def test_other_methods_are_refused(learner, ready):
    response = learner.call("PUT", f"/{ready.pk}", {})

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")


def test_reading_is_no_use(learner, ready):
    an_hour_ago = timezone.now() - timedelta(hours=1)
    LiveLesson.objects.update(last_active_at=an_hour_ago)

    learner.call("GET", f"/{ready.pk}")

    ready.refresh_from_db()
    assert ready.last_active_at == an_hour_ago
