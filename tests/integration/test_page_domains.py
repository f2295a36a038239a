"""Web pages of lessons at host names of their own, where the backend has them."""

import pytest

from livelessons.exp.ids import exp_id
from livelessons.page_addresses import page_hosts
from livelessons.presentation_tokens import PREFIX
from livelessons.states import State
from scheduler.backends.registry import current_backend
from scheduler.environments import environment_ref
from tests.backends import PAGES, PAGES_DOMAIN
from tests.conftest import endpoint_dict

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(make_lesson, make_live_lesson):
    """A READY livelesson with a terminal and two web pages."""
    pages = [
        {"name": "cli", "port": 22, "type": "ssh"},
        {"name": "shop", "port": 80, "type": "http"},
        {"name": "office", "port": 81, "type": "http"},
    ]
    lesson = make_lesson("shop", endpoints=[endpoint_dict("web", presentations=pages)])
    return make_live_lesson(lesson=lesson, state=State.READY)


def v1_paths(client, live_lesson):
    headers = {"Authorization": f"Bearer {live_lesson.session.secret}"}
    shown = client.get(f"/api/v1/livelessons/{live_lesson.pk}", headers=headers).json()
    return [way["path"] for way in shown["endpoints"][0]["presentations"]]


def exp_domains(client, live_lesson):
    shown = client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}").json()
    ways = shown["LiveEndpoints"]["web"]["LivePresentations"]
    return [way.get("HepDomain") for way in ways]


def domain(live_lesson, presentation):
    return current_backend().page_domain(
        environment_ref(live_lesson), endpoint="web", presentation=presentation
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pages_are_named_by_their_hosts(client, ready, settings, scheme):
    settings.SYRINGE_BACKEND = PAGES
    settings.SYRINGE_PUBLIC_URL = f"{scheme}://labs.example.org/below"
    shop, office = domain(ready, "shop"), domain(ready, "office")

    assert exp_domains(client, ready) == [None, shop, office]
    assert v1_paths(client, ready) == [
        f"/terminals/{ready.pk}/web/cli",
        f"{scheme}://{shop}/",
        f"{scheme}://{office}/",
    ]


def test_another_attempt_has_other_names(client, ready, settings):
    settings.SYRINGE_BACKEND = PAGES
    before = exp_domains(client, ready)
    ready.attempt = 2
    ready.save()

    assert exp_domains(client, ready)[1] not in before


def test_without_them_the_gateway_shows_pages(client, ready):
    assert exp_domains(client, ready)[1].startswith(f"localhost:8000{PREFIX}")
    assert v1_paths(client, ready)[1].startswith(PREFIX)
    assert page_hosts() == ""


def test_our_pages_may_frame_these_hosts_and_no_others(client, ready, settings):
    policy = client.get("/learn/shop")["Content-Security-Policy"]
    assert "frame-src 'self'" in policy.split("; ")

    settings.SYRINGE_BACKEND = PAGES
    settings.SYRINGE_PUBLIC_URL = "https://labs.example.org"
    policy = client.get("/learn/shop")["Content-Security-Policy"]
    assert f"frame-src 'self' https://*.{PAGES_DOMAIN}" in policy.split("; ")


def test_reading_a_livelesson_still_costs_one_query(
    client, ready, settings, django_assert_num_queries
):
    settings.SYRINGE_BACKEND = PAGES
    with django_assert_num_queries(1):
        exp_domains(client, ready)
    with django_assert_num_queries(1):
        v1_paths(client, ready)
