"""The admin: every page renders, at any size for the same number of queries; actions tell all."""

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from events.models import OutboxEvent
from lessons.models import (
    Bundle,
    Collection,
    Connection,
    CurrentLesson,
    Curriculum,
    Image,
    Lesson,
)
from livelessons.models import (
    Checker,
    ExternalIdentity,
    Learner,
    LiveEndpoint,
    LiveLesson,
    LiveLessonChange,
    LiveLessonLock,
    LiveObjective,
    LiveSession,
)
from livelessons.states import Action, Desired, EndReason, State
from scheduler.models import FakeEnvironment
from syringe_project.administration import COUNTED_AT_MOST, MASK, ROWS_OF_AN_ACTION, masked
from tests.conftest import objective_dict, stage_dict

pytestmark = pytest.mark.django_db

OURS = [
    Curriculum,
    Collection,
    Image,
    Bundle,
    Lesson,
    CurrentLesson,
    Learner,
    ExternalIdentity,
    LiveSession,
    LiveLesson,
    LiveEndpoint,
    LiveObjective,
    LiveLessonLock,
    LiveLessonChange,
    Checker,
    FakeEnvironment,
    OutboxEvent,
]
READ_ONLY = [model for model in OURS if model not in {Learner, ExternalIdentity}]
SAMPLE = Path(__file__).parents[2] / "curriculum" / "sample"
PASSWORD = "do not show this password"

by_name = pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)


