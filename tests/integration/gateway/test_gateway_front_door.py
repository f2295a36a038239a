"""The front door against a real HTTP server on a UNIX socket."""

import asyncio
import hashlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from django.conf import LazySettings

from gateway.application import Gateway
from tests.integration.gateway.conftest import RunningGateway, serving
from tests.integration.gateway.http_server import Application
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def instance_folder(settings: LazySettings, tmp_path: Path) -> Path:
    settings.SYRINGE_INSTANCE_FOLDER = tmp_path
    return tmp_path


@pytest.fixture
async def web_elsewhere(settings: LazySettings) -> AsyncIterator[Application]:
    """Be a web process that the gateway reaches over the network; made before the gateway."""
    application = Application()
    async with serving(application) as server:
        host, port = server.servers[0].sockets[0].getsockname()
        settings.SYRINGE_WEB_URL = f"http://{host}:{port}"
        yield application


async def test_web_may_be_elsewhere(web_elsewhere: Application, browser: httpx.AsyncClient):
    answer = await browser.get("/api/v1/x?a=1", headers={"X-Forwarded-For": "203.0.113.7"})

    seen = answer.json()
    assert (answer.status_code, seen["target"]) == (200, "/api/v1/x?a=1")
    assert seen["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert seen["headers"]["host"] == browser.base_url.netloc.decode()


@pytest.fixture
async def web(instance_folder: Path) -> AsyncIterator[Application]:
    application = Application()
    async with serving(application, uds=str(instance_folder / "web.sock")):
        yield application


async def test_a_request_arrives_as_it_was_sent(web: Application, browser: httpx.AsyncClient):
    answer = await browser.post(
        "/api/v1/x%2Fy/?a=1&a=%20b", content=b"body", headers={"X-Own": "kept", "Cookie": "a=1"}
    )

    seen = answer.json()
    assert (answer.status_code, seen["method"]) == (200, "POST")
    assert seen["target"] == "/api/v1/x%2Fy/?a=1&a=%20b"
    assert seen["headers"]["x-own"] == "kept"
    assert seen["headers"]["cookie"] == "a=1"
    assert seen["sha256"] == hashlib.sha256(b"body").hexdigest()
    assert answer.headers.get_list("x-seen") == ["1", "2"]
    assert len(answer.headers.get_list("date")) == 1


@pytest.mark.parametrize("chunked", [False, True])
async def test_large_bodies_pass_whole(web: Application, browser: httpx.AsyncClient, chunked: bool):
    body = os.urandom(3_000_000)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 70_001):
            yield body[start : start + 70_001]

    answer = await browser.put("/", content=pieces() if chunked else body)
    assert answer.json()["sha256"] == hashlib.sha256(body).hexdigest()
    large = await browser.get("/large")
    assert large.content == b"0123456789abcdef" * 200_000


async def test_what_the_caller_says_of_itself_does_not_count(
    web: Application, browser: httpx.AsyncClient, gateway: RunningGateway
):
    forged = {
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1",
        "X-Real-IP": "203.0.113.7",
        "Forwarded": "for=203.0.113.7",
    }
    seen = (await browser.get("/", headers=forged)).json()["headers"]

    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "http"
    assert seen["x-forwarded-host"] == seen["host"] == gateway.address
    assert not {"x-forwarded-port", "x-real-ip", "forwarded"} & seen.keys()


@pytest.fixture
def behind_a_proxy(settings: LazySettings) -> None:
    settings.SYRINGE_TRUSTED_PROXIES = ["127.0.0.0/8"]


async def test_a_trusted_proxy_is_believed_as_far_as_it_is_trusted(
    behind_a_proxy: None, web: Application, browser: httpx.AsyncClient
):
    told = {"X-Forwarded-For": "203.0.113.7, 198.51.100.1", "X-Forwarded-Proto": "https"}
    seen = (await browser.get("/", headers=told)).json()["headers"]

    assert seen["x-forwarded-for"] == "198.51.100.1"
    assert seen["x-forwarded-proto"] == "https"


async def test_web_away_is_said_in_each_callers_form_and_heals(
    browser: httpx.AsyncClient, instance_folder: Path
):
    answer = await browser.get("/api/v1/lessons")
    assert answer.status_code == 502
    assert answer.json() == {
        "detail": "Syringe's web process does not answer. Try again in a moment.",
        "code": "upstream_away",
    }
    assert answer.headers["retry-after"] == "5"

    origin = {"Origin": "https://labs.example.org"}
    for method, path in (("GET", "/exp/lesson?a=%20"), ("POST", "/acore/exp/livelesson")):
        answer = await browser.request(method, path, headers=origin)
        assert answer.status_code == 503
        assert answer.json() == {
            "error": "Sorry, this lesson is having some problems. Please try again later",
            "code": 2,
            "message": "Sorry, this lesson is having some problems. Please try again later",
        }
        assert answer.headers["access-control-allow-origin"] == "*"
        assert int(answer.headers["retry-after"]) > 0
    preflight = {**origin, "Access-Control-Request-Method": "POST"}
    answer = await browser.options("/exp/livelesson", headers=preflight)
    assert (answer.status_code, answer.content) == (200, b"")
    assert "POST" in answer.headers["access-control-allow-methods"]

    async with serving(Application(), uds=str(instance_folder / "web.sock")):
        assert (await browser.get("/")).status_code == 200
    (instance_folder / "web.sock").unlink(missing_ok=True)
    assert (await browser.get("/")).status_code == 502


async def test_the_gateway_says_by_itself_that_it_serves(db: None):
    application = Gateway()
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        async with application.running():
            answer = await client.get("/healthz/gateway")
        assert (answer.status_code, answer.json()) == (200, {})

        # Whatever ended the task that watches, streams would never say anything again.
        answer = await client.get("/healthz/gateway")
        assert (answer.status_code, answer.json()["code"]) == (503, "watcher_stopped")


async def test_answers_stream(web: Application, browser: httpx.AsyncClient):
    async with browser.stream("GET", "/endless") as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == "first"
        web.more.set()
        assert await anext(lines) == "second"


async def test_a_browser_that_goes_away_frees_the_connection_to_web(
    web: Application, browser: httpx.AsyncClient
):
    async with browser.stream("GET", "/endless") as answer:
        assert await anext(answer.aiter_lines()) == "first"
    async with asyncio.timeout(PATIENCE):
        await web.gone.wait()


async def test_an_answer_that_breaks_off_is_not_made_to_look_whole(
    web: Application, browser: httpx.AsyncClient
):
    with pytest.raises(httpx.RemoteProtocolError):
        await browser.get("/broken")


async def test_head_has_no_body(web: Application, browser: httpx.AsyncClient):
    answer = await browser.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


async def test_a_request_without_a_host_does_not_disturb_others(
    web: Application, gateway: RunningGateway, browser: httpx.AsyncClient
):
    host, _, port = gateway.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port), family=socket.AF_INET)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    status = await reader.readline()
    writer.close()
    await writer.wait_closed()
    assert status.split()[1] in {b"400", b"502", b"200"}
    assert (await browser.get("/")).status_code == 200
