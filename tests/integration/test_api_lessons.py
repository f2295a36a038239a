"""/api/v1: lessons, collections and the curriculum."""

import pytest

from lessons.models import Collection
from tests.conftest import endpoint_dict
from tests.integration.offered import offer

pytestmark = pytest.mark.django_db


@pytest.fixture
def curriculum(make_lesson):
    Collection.objects.create(slug="vendor", title="Vendor", file="collections/vendor.yaml")
    make_lesson("first")
    make_lesson(
        "second",
        collection="vendor",
        prerequisites=["first", "hidden"],
        stages=2,
        endpoints=[endpoint_dict("linux1", additional_ports=[80])],
        authors=[{"name": "Ada", "link": "https://example.org"}],
        tags=["a"],
    )
    make_lesson("third", prerequisites=["second"], missing_images=["unknown"])
    make_lesson("hidden", tier="ptr")
    return offer(name="example", version="v1")


PATHS = ["lessons", "lessons/second", "collections", "collections/vendor", "curriculum"]


@pytest.mark.parametrize("path", PATHS)
def test_one_query_and_304(client, curriculum, django_assert_num_queries, path):
    first = client.get(f"/api/v1/{path}")

    with django_assert_num_queries(1):
        second = client.get(f"/api/v1/{path}")
    with django_assert_num_queries(1):
        unchanged = client.get(f"/api/v1/{path}", headers={"If-None-Match": first["ETag"]})
    offer(description="Something changed")
    changed = client.get(f"/api/v1/{path}", headers={"If-None-Match": first["ETag"]})

    assert first.content == second.content
    assert (first.status_code, unchanged.status_code, changed.status_code) == (200, 304, 200)
    assert unchanged["ETag"] == first["ETag"] != changed["ETag"]


def test_another_tier_has_another_tag(client, curriculum, settings):
    prod = client.get("/api/v1/lessons")
    settings.SYRINGE_TIER = "ptr"

    ptr = client.get("/api/v1/lessons", headers={"If-None-Match": prod["ETag"]})

    assert ptr.status_code == 200
    assert len(ptr.json()["lessons"]) == len(prod.json()["lessons"]) + 1


def test_the_list(client, curriculum):
    lessons = client.get("/api/v1/lessons").json()["lessons"]

    assert [lesson["slug"] for lesson in lessons] == ["first", "second", "third"]
    assert [lesson["startable"] for lesson in lessons] == [True, True, False]
    assert lessons[1]["prerequisites"] == ["first"]
    assert lessons[1]["stages"] == 2


def test_one_lesson(client, curriculum):
    lesson = client.get("/api/v1/lessons/second").json()

    assert [stage["description"] for stage in lesson["stages"]] == ["Stage 0", "Stage 1"]
    assert lesson["endpoints"][0]["additional_ports"] == [80]
    assert lesson["endpoints"][0]["presentations"] == [{"name": "cli", "port": 22, "type": "ssh"}]
    assert lesson["authors"] == [{"name": "Ada", "link": "https://example.org"}]
    assert client.get("/api/v1/lessons/third").json()["all_prerequisites"] == ["second", "first"]
    assert "password" not in client.get("/api/v1/lessons/second").content.decode()


def test_one_collection(client, curriculum):
    collection = client.get("/api/v1/collections/vendor").json()

    assert collection["title"] == "Vendor"
    assert [lesson["slug"] for lesson in collection["lessons"]] == ["second"]


def test_the_curriculum(client, curriculum):
    assert client.get("/api/v1/curriculum").json()["version"] == "v1"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("lessons/nope", "lesson_not_found"),
        ("lessons/hidden", "lesson_not_found"),
        ("lessons/%00", "lesson_not_found"),
        ("lessons/%ff", "lesson_not_found"),
        ("collections/nope", "collection_not_found"),
        ("lessons/", "not_found"),
        ("nothing", "not_found"),
        ("", "not_found"),
    ],
)
def test_what_does_not_exist(client, curriculum, path, code):
    response = client.get(f"/api/v1/{path}", headers={"If-None-Match": "*"})

    assert response.status_code == 404
    assert response.json()["code"] == code


def test_nothing_imported(client):
    assert client.get("/api/v1/curriculum").json()["code"] == "curriculum_not_found"
    assert client.get("/api/v1/lessons").json() == {"lessons": []}
