"""/exp: what the curriculum offers, by tier and revision, at the price of one query."""

import json

import pytest
from django.utils import timezone

from lessons.models import Collection, CurrentLesson, Lesson, Tier
from syringe_project.version import VERSION
from tests.conftest import objective_dict, stage_dict
from tests.integration.offered import offer

pytestmark = pytest.mark.django_db


def make_collection(slug, **fields):
    return Collection.objects.create(
        slug=slug, title=slug, file=f"collections/{slug}/collection.meta.yaml", **fields
    )


@pytest.fixture
def three_tiers(make_lesson, settings):
    for tier in Tier.values:
        make_collection(tier, tier=tier)
        make_lesson(f"{tier}-lesson", tier=tier, collection="local", prerequisites=["local-lesson"])
    make_lesson("last", prerequisites=["ptr-lesson", "prod-lesson", "nobody"])
    offer()
    return settings


@pytest.mark.parametrize(
    ("tier", "lessons", "collections"),
    [
        ("prod", ["last", "prod-lesson"], ["prod"]),
        ("ptr", ["last", "prod-lesson", "ptr-lesson"], ["prod", "ptr"]),
        ("local", ["last", "local-lesson", "prod-lesson", "ptr-lesson"], ["local", "prod", "ptr"]),
    ],
)
def test_tiers_nest(client, three_tiers, tier, lessons, collections):
    three_tiers.SYRINGE_TIER = tier

    shown = client.get("/exp/lesson").json()["lessons"]
    assert [lesson["Slug"] for lesson in shown] == lessons
    listed = client.get("/exp/collection").json()["collections"]
    assert [collection["Slug"] for collection in listed] == collections
    for lesson in shown:
        slug = lesson["Slug"]
        before = client.get(f"/exp/lesson/{slug}/prereqs").json().get("prereqs", [])
        assert set(before) <= set(lessons)
        assert set(lesson.get("Prereqs", [])) <= set(lessons)
        assert set(client.get(f"/exp/lesson/{slug}").json().get("Prereqs", [])) <= set(lessons)
        assert lesson.get("Collection", "local") in collections or tier != "local"
    for hidden in {f"{tier}-lesson" for tier in Tier.values} - set(lessons):
        assert client.get(f"/exp/lesson/{hidden}").status_code == 404


def test_prerequisites_are_flattened(client, three_tiers):
    three_tiers.SYRINGE_TIER = "local"

    assert client.get("/exp/lesson/last/prereqs").json() == {
        "prereqs": ["ptr-lesson", "local-lesson", "prod-lesson"]
    }


def test_lists_are_there_when_they_are_empty(client):
    assert client.get("/exp/lesson").json() == {"lessons": []}
    assert client.get("/exp/collection").json() == {"collections": []}


def test_stages_are_there_when_there_are_none(client, make_lesson):
    make_lesson("bare", stages=[], endpoints=[])
    offer()

    assert client.get("/exp/lesson/bare").json()["Stages"] == []


def test_nothing_imported_is_said(client):
    response = client.get("/exp/curriculum")

    assert response.status_code == 404
    assert response.json()["code"] == 5
    assert client.get("/exp/antidoteinfo").json() == {
        "buildSha": f"v{VERSION}",
        "buildVersion": VERSION,
        "curriculumVersion": "",
    }


def test_both_spellings_of_antidoteinfo(client):
    offer(version="v7")

    for spelling in ("antidoteinfo", "antidoteInfo"):
        assert client.get(f"/exp/{spelling}").json()["curriculumVersion"] == "v7"


@pytest.mark.parametrize(
    "path",
    [
        "lesson",
        "lesson/lesson-a",
        "lesson/lesson-a/prereqs",
        "collection",
        "collection/vendor",
        "curriculum",
        "antidoteinfo",
    ],
)
def test_one_query_and_two_after_an_import(
    client, make_lesson, django_assert_num_queries, django_assert_max_num_queries, path
):
    make_collection("vendor")
    for slug in ("lesson-a", "lesson-b", "lesson-c"):
        make_lesson(slug, collection="vendor")
    offer()

    with django_assert_max_num_queries(2):
        first = client.get(f"/exp/{path}")
    with django_assert_num_queries(1):
        second = client.get(f"/exp/{path}")

    assert first.status_code == 200
    assert first.content == second.content


def test_an_import_is_seen_by_the_next_request(client, make_lesson):
    lesson = make_lesson("one")
    offer()
    assert len(client.get("/exp/lesson").json()["lessons"]) == 1

    newer = make_lesson("one", name="One, rewritten")
    make_lesson("two")
    offer()

    assert [entry["Name"] for entry in client.get("/exp/lesson").json()["lessons"]] == [
        "One, rewritten",
        "Two",
    ]
    assert newer.pk != lesson.pk
    CurrentLesson.objects.filter(slug="two").delete()
    offer()
    assert client.get("/exp/lesson/two").status_code == 404


