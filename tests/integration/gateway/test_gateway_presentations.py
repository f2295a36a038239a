"""Web pages of lessons: what passes between browser and endpoint, and what must not."""

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway.presentations import SANDBOX
from lessons.models import Lesson
from lessons.specs import GUIDE_PORT, with_guide_endpoint
from livelessons.models import LiveEndpoint, LiveLesson
from livelessons.page_addresses import notebook_path, page_token
from livelessons.presentation_tokens import presentation_token
from livelessons.states import Desired, State
from tests.conftest import endpoint_dict
from tests.integration.gateway.conftest import RunningGateway, port_of, serving
from tests.integration.gateway.http_server import Application


@pytest.fixture
def lesson(make_lesson: Callable[..., object]) -> object:
    presentations = [
        {"name": "web", "port": 8080, "type": "http"},
        {"name": "cli", "port": 22, "type": "ssh"},
    ]
    return make_lesson(endpoints=[endpoint_dict("server1", presentations=presentations)])


@pytest.fixture
async def page() -> AsyncIterator[tuple[Application, int]]:
    application = Application()
    async with serving(application) as server:
        yield application, port_of(server)


@pytest.fixture
def running(
    lesson: object, page: tuple[Application, int], make_running: Callable[..., LiveLesson]
) -> LiveLesson:
    return make_running({8080: page[1]}, lesson=lesson)


@pytest.fixture
def notebook(
    make_lesson: Callable[..., Lesson],
    page: tuple[Application, int],
    make_running: Callable[..., LiveLesson],
) -> str:
    """The path of a guide whose server is the application."""
    stages = [{"guide_type": "jupyter", "configurations": {}}]
    lesson = make_lesson(stages=stages, endpoints=[endpoint_dict(presentations=[])])
    lesson.spec = with_guide_endpoint(lesson.spec)
    return notebook_path(make_running({GUIDE_PORT: page[1]}, lesson=lesson))


@pytest.fixture
def path(running: LiveLesson) -> str:
    return f"/presentations/{page_token(running, 'server1', 'web')}"


async def test_a_request_reaches_the_endpoint(path: str, browser: httpx.AsyncClient):
    body = os.urandom(1_000_000)
    answer = await browser.post(f"{path}/a%2Fb/?q=%20x&y", content=body)

    seen = answer.json()
    assert (seen["method"], seen["target"]) == ("POST", "/a%2Fb/?q=%20x&y")
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()
    assert seen["headers"]["host"] == "server1:8080"
    assert seen["headers"]["x-forwarded-prefix"] == path
    assert (await browser.get(f"{path}/large")).content == b"0123456789abcdef" * 200_000


async def test_a_notebooks_server_is_reached_like_any_other(
    notebook: str, browser: httpx.AsyncClient
):
    answer = await browser.get(notebook)

    assert answer.json()["target"] == "/notebooks/stage0/guide.ipynb"


async def test_the_address_without_a_slash_leads_to_the_one_with(
    path: str, browser: httpx.AsyncClient
):
    answer = await browser.get(f"{path}?a=1")
    assert (answer.status_code, answer.headers["location"]) == (308, f"{path}/?a=1")


async def test_the_endpoint_sees_nothing_that_opens_anything(path: str, browser: httpx.AsyncClient):
    headers = {
        "Cookie": "syringe_session=secret; sessionid=admin",
        "Authorization": "Bearer secret",
        "Referer": f"http://testserver{path}/",
        "X-Forwarded-For": "203.0.113.7",
        "Origin": "null",
    }
    seen = (await browser.get(f"{path}/", headers=headers)).json()["headers"]
    assert "secret" not in str(seen)
    assert not {"cookie", "authorization", "referer", "x-forwarded-for"} & seen.keys()
    assert seen["origin"] == "http://server1:8080"


async def test_an_answer_cannot_act_on_our_address(path: str, browser: httpx.AsyncClient):
    headers = (await browser.get(f"{path}/hostile")).headers

    assert headers.get_list("content-security-policy") == [SANDBOX.decode()]
    assert "allow-same-origin" not in headers["content-security-policy"]
    assert headers["access-control-allow-origin"] == "*"
    assert headers["x-kept"] == "yes"
    gone = {
        "set-cookie", "clear-site-data", "strict-transport-security", "alt-svc", "x-hop",
        "service-worker-allowed", "x-frame-options", "www-authenticate",
        "access-control-allow-credentials",
    }  # fmt: skip
    assert not gone & set(headers)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/login?next=/", "{path}/login?next=/"),
        ("http://server1:8080/there#x", "{path}/there#x"),
        ("http://server1/there", "{path}/there"),
        ("//server1:8080/there", "{path}/there"),
        ("further", "further"),
        ("../up", "../up"),
        ("?page=2", "?page=2"),
        ("https://example.org/out", "https://example.org/out"),
        ("http://[", "http://["),
    ],
)
async def test_redirects_stay_within_the_page(
    path: str, browser: httpx.AsyncClient, location: str, expected: str
):
    answer = await browser.get(f"{path}/to-{location.encode().hex()}")
    assert answer.status_code == 302
    assert answer.headers["location"] == expected.format(path=path)