def list_url(model):
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def page_url(row):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def permitted(*codenames):
    """Return a client of a member of staff with these permissions and no others."""
    user = User.objects.create_user(f"staff-{uuid4().hex}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    assert user.user_permissions.count() == len(codenames)
    client = Client()
    client.force_login(user)
    return client


def act(client, action, *rows):
    """Carry out an action on rows; return its messages as (level, text)."""
    url = list_url(type(rows[0]))
    data = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
    response = client.post(url, data, follow=True)
    assert response.status_code == 200
    return [(message.level_tag, message.message) for message in get_messages(response.wsgi_request)]


@pytest.fixture
def fill(make_lesson, make_live_lesson, make_session):
    """Return a way to add a row of every model and whatever belongs to it."""

    def add():
        number = uuid4().hex[:8]
        now = timezone.now()
        Curriculum.objects.get_or_create(
            defaults={
                "name": "Sample",
                "version": number,
                "path": str(SAMPLE),
                "imported_at": now,
            }
        )
        Collection.objects.create(slug=number, title=number, file="c.yaml")
        Image.objects.create(slug=number, ssh_password=PASSWORD, config_password=PASSWORD)
        lesson = make_lesson(
            stages=[stage_dict(objective_dict()), stage_dict()], missing_images=["absent"]
        )
        lesson.spec["endpoints"][0]["image"]["ssh_password"] = PASSWORD
        lesson.bundle = Bundle.objects.create(sha256=number, content=b"content", size=7)
        lesson.save()
        Connection.objects.create(lesson=lesson, position=0, a="linux1", b="linux2")
        learner = Learner.objects.create(display_name=f"Learner {number}")
        ExternalIdentity.objects.create(learner=learner, provider="github", subject=number)
        live_lesson = make_live_lesson(
            lesson=lesson,
            session=make_session(learner=learner),
            state=State.READY,
            log_tail="the last words",
        )
        LiveLessonLock.objects.create(
            live_lesson=live_lesson,
            action=Action.RESTART,
            holder="learner",
            created_at=now,
            expires_at=now,
        )
        for state in (State.INITIALIZED, State.READY):
            LiveLessonChange.objects.create(
                live_lesson=live_lesson, at=now, state=state, stage=0, attempt=1
            )
        LiveObjective.objects.filter(live_lesson=live_lesson).update(detail="what the check said")
        Checker.objects.create(name=number, seen_at=now)
        OutboxEvent.objects.create(type="objective.passed", subject=number, data={})
        FakeEnvironment.objects.create(name=number, instance="test", slug=number, created_at=now)
        return live_lesson

    return add


def test_every_model_of_ours_that_is_nobodys_part_has_a_page():
    parts = {"stage", "endpoint", "presentation", "connection"}
    labels = {"lessons", "livelessons", "scheduler", "gc", "curriculum", "events"}
    ours = {model for model in apps.get_models() if model._meta.app_label in labels}
    assert {model for model in ours if model._meta.model_name not in parts} == set(OURS)
    for model in OURS:
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def test_django_finds_nothing_wrong_with_the_pages():
    reverse("admin:index")

    call_command("check", fail_level="WARNING")


def test_authors_see_what_a_check_said(admin_client, fill):
    live_lesson = fill()

    for row in (live_lesson, live_lesson.objectives.get()):
        response = admin_client.get(page_url(row))
        assert "what the check said" in response.text
    assert "linux1" in admin_client.get(list_url(LiveObjective)).text


def test_the_index_is_ours(admin_client):
    assert "Syringe" in admin_client.get(reverse("admin:index")).text


@by_name
def test_lists_render_without_data(admin_client, model):
    assert admin_client.get(list_url(model)).status_code == 200


@by_name
def test_lists_and_pages_render_and_show_no_secret(admin_client, fill, model):
    fill()
    row = model.objects.first()

    for url in (list_url(model), page_url(row)):
        response = admin_client.get(url)
        assert response.status_code == 200
        assert PASSWORD not in response.text
        assert "antidotepassword" not in response.text
        for session in LiveSession.objects.all():
            assert session.secret_sha256 not in response.text


@by_name
def test_search_finds_and_survives_anything(admin_client, model, fill):
    fill()
    for text in ("no such thing", str(uuid4()), "%_'\"\x01", "192.0.2.1"):
        assert admin_client.get(list_url(model), {"q": text}).status_code == 200


@by_name
def test_every_filter_can_be_chosen(admin_client, model, fill):
    fill()
    changelist = admin_client.get(list_url(model)).context["cl"]
    choices = [
        choice["query_string"]
        for spec in changelist.filter_specs
        for choice in spec.choices(changelist)
        if "query_string" in choice
    ]

    assert choices or not admin.site._registry[model].list_filter
    for choice in choices:
        response = admin_client.get(f"{list_url(model)}{choice}")
        assert response.status_code == 200, choice


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "id"}, 1),
        ({"q": "session"}, 1),
        ({"q": "slug"}, 1),
        ({"action": "expired"}, 2),
        ({"action": "running"}, 0),
        ({"state__exact": "READY"}, 2),
        ({"reason": "crashed"}, 0),
    ],
)
def test_livelessons_are_found(admin_client, fill, query, found):
    live_lesson, _ = fill(), fill()
    typed = {
        "id": str(live_lesson.pk),
        "session": str(live_lesson.session_id),
        "slug": live_lesson.slug,
    }
    query = {key: typed.get(value, value) for key, value in query.items()}

    response = admin_client.get(list_url(LiveLesson), query)

    assert response.context["cl"].result_count == found


@by_name
def test_lists_cost_the_same_number_of_queries_at_any_length(admin_client, model, fill):
    def cost():
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(list_url(model)).status_code == 200
        return len(captured)

    fill()
    cost()  # Django remembers content types from the first page on.
    one = cost()
    for _ in range(5):
        fill()

    assert cost() == one


@pytest.mark.parametrize("model", [Lesson, LiveLesson], ids=lambda model: model.__name__)
def test_pages_cost_the_same_number_of_queries_at_any_length(
    admin_client, fill, model, make_lesson
):
    def cost(row):
        with CaptureQueriesContext(connection) as captured:
            assert admin_client.get(page_url(row)).status_code == 200
        return len(captured)

    live_lesson = fill()
    cost(model.objects.get())  # Django remembers content types from the first page on.
    small = cost(model.objects.get())
    for position in range(1, 6):
        LiveEndpoint.objects.create(live_lesson=live_lesson, position=position, name=f"e{position}")
        live_lesson.history.create(at=timezone.now(), state="READY", stage=0, attempt=1)
        endpoint = live_lesson.lesson.endpoints.create(position=position, name=f"e{position}")
        endpoint.presentations.create(position=0, name="cli", port=22, type="ssh")

    assert cost(model.objects.get()) == small