def test_a_new_database_with_the_same_revision_is_another_curriculum(client, make_lesson):
    make_lesson("one")
    row = offer()
    assert client.get("/exp/lesson/one").status_code == 200

    CurrentLesson.objects.all().delete()
    row.imported_at = timezone.now()
    row.save()

    assert client.get("/exp/lesson/one").status_code == 404


def test_text_arrives_as_it_was_written(client, make_lesson):
    name = 'Größe \u2603 \U0001f600 </script> "quoted" \\ \u2028'
    make_lesson("text", name=name, description="line\nline\ttab")
    offer()

    entry = client.get("/exp/lesson/text").json()

    assert entry["Name"] == name
    assert entry["Description"] == "line\nline\ttab"


def test_what_verifies_objectives_is_not_sent(client, make_lesson):
    check = {"kind": "run", "script": "grep -q answer-42 notes.txt", "endpoint": "linux1",
             "timeout_seconds": 5, "interval_seconds": 2}  # fmt: skip
    hint = {"text": "Write answer-42.", "after_failures": 9, "after_minutes": None}
    one = stage_dict(objective_dict("a", check=check, hints=[hint]), complete_message="It is 42!")
    make_lesson("one", stages=[one, stage_dict()])
    offer()

    response = client.get("/exp/lesson/one")

    assert len(response.json()["Stages"]) == 2
    for stage in response.json()["Stages"]:
        assert set(stage) <= {"Description", "GuideType", "StageVideo"}
    for path in ("/exp/lesson/one", "/exp/lesson"):
        assert not any(word in client.get(path).text for word in ("answer-42", "It is 42!"))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/exp", 404, 5),
        ("GET", "/exp/", 404, 5),
        ("GET", "/acore/exp/", 404, 5),
        ("GET", "/exp/nothing", 404, 5),
        ("POST", "/exp/nothing/at/all/", 404, 5),
        ("GET", "/exp/lesson/a/b/c", 404, 5),
        ("GET", "/exp/curriculum/", 404, 5),
        ("GET", "/exp/lesson/%00", 404, 5),
        ("GET", "/exp/lesson/%ff%fe", 404, 5),
        ("GET", "/exp/lesson/..%2f..%2fetc", 404, 5),
        ("GET", "/exp/livelesson/%00", 404, 2),
        ("DELETE", "/exp/lesson", 405, 2),
        ("PATCH", "/exp/livesession", 405, 2),
        ("POST", "/exp/curriculum", 405, 2),
    ],
)
def test_every_error_is_json_and_readable_across_origins(client, method, path, status, code):
    response = client.generic(method, path, headers={"Origin": "https://labs.example.org"})

    assert response.status_code == status
    assert response["Content-Type"] == "application/json"
    assert response["Access-Control-Allow-Origin"] == "*"
    body = json.loads(response.content)
    assert set(body) == {"error", "code", "message"}
    assert body["error"] == body["message"] != ""
    assert body["code"] == code
    if status == 405:
        assert method not in response["Allow"]


@pytest.mark.parametrize("path", ["/exp/lesson", "/exp/livelesson", "/exp/livesession"])
def test_preflight(client, path):
    asked = client.options(
        path,
        headers={
            "Origin": "https://labs.example.org",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    plain = client.options(path)

    assert asked.status_code == plain.status_code == 200
    assert asked["Access-Control-Allow-Origin"] == "*"
    assert "POST" in asked["Access-Control-Allow-Methods"]
    assert "content-type" in asked["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in asked


def test_a_bug_is_answered_in_the_same_form(client, make_lesson):
    # A row that no import can write, since it takes a bug in the data to make one in the view.
    make_lesson("broken")
    offer()
    Lesson.objects.update(authors=[{"no": "name"}])
    client.raise_request_exception = False

    response = client.get("/exp/lesson/broken", headers={"Origin": "https://labs.example.org"})

    assert response.status_code == 500
    assert response["Access-Control-Allow-Origin"] == "*"
    assert response.json()["code"] == 2
    assert response.json()["error"] == response.json()["message"]
    assert client.get("/api/v1/lessons/broken").status_code == 200


def test_the_root_answers_machines_and_leads_people_to_the_pages(client):
    machine = client.get("/")
    person = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})

    assert (machine.status_code, machine.json()) == (200, {})
    assert (person.status_code, person["Location"]) == (302, "/learn/")
    assert "Accept" in machine["Vary"]
    assert "Accept" in person["Vary"]
