"""Jupyter guides: their server is an endpoint that learners do not see as a machine."""

import pytest
from django.utils import timezone

from lessons.specs import GUIDE_ENDPOINT, GUIDE_PRESENTATION, with_guide_endpoint
from livelessons.api.authentication import COOKIE
from livelessons.exp.ids import exp_id
from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.presentation_tokens import PREFIX, presentation_grant
from livelessons.states import State
from scheduler.models import FakeEnvironment
from scheduler.services import lesson_start
from tests.backends import NOTEBOOKS, PAGES
from tests.conftest import endpoint_dict
from tests.integration.test_scheduler import settle

pytestmark = pytest.mark.django_db

MARKDOWN = {"guide_type": "markdown", "configurations": {}}
NOTEBOOK = {"guide_type": "jupyter", "configurations": {}}


@pytest.fixture
def start(make_lesson, make_session):
    """Return a function that starts a lesson with these stages and waits until it is READY."""

    def start(*stages, **fields):
        lesson = make_lesson(stages=list(stages), **fields)
        session = make_session()
        live_lesson = lesson_start(session=session, slug=lesson.slug).live_lesson
        settle(live_lesson)
        assert live_lesson.state == State.READY
        live_lesson.secret = session.secret
        return live_lesson

    return start


def exp(client, live_lesson):
    return client.get(f"/exp/livelesson/{exp_id(live_lesson.pk)}").json()


def v1(client, live_lesson):
    headers = {"Authorization": f"Bearer {live_lesson.secret}"}
    return client.get(f"/api/v1/livelessons/{live_lesson.pk}", headers=headers).json()


def page(client, live_lesson):
    client.cookies[COOKIE] = live_lesson.secret
    return client.get(f"/learn/guides/{live_lesson.pk}").text


def at_stage(live_lesson, stage):
    LiveLesson.objects.filter(pk=live_lesson.pk).update(stage=stage, desired_stage=stage)
    return live_lesson


def test_a_lesson_with_a_notebook_gets_a_server_for_it(start, settings):
    settings.SYRINGE_BACKEND = NOTEBOOKS

    live_lesson = start(MARKDOWN, NOTEBOOK)

    assert [row.name for row in live_lesson.endpoints.all()] == ["linux1", GUIDE_ENDPOINT]
    server = LiveEndpoint.objects.get(name=GUIDE_ENDPOINT)
    assert (server.phase, server.ports, server.reachable) == ("running", {"8888": 8888}, True)
    assert FakeEnvironment.objects.get().endpoints == {"linux1": [22], GUIDE_ENDPOINT: [8888]}
    # Both are waited for, so both are counted.
    assert live_lesson.healthy_tests == live_lesson.total_tests == 2


def test_the_lesson_itself_stays_as_it_was_imported(start, settings):
    settings.SYRINGE_BACKEND = NOTEBOOKS

    live_lesson = start(NOTEBOOK)

    names = [endpoint["name"] for endpoint in live_lesson.lesson.spec["endpoints"]]
    assert names == ["linux1"]


def test_without_a_notebook_there_is_no_server(start, settings):
    settings.SYRINGE_BACKEND = NOTEBOOKS

    live_lesson = start(MARKDOWN, MARKDOWN)

    assert [row.name for row in live_lesson.endpoints.all()] == ["linux1"]
    assert live_lesson.total_tests == 1


def test_a_backend_that_runs_no_notebooks_gets_none(start):
    live_lesson = start(NOTEBOOK)

    assert [row.name for row in live_lesson.endpoints.all()] == ["linux1"]
    assert live_lesson.healthy_tests == live_lesson.total_tests == 1


def test_a_lesson_from_before_the_name_was_reserved_can_be_started(start, settings):
    settings.SYRINGE_BACKEND = NOTEBOOKS

    live_lesson = start(NOTEBOOK, endpoints=[endpoint_dict(GUIDE_ENDPOINT)])

    assert [row.name for row in live_lesson.endpoints.all()] == [GUIDE_ENDPOINT]


