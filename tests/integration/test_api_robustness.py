"""No input is answered with 500."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.django_db

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NUMBERS = JSON | st.integers(-3, 3) | st.sampled_from(["0", "1", "-1", "٣", 1e300, 2**63])


def slugs(slug):
    return JSON | st.sampled_from([slug, "nope", "", "\x00", "\ud800", slug + "\n"])


@settings(max_examples=150)
@given(data=st.data())
def test_exp_posts(client, make_lesson, make_session, data):
    lesson, session = make_lesson(stages=2), make_session()
    body = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "lessonSlug": slugs(lesson.slug),
                "lessonStage": NUMBERS,
                "sessionId": JSON | st.just(session.secret),
            },
        )
        | JSON
    )

    for path in ("livelesson", "livesession"):
        response = client.post(f"/exp/{path}", json.dumps(body), content_type="text/plain")

        assert response.status_code in {200, 400, 404, 409, 429}
        assert isinstance(response.json(), dict)


@settings(max_examples=100)
@given(body=st.binary(max_size=200))
def test_exp_posts_of_bytes(client, body):
    for path in ("livelesson", "livesession"):
        response = client.post(f"/exp/{path}", body, content_type="text/plain")

        assert response.status_code in {200, 400, 429}


@settings(max_examples=50)
@given(data=st.data())
def test_v1_posts(client, make_live_lesson, data):
    live_lesson = make_live_lesson(state="READY")
    start = st.fixed_dictionaries(
        {}, optional={"lesson": slugs(live_lesson.slug), "stage": NUMBERS}
    )
    body = data.draw(start | JSON)
    paths = ["sessions", "livelessons"]
    paths += [f"livelessons/{live_lesson.pk}/{action}" for action in ("stage", "extend", "restart")]

    for path in paths:
        response = client.post(
            f"/api/v1/{path}",
            json.dumps(body),
            content_type="application/json",
            headers={"Authorization": f"Bearer {live_lesson.session.secret}"},
        )

        assert response.status_code in {200, 201, 202, 400, 404, 409, 429}
        assert isinstance(response.json(), dict)


@settings(max_examples=100)
@given(body=st.binary(max_size=200), content_type=st.text(st.characters(codec="latin-1")))
def test_v1_posts_of_bytes(client, make_session, body, content_type):
    response = client.generic(
        "POST",
        "/api/v1/livelessons",
        body,
        content_type=content_type.replace("\n", "").replace("\r", ""),
        headers={"Authorization": f"Bearer {make_session().secret}"},
    )

    assert response.status_code in {400, 404, 415}


@settings(max_examples=150)
@given(
    path=st.text(st.characters(exclude_characters="?#")),
    token=st.text(st.characters(codec="latin-1")),
    address=st.text(st.characters(codec="latin-1")),
)
def test_addresses_and_headers(client, path, token, address):
    for prefix in ("/exp/lesson/", "/exp/livelesson/", "/api/v1/lessons/", "/api/v1/livelessons/"):
        response = client.get(
            prefix + quote(path, errors="surrogatepass"),
            headers={
                "Authorization": f"Bearer {token}",
                "Cookie": f"syringe_session={token}",
                "X-Forwarded-For": address,
                "If-None-Match": token,
                "Origin": address,
                "Accept": token,
            },
        )

        assert response.status_code < 500
