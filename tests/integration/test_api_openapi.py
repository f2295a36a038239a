"""The OpenAPI description says what is answered, with examples that fit."""

import json
from typing import Any

import jsonschema
import pytest
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

from livelessons.services.checkers import checker_beat
from livelessons.states import State
from tests.conftest import objective_dict, stage_dict
from tests.integration.offered import offer
from tests.objectives import open_all

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    # As clients get it: plain JSON, without the generator's lazy texts.
    schema = SchemaGenerator().get_schema(request=None, public=True)
    plain: dict[str, Any] = json.loads(json.dumps(schema, default=str))
    return plain


def check(description: dict[str, Any], schema: dict[str, Any], body: object) -> None:
    """Check a body against a part of the description; ``nullable`` is OpenAPI 3.0's own."""
    jsonschema.validate(body, _plain(schema | {"components": description["components"]}))


def _plain(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_plain(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(part) for name, part in schema.items() if name != "nullable"}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def operations(description: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (path, method, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_it_is_valid_and_complete(description):
    validate_schema(description)

    assert {path for path, _, _ in operations(description)} == {
        "/api/v1/collections",
        "/api/v1/collections/{slug}",
        "/api/v1/curriculum",
        "/api/v1/lessons",
        "/api/v1/lessons/{slug}",
        "/api/v1/livelessons",
        "/api/v1/livelessons/{live_lesson_id}",
        "/api/v1/livelessons/{live_lesson_id}/extend",
        "/api/v1/livelessons/{live_lesson_id}/objectives/{slug}/check",
        "/api/v1/livelessons/{live_lesson_id}/restart",
        "/api/v1/livelessons/{live_lesson_id}/stage",
        "/api/v1/sessions",
        "/api/v1/sessions/me",
    }


def test_every_body_has_an_example_that_fits(description):
    for path, method, operation in operations(description):
        bodies = [*operation["responses"].values()]
        if "requestBody" in operation:
            bodies.append(operation["requestBody"])
        for body in bodies:
            for content in body.get("content", {}).values():
                assert content["examples"], (method, path)
                for example in content["examples"].values():
                    check(description, content["schema"], example["value"])


def test_the_answers_are_as_described(client, description, make_lesson, make_session):
    lesson = make_lesson("first", stages=2, authors=[{"name": "Ada", "link": ""}])
    offer()
    session = make_session()
    headers = {"Authorization": f"Bearer {session.secret}"}

    def checked(method: str, template: str, body: object = None, **names: object) -> Any:
        response = client.generic(
            method,
            template.format(**names),
            json.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers=headers,
        )
        described = description["paths"][template][method.lower()]["responses"]
        content = described[str(response.status_code)]["content"]["application/json"]
        check(description, content["schema"], response.json())
        return response

    checked("GET", "/api/v1/lessons")
    checked("GET", "/api/v1/lessons/{slug}", slug="first")
    checked("GET", "/api/v1/lessons/{slug}", slug="nope")
    checked("GET", "/api/v1/collections")
    checked("GET", "/api/v1/curriculum")
    checked("POST", "/api/v1/sessions")
    checked("GET", "/api/v1/sessions/me")
    one = "/api/v1/livelessons/{live_lesson_id}"
    created = checked("POST", "/api/v1/livelessons", {"lesson": lesson.slug})
    names = {"live_lesson_id": created.json()["id"]}
    checked("POST", "/api/v1/livelessons", {"lesson": lesson.slug})
    checked("POST", "/api/v1/livelessons", {"lesson": lesson.slug, "stage": 7})
    checked("GET", "/api/v1/livelessons")
    checked("GET", one, **names)
    assert checked("POST", f"{one}/stage", {"stage": 1}, **names).status_code == 409
    checked("POST", f"{one}/extend", **names)
    assert checked("POST", f"{one}/restart", **names).status_code == 409
    checked("DELETE", one, **names)


def test_objectives_are_as_described(client, description, make_lesson, make_live_lesson):
    stages = [
        stage_dict(objective_dict("a"), objective_dict("b", needs=["a"]), gate=True),
        stage_dict(),
    ]
    live_lesson = make_live_lesson(lesson=make_lesson(stages=stages), state=State.READY)
    open_all(live_lesson)
    address = f"/api/v1/livelessons/{live_lesson.pk}"
    template = "/api/v1/livelessons/{live_lesson_id}"

    def checked(method, path="", body=None, described=None):
        response = client.generic(
            method,
            address + path,
            json.dumps(body) if body is not None else b"",
            content_type="application/json",
            headers={"Authorization": f"Bearer {live_lesson.session.secret}"},
        )
        answers = description["paths"][template + (described or path)][method.lower()]["responses"]
        schema = answers[str(response.status_code)]["content"]["application/json"]["schema"]
        check(description, schema, response.json())
        return response.status_code

    check_now = "/objectives/{slug}/check"
    assert checked("GET") == 200
    assert checked("POST", "/objectives/a/check", described=check_now) == 503
    checker_beat(name="checker")
    assert checked("POST", "/objectives/a/check", described=check_now) == 202
    assert checked("POST", "/objectives/b/check", described=check_now) == 409
    assert checked("POST", "/objectives/c/check", described=check_now) == 404
    assert checked("POST", "/stage", {"stage": 1}) == 409
    assert checked("GET") == 200


@pytest.mark.parametrize("state", State.values)
def test_every_state_fits(client, description, make_live_lesson, state):
    live_lesson = make_live_lesson(state=state, reason_code="timeout", reason="It took too long.")
    response = client.get(
        f"/api/v1/livelessons/{live_lesson.pk}",
        headers={"Authorization": f"Bearer {live_lesson.session.secret}"},
    )

    schema = {"$ref": "#/components/schemas/LiveLessonDocument"}
    check(description, schema, response.json())


def test_it_is_served_with_a_page_that_needs_no_other_machine(client):
    schema = client.get("/api/v1/schema", headers={"Accept": "application/json"})
    page = client.get("/api/v1/docs", headers={"Accept": "text/html"})

    assert schema.status_code == page.status_code == 200
    assert schema.json()["openapi"].startswith("3.")
    text = page.content.decode()
    assert "/static/drf_spectacular_sidecar/" in text
    assert "//cdn" not in text
    script = client.get("/static/drf_spectacular_sidecar/swagger-ui-dist/swagger-ui-bundle.js")
    assert script.status_code == 200
    script.close()