@pytest.mark.parametrize("stages", [(NOTEBOOK, MARKDOWN), (MARKDOWN, NOTEBOOK)])
def test_the_server_is_no_machine_of_the_lesson(start, client, settings, stages):
    settings.SYRINGE_BACKEND = NOTEBOOKS
    live_lesson = start(*stages)

    for stage in (0, 1):
        at_stage(live_lesson, stage)
        assert list(exp(client, live_lesson)["LiveEndpoints"]) == ["linux1"]
        assert [e["name"] for e in v1(client, live_lesson)["endpoints"]] == ["linux1"]


def test_the_notebook_is_at_the_gateway(start, client, settings):
    settings.SYRINGE_BACKEND = NOTEBOOKS
    settings.SYRINGE_PUBLIC_URL = "https://labs.example.org"
    live_lesson = at_stage(start(MARKDOWN, NOTEBOOK), 1)

    shown, guide = exp(client, live_lesson), v1(client, live_lesson)["guide"]

    host, _, token = shown["GuideDomain"].partition(PREFIX)
    assert host == "labs.example.org"
    grant = presentation_grant(token, now=timezone.now())
    assert (grant.live_lesson_id, grant.endpoint, grant.presentation) == (
        live_lesson.pk,
        GUIDE_ENDPOINT,
        GUIDE_PRESENTATION,
    )
    path = f"{PREFIX}{token}/notebooks/stage1/guide.ipynb"
    assert guide == {"type": "jupyter", "contents": "", "path": path}
    assert f'<iframe src="{path}"' in page(client, live_lesson)
    assert "allow-same-origin" not in page(client, live_lesson)
    assert v1(client, at_stage(live_lesson, 0))["guide"]["path"] == ""


def test_the_notebook_is_at_a_host_name_of_its_own(start, client, settings):
    settings.SYRINGE_BACKEND = PAGES
    settings.SYRINGE_PUBLIC_URL = "https://labs.example.org"
    live_lesson = start(NOTEBOOK)

    shown, guide = exp(client, live_lesson), v1(client, live_lesson)["guide"]

    assert shown["GuideDomain"].endswith(".pages.example.org:8443")
    address = f"https://{shown['GuideDomain']}/notebooks/stage0/guide.ipynb"
    assert guide["path"] == address
    frame = page(client, live_lesson)
    assert f'<iframe src="{address}"' in frame
    assert "allow-same-origin" in frame


@pytest.mark.parametrize("state", [State.INITIALIZED, State.BOOTING, State.CONFIGURATION])
def test_the_notebook_is_not_framed_before_its_server_answers(start, client, settings, state):
    settings.SYRINGE_BACKEND = NOTEBOOKS
    live_lesson = start(NOTEBOOK)
    LiveLesson.objects.update(state=state)

    shown = page(client, live_lesson)

    assert "as soon as its server answers" in shown
    assert "iframe" not in shown


def test_where_notebooks_are_not_run_the_page_says_so(start, client):
    live_lesson = start(NOTEBOOK)

    assert "does not run notebooks" in page(client, live_lesson)
    assert v1(client, live_lesson)["guide"] == {"type": "jupyter", "contents": "", "path": ""}
    assert exp(client, live_lesson)["GuideType"] == "jupyter"


def test_the_server_comes_last_and_once(make_lesson):
    spec = make_lesson(stages=[NOTEBOOK], endpoints=[endpoint_dict("a"), endpoint_dict("b")]).spec

    extended = with_guide_endpoint(spec)

    assert [e["name"] for e in extended["endpoints"]] == ["a", "b", GUIDE_ENDPOINT]
    assert with_guide_endpoint(extended) == extended
    assert [e["name"] for e in spec["endpoints"]] == ["a", "b"]