def test_a_bundles_content_is_never_read(admin_client, fill):
    fill()
    for url in (list_url(Bundle), page_url(Bundle.objects.get(size=7)), list_url(Lesson)):
        with CaptureQueriesContext(connection) as captured:
            admin_client.get(url)
        assert not [query for query in captured if '"content"' in query["sql"]]


def many_sessions(number):
    now = timezone.now()
    return LiveSession.objects.bulk_create(
        LiveSession(secret_sha256=uuid4().hex, source_address="192.0.2.1", last_seen_at=now)
        for _ in range(number)
    )


def test_long_lists_are_counted_up_to_a_bound(admin_client):
    many_sessions(COUNTED_AT_MOST + 5)

    changelist = admin_client.get(list_url(LiveSession)).context["cl"]

    assert changelist.result_count == COUNTED_AT_MOST


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_nothing_can_be_added_or_deleted_or_written_by_hand(admin_client, fill, model):
    fill()
    row = model.objects.first()
    before = model.objects.filter(pk=row.pk).values().get()
    options = (row._meta.app_label, row._meta.model_name)

    assert admin_client.get(reverse("admin:{}_{}_add".format(*options))).status_code == 403
    deletion = reverse("admin:{}_{}_delete".format(*options), args=[row.pk])
    assert admin_client.post(deletion, {"post": "yes"}).status_code == 403
    admin_client.post(
        page_url(row),
        dict.fromkeys(before, "1") | {"state": "FAILED", "persistent": "on"},
    )
    act(admin_client, "delete_selected", row)

    assert model.objects.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("model", READ_ONLY, ids=lambda model: model.__name__)
def test_actions_need_the_permission_to_change(fill, model):
    fill()
    only_view = permitted(f"view_{model._meta.model_name}")

    response = only_view.get(list_url(model))
    assert response.status_code == 200
    assert not response.context["action_form"]
    assert only_view.get(page_url(model.objects.first())).status_code == 200
    assert permitted().get(list_url(model)).status_code == 403


def test_a_viewer_cannot_act(make_live_lesson):
    live_lesson = make_live_lesson(state=State.READY)

    act(permitted("view_livelesson"), "end", live_lesson)

    live_lesson.refresh_from_db()
    assert live_lesson.desired == Desired.RUNNING


def test_end(make_live_lesson):
    client = permitted("view_livelesson", "change_livelesson")
    running, failed = make_live_lesson(state=State.READY), make_live_lesson(state=State.FAILED)
    ended = make_live_lesson(state=State.DELETED, desired=Desired.GONE)

    told = act(client, "end", running, failed, ended)

    assert ("success", f"Ending (2: {failed}, {running})") in told
    assert ("warning", f"It is ending or has ended. (1: {ended})") in told
    running.refresh_from_db()
    assert (running.desired, running.end_reason) == (Desired.GONE, EndReason.OPERATOR)
    assert running.lock.holder.startswith("operator staff-")


def test_extend(admin_client, make_live_lesson, settings):
    now = timezone.now()
    settings.SYRINGE_MAX_LIFETIME_SECONDS = 7200
    running = make_live_lesson(state=State.READY, expires_at=now + timedelta(seconds=10))
    exhausted = make_live_lesson(state=State.READY, expires_at=now + timedelta(seconds=9000))
    failed = make_live_lesson(state=State.FAILED)

    told = dict(reversed(row) for row in act(admin_client, "extend", running, exhausted, failed))

    assert sorted(told.values()) == ["success", "warning", "warning"]
    assert any("cannot live longer" in text and str(exhausted) in text for text in told)
    running.refresh_from_db()
    assert running.expires_at > now + timedelta(seconds=3000)


