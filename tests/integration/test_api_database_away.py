"""While PostgreSQL is away, callers are told so, in their form, and nothing looks like a bug."""

import json
import socket

import pytest
from django.db import connection

from livelessons.exp.ids import exp_id

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def away(make_live_lesson, monkeypatch):
    """A livelesson that nobody can read, since nothing listens where the database should be."""
    live_lesson = make_live_lesson()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
        patch.setitem(connection.settings_dict, "PORT", str(port))
        yield live_lesson
    connection.close()


@pytest.mark.parametrize("path", ["lesson", "livelesson/{id}", "antidoteinfo"])
def test_exp(client, away, path):
    path = f"/exp/{path.format(id=exp_id(away.pk))}"

    response = client.get(path, headers={"Origin": "https://labs.example.org"})

    assert response.status_code == 503
    assert response["Access-Control-Allow-Origin"] == "*"
    assert int(response["Retry-After"]) > 0
    assert set(response.json()) == {"error", "code", "message"}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_v1(client, away, method):
    response = client.generic(
        method,
        "/api/v1/livelessons",
        json.dumps({"lesson": away.slug}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {away.session.secret}"},
    )

    assert response.status_code == 503
    assert response.json()["code"] == "database_unavailable"
    assert int(response["Retry-After"]) > 0