async def test_a_sandboxed_page_may_call_itself(
    path: str, browser: httpx.AsyncClient, page: tuple[Application, int]
):
    asked = {
        "Origin": "null",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-own, content-type",
    }
    answer = await browser.options(f"{path}/item", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-headers"] == "x-own, content-type"
    assert not page[0].requests


async def test_the_page_is_used(path: str, running: LiveLesson, browser: httpx.AsyncClient):
    old = timezone.now() - timedelta(hours=1)
    await LiveLesson.objects.filter(pk=running.pk).aupdate(last_active_at=old)
    await browser.get(f"{path}/")
    for _ in range(200):
        await running.arefresh_from_db()
        if running.last_active_at > old:
            return
    pytest.fail("no use was noted")


@pytest.mark.parametrize(
    ("changes", "status", "title"),
    [
        ({"state": State.BOOTING}, 503, "Not ready yet"),
        ({"attempt": 2}, 503, "Not ready yet"),
        ({"desired": Desired.GONE}, 410, "The lesson has ended"),
        ({"state": State.FAILED}, 410, "The lesson has ended"),
    ],
)
async def test_a_page_that_cannot_be_shown_says_why(
    path: str,
    running: LiveLesson,
    browser: httpx.AsyncClient,
    changes: dict[str, object],
    status: int,
    title: str,
):
    await LiveLesson.objects.filter(pk=running.pk).aupdate(**changes)
    answer = await browser.get(f"{path}/")
    assert answer.status_code == status
    assert title in answer.text
    assert answer.headers["content-security-policy"] == SANDBOX.decode()


async def test_an_endpoint_that_does_not_answer_is_a_502_that_looks_again(
    path: str, running: LiveLesson, browser: httpx.AsyncClient
):
    await LiveEndpoint.objects.filter(live_lesson=running).aupdate(ports={"8080": 1})
    answer = await browser.get(f"{path}/")
    assert answer.status_code == 502
    assert "The page on server1 does not answer." in answer.text
    assert 'http-equiv="refresh"' in answer.text


async def test_only_tokens_of_ours_open_web_pages(
    path: str, running: LiveLesson, browser: httpx.AsyncClient
):
    token = path.rpartition("/")[2]
    terminal = page_token(running, "server1", "cli")
    late = presentation_token(
        live_lesson_id=running.pk,
        endpoint="server1",
        presentation="web",
        expires_at=timezone.now() - timedelta(seconds=2),
    )
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), "x", terminal, late):
        answer = await browser.get(f"/presentations/{wrong}/")
        assert (answer.status_code, "no such page" in answer.text) == (404, True)


async def test_websockets_pass_both_ways(
    path: str, gateway: RunningGateway, page: tuple[Application, int]
):
    async with connect(
        f"ws://{gateway.address}{path}/socket", subprotocols=["graph"], origin="null",
        additional_headers={"Cookie": "syringe_session=secret"},
    ) as socket:  # fmt: skip
        assert socket.subprotocol == "graph"
        await socket.send("text")
        assert await socket.recv() == "text"
        await socket.send(b"\x00\xff" * 50_000)
        assert await socket.recv() == b"\x00\xff" * 50_000
        await socket.send("close")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4321, "as asked")
    seen = page[0].requests[0]
    assert seen["target"] == "/socket"
    assert "cookie" not in seen["headers"]


async def test_a_browser_that_closes_a_websocket_closes_the_endpoints(
    path: str, gateway: RunningGateway, page: tuple[Application, int]
):
    async with connect(f"ws://{gateway.address}{path}/socket"):
        pass
    await page[0].gone.wait()


async def test_a_websocket_that_nobody_serves_is_refused(
    path: str, gateway: RunningGateway, running: LiveLesson
):
    await sync_to_async(running.endpoints.update)(ports={"8080": 1})
    with pytest.raises(InvalidStatus):
        await connect(f"ws://{gateway.address}{path}/socket")