@pytest.mark.parametrize("of", ["livelesson", "session"])
def test_persist_and_no_longer(admin_client, make_live_lesson, of):
    live_lesson = make_live_lesson(state=State.READY)
    row = live_lesson if of == "livelesson" else live_lesson.session

    assert act(admin_client, "persist", row)[0][0] == "success"
    live_lesson.session.refresh_from_db()
    assert live_lesson.session.persistent

    assert act(admin_client, "unpersist", row)[0][0] == "success"
    live_lesson.session.refresh_from_db()
    assert not live_lesson.session.persistent


def test_retry(admin_client, make_lesson, make_live_lesson):
    running = make_live_lesson(state=State.BOOTING)
    failed = make_live_lesson(state=State.FAILED)
    broken = make_live_lesson(state=State.FAILED, lesson=make_lesson(missing_images=["absent"]))
    deleted = make_live_lesson(state=State.DELETED)

    told = act(admin_client, "retry", running, failed, broken, deleted)

    running.refresh_from_db()
    assert running.desired_restarts == 1
    successor = LiveLesson.objects.get(session=failed.session, state=State.INITIALIZED)
    assert [text for level, text in told if str(failed) in text and str(successor.pk) in text]
    assert [text for level, text in told if "nobody defines the image absent" in text]
    assert [text for level, text in told if level == "warning" and str(deleted) in text]


@pytest.mark.parametrize("of", ["livelesson", "lock"])
def test_break_lock(admin_client, make_live_lesson, of):
    live_lesson = make_live_lesson(state=State.BOOTING, next_look_at=None)
    now = timezone.now()
    lock = LiveLessonLock.objects.create(
        live_lesson=live_lesson, action="start", holder="x", created_at=now, expires_at=now
    )

    told = act(admin_client, "break_lock", live_lesson if of == "livelesson" else lock)

    assert [level for level, _ in told] == ["success"]
    assert not LiveLessonLock.objects.exists()
    live_lesson.refresh_from_db()
    assert live_lesson.next_look_at is not None


def test_break_lock_without_a_lock(admin_client, make_live_lesson):
    told = act(
        admin_client,
        "break_lock",
        make_live_lesson(state=State.READY),
        make_live_lesson(state=State.DELETED),
    )

    assert [level for level, _ in told] == ["warning", "warning"]


def test_all_livelessons_of_a_session_can_be_ended(admin_client, make_session, make_live_lesson):
    session = make_session()
    for state in (State.READY, State.BOOTING, State.DELETED):
        make_live_lesson(session=session, state=state)

    told = act(admin_client, "end_livelessons", session, make_session())

    assert sorted(level for level, _ in told) == ["success", "warning"]
    assert session.livelessons.filter(desired=Desired.GONE).count() == 2


def test_an_action_on_very_many_rows_is_bounded_and_says_so(admin_client):
    url, rows = list_url(LiveSession), many_sessions(ROWS_OF_AN_ACTION + 1)
    chosen = {"_selected_action": [str(rows[0].pk)], "select_across": "1"}

    response = admin_client.post(url, {"action": "persist", **chosen}, follow=True)

    assert LiveSession.objects.filter(persistent=True).count() == ROWS_OF_AN_ACTION
    assert "repeat it for the rest" in response.text


def test_a_row_that_the_database_refuses_does_not_stop_the_others(admin_client, make_live_lesson):
    sound, broken = (make_live_lesson(state=State.READY) for _ in range(2))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(
            "CREATE FUNCTION refuse_row() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'refused'; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER refuse_row BEFORE UPDATE ON livelessons_livelesson FOR EACH ROW "
            f"WHEN (OLD.id = '{broken.pk}') EXECUTE FUNCTION refuse_row()"
        )

    told = act(admin_client, "end", sound, broken)

    assert {level for level, text in told if str(broken) in text} == {"error"}
    assert {level for level, text in told if str(sound) in text} == {"success"}


def test_what_operators_did_is_on_record(admin_client, make_live_lesson):
    live_lesson = make_live_lesson(state=State.READY)

    act(admin_client, "end", live_lesson)

    url = reverse("admin:livelessons_livelesson_history", args=[live_lesson.pk])
    assert "Ending" in admin_client.get(url).text


def import_of(path):
    return Curriculum.objects.create(
        name="Old", version="0", path=str(path), imported_at=timezone.now()
    )


def test_re_import(admin_client):
    told = act(admin_client, "re_import", import_of(SAMPLE))

    assert [level for level, _ in told] == ["success"]
    assert "added" in told[-1][1]
    assert CurrentLesson.objects.exists()


def test_re_import_of_a_folder_that_is_gone(admin_client, tmp_path):
    told = act(admin_client, "re_import", import_of(tmp_path / "gone"))

    assert "error" in {level for level, _ in told}
    assert not CurrentLesson.objects.exists()


def test_re_import_tells_each_problem(admin_client, tmp_path):
    (tmp_path / "curriculum.meta.yaml").write_text((SAMPLE / "curriculum.meta.yaml").read_text())
    for number in range(2):
        folder = tmp_path / "lessons" / f"broken-{number}"
        folder.mkdir(parents=True)
        (folder / "lesson.meta.yaml").write_text("slug: [")

    told = act(admin_client, "re_import", import_of(tmp_path))

    assert len([text for _, text in told if "lesson.meta.yaml:" in text]) >= 2


def link(client, session, **fields):
    data = {"provider": "", "subject": "", "display_name": "", **fields}
    response = client.post(page_url(session), data, follow=True)
    assert response.status_code == 200
    session.refresh_from_db()
    return response


def test_a_session_is_linked_to_a_learner_by_two_providers(admin_client, make_session):
    session = make_session()

    link(admin_client, session, provider="github", subject="alice", display_name="Alice")
    link(admin_client, session, provider="lti", subject="42")

    assert session.learner.display_name == "Alice"
    assert {str(identity) for identity in session.learner.identities.all()} == {
        "github: alice",
        "lti: 42",
    }


def test_an_identity_of_another_learner_is_refused(admin_client, make_session):
    alice, bob = make_session(), make_session()
    link(admin_client, alice, provider="github", subject="alice")
    link(admin_client, bob, provider="github", subject="bob")

    response = link(admin_client, bob, provider="github", subject="alice")

    assert "belongs to another learner" in response.text
    assert bob.learner != alice.learner


def test_half_an_identity_is_refused(admin_client, make_session):
    session = make_session()

    response = link(admin_client, session, provider="github")

    assert "a provider and a subject" in response.text
    assert session.learner is None


def test_saving_a_session_writes_nothing_of_it(admin_client, make_session):
    session = make_session()
    before = LiveSession.objects.values().get()

    link(admin_client, session, persistent="on", source_address="203.0.113.9")

    assert LiveSession.objects.values().get() == before


def test_learners_and_identities_can_be_added(admin_client):
    url = reverse("admin:livelessons_learner_add")
    management = {
        "identities-TOTAL_FORMS": "1",
        "identities-INITIAL_FORMS": "0",
        "identities-MIN_NUM_FORMS": "0",
        "identities-MAX_NUM_FORMS": "1000",
    }
    identity = {"identities-0-provider": "lti", "identities-0-subject": "7"}

    admin_client.post(url, {"display_name": "Carol", **management, **identity})
    refused = admin_client.post(url, {"display_name": "Dave", **management, **identity})

    assert Learner.objects.get().identities.get().subject == "7"
    assert "already exists" in refused.text


def test_the_sessions_of_a_learner_are_a_click_away(admin_client, fill):
    learner = fill().session.learner
    fill()
    url = reverse("admin:livelessons_livesession_changelist")

    assert f"{url}?learner={learner.pk}" in admin_client.get(page_url(learner)).text
    shown = admin_client.get(url, {"learner": str(learner.pk)}).context["cl"]
    assert [session.learner_id for session in shown.result_list] == [learner.pk]


def test_masking():
    data = {"a": [{"ssh_password": "x", "config_password": "", "user": "u"}], "Token": 5}

    assert masked(data) == {
        "a": [{"ssh_password": MASK, "config_password": "", "user": "u"}],
        "Token": MASK,
    }
