"""Terminals of the existing front end against a real SSH server with real shells."""

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import LazySettings
from django.utils import timezone
from websockets.exceptions import InvalidStatus

from gateway import shell_registry, socketio_sessions, socketio_terminals
from gateway.shells import SCROLLBACK_BYTES
from livelessons.exp.entities import live_lesson_entity
from livelessons.models import LiveLesson
from livelessons.selectors import live_lesson_by_id
from livelessons.states import Desired, State
from livelessons.terminal_tokens import LIFETIME
from tests.integration.gateway.conftest import RunningGateway
from tests.integration.gateway.socketio_page import Page, payload
from tests.integration.gateway.ssh_server import SshServer
from tests.waiting import PATIENCE


@pytest.fixture
def running(ssh: SshServer, make_running: Callable[..., LiveLesson]) -> LiveLesson:
    return make_running({22: ssh.port})


def login_of(live_lesson: LiveLesson, now: datetime | None = None) -> dict[str, str]:
    """Return what the page takes from ``/exp`` and puts in the query."""
    entity = live_lesson_entity(live_lesson_by_id(live_lesson.pk), now=now or timezone.now())
    endpoint = entity["LiveEndpoints"]["linux1"]  # type: ignore[index]
    return {
        "host": endpoint["Host"],
        "port": str(endpoint["LivePresentations"][0]["Port"]),
        "username": endpoint["SSHUser"],
        "userpassword": endpoint["SSHPassword"],
    }


@pytest.fixture
def login(running: LiveLesson) -> dict[str, str]:
    return login_of(running)


@pytest.fixture
async def make_page(browser: httpx.AsyncClient) -> AsyncIterator[Callable[..., Page]]:
    pages: list[Page] = []

    def make(login: dict[str, str]) -> Page:
        pages.append(Page(browser, login))
        return pages[-1]

    yield make
    for page in pages:
        await page.leave()


@pytest.fixture(params=["polling", "upgraded", "websocket"])
async def page(
    request: pytest.FixtureRequest,
    gateway: RunningGateway,
    make_page: Callable[..., Page],
    login: dict[str, str],
) -> Page:
    """A page with an open shell, over each way to have one."""
    page = make_page(login)
    if request.param == "websocket":
        await page.open_socket()
    else:
        await page.open()
    if request.param == "upgraded":
        await page.upgrade()
    await page.emit("geometry", 80, 24)
    await page.until("$ ")
    return page


@pytest.fixture
async def polling(make_page: Callable[..., Page], login: dict[str, str]) -> Page:
    """A page with an open shell that never upgrades."""
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.until("$ ")
    return page


@pytest.fixture
async def upgraded(make_page: Callable[..., Page], login: dict[str, str]) -> Page:
    """A page with an open shell that did what browsers do."""
    page = make_page(login)
    await page.open()
    await page.upgrade()
    await page.emit("geometry", 80, 24)
    await page.until("$ ")
    return page


async def until(condition: Callable[[], object]) -> None:
    """Wait until something that has no event of its own is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_handshake_is_as_the_protocol_says(
    gateway: RunningGateway, make_page: Callable[..., Page], login: dict[str, str]
):
    page = make_page(login)
    response = await page.get()

    length, _, rest = response.text.partition(":")
    opening, end = rest[: int(length)], rest[int(length) :]
    assert end == "2:40"
    hello = json.loads(opening.removeprefix("0"))
    assert hello.keys() == {"sid", "upgrades", "pingInterval", "pingTimeout"}
    assert hello["upgrades"] == ["websocket"]
    page.sid = hello["sid"]


async def test_a_command_runs_in_the_endpoint(page: Page):
    assert "4711" in await page.run("echo $((4700 + 11))")


async def test_the_credentials_stay_in_the_gateway(page: Page, ssh: SshServer):
    output = await page.run("env")

    assert len(ssh.passwords) == 1
    assert ssh.passwords[0] not in output
    assert ssh.passwords[0] != page.login["userpassword"]


async def test_text_is_unicode_both_ways(page: Page):
    assert "žluťoučký 🐎🐎" in await page.run("echo 'žluťoučký 🐎🐎'")


async def test_characters_survive_being_cut_anywhere(page: Page):
    # Three bytes, four bytes and a shift of one: every chunk ends within some character.
    loop = "for i in $(seq 20000); do printf '€🐎'; done"
    await page.type(f"stty -opost; printf 'BEG''INx'; {loop}; printf 'EN''D'")
    await page.until("BEGINx")
    assert await page.until("END") == "€🐎" * 20000 + "END"


async def test_bytes_that_are_no_text_do_no_harm(page: Page):
    assert "[\ufffd]" in await page.run(r"printf '[\377]'")


async def test_the_first_size_and_a_resize_reach_the_shell(
    gateway: RunningGateway, make_page: Callable[..., Page], login: dict[str, str]
):
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 101, 33)
    assert "33 101" in await page.run("stty size")
    await page.emit("resize", {"cols": 132, "rows": 50})
    assert "50 132" in await page.run("stty size")


@pytest.mark.parametrize(
    "packet",
    [
        '42["geometry"]', '42["geometry",null,null]', '42["geometry","x",{}]',
        '42["geometry",1e999,1]', '42["geometry",-5,99999999]',
    ],
)  # fmt: skip
async def test_a_size_that_is_none_opens_a_shell_all_the_same(
    make_page: Callable[..., Page], login: dict[str, str], packet: str
):
    page = make_page(login)
    await page.open()
    await page.say(packet)
    assert "still here" in await page.run("echo still here")


@pytest.mark.parametrize(
    "packet",
    [
        '42["resize"]', '42["resize",{}]', '42["resize",{"cols":"x","rows":1}]', '42["data"]',
        '42["data",{"text":"x"}]', '42["who knows",1]', "42", "42[", "40", "4", "43[]", "6",
        "3", "5", "0{}", '42["data","\\ud83d"]',
    ],
)  # fmt: skip
async def test_nonsense_changes_nothing(polling: Page, packet: str):
    await polling.say(packet)
    await polling.emit("data", "\x15")
    assert "still here" in await polling.run("echo still here")


async def test_a_ping_is_answered(page: Page):
    await page.say("2")
    while "3" not in page.packets:
        await page.read()


async def test_many_pings_need_no_more_than_one_answer(polling: Page):
    await polling.say(*["2"] * 1000)
    await polling.poll()
    assert polling.packets.count("3") == 1


async def test_what_was_typed_before_the_upgrade_is_not_lost(
    make_page: Callable[..., Page], login: dict[str, str]
):
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.emit("data", "echo be")
    await page.upgrade()
    await page.emit("data", "fore; echo af''ter\r")
    assert "before\r\n" in await page.until("after\r\n")


async def test_output_of_every_moment_of_the_upgrade_arrives_in_order(
    make_page: Callable[..., Page], login: dict[str, str]
):
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.type("stty -opost -echo; printf 'BEG''IN'; seq 100000; printf 'EN''D'")
    await page.until("BEGIN")
    await page.upgrade()

    numbers = "".join(f"{number}\n" for number in range(1, 100_001))
    assert await page.until("END") == numbers + "END"


async def test_a_probe_that_fails_leaves_polling_as_it_was(polling: Page):
    async with polling.websocket() as socket:
        await socket.send("2probe")
        assert await socket.recv() == "3probe"
    assert "still here" in await polling.run("echo still here")
    await polling.upgrade()
    assert "and here" in await polling.run("echo and here")


@pytest.mark.parametrize("frames", [["2"], ["5"], ["x"], [b"2probe"], ["2probe", "2probe"]])
async def test_a_probe_that_is_none_is_ended(polling: Page, frames: list[str | bytes]):
    async with polling.websocket() as socket:
        for frame in frames:
            await socket.send(frame)
        async with asyncio.timeout(PATIENCE):
            await socket.wait_closed()
    assert "still here" in await polling.run("echo still here")


async def test_a_probe_that_hangs_is_given_up(polling: Page, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(socketio_terminals, "UPGRADE_TIMEOUT_SECONDS", 0.05)
    async with polling.websocket() as socket:
        await socket.wait_closed()
    assert "still here" in await polling.run("echo still here")


async def test_a_session_has_one_websocket(upgraded: Page):
    with pytest.raises(InvalidStatus):
        await upgraded.websocket()
    assert (await upgraded.get()).status_code == 400
    assert (await upgraded.post("2")).status_code == 400
    assert "still here" in await upgraded.run("echo still here")


LAST_NUMBER = 750_000
"""Counting up to here prints 5 MB."""


async def count(page: Page, last: int) -> str:
    """Print numbers between two marks, byte for byte; return their digest as it should be."""
    await page.type(f"stty -opost; printf 'BEG''IN\\n'; seq {last}; printf 'EN''D\\n'")
    await page.until("BEGIN\n")
    numbers = "".join(f"{number}\n" for number in range(1, last + 1))
    return hashlib.sha256(numbers.encode()).hexdigest()


async def test_five_megabytes_arrive_whole_over_the_websocket(upgraded: Page):
    expected = await count(upgraded, LAST_NUMBER)
    received = (await upgraded.until("END\n")).removesuffix("END\n")

    assert len(received) > 5_000_000
    assert hashlib.sha256(received.encode()).hexdigest() == expected


async def test_a_megabyte_arrives_whole_by_polling(polling: Page):
    expected = await count(polling, 180_000)
    received = (await polling.until("END\n")).removesuffix("END\n")

    assert len(received) > 1_000_000
    assert hashlib.sha256(received.encode()).hexdigest() == expected


async def test_a_page_that_does_not_ask_slows_the_shell_and_loses_nothing(
    gateway: RunningGateway, polling: Page
):
    expected = await count(polling, LAST_NUMBER)
    (shell,) = gateway.application.shells.shells
    held = -1
    async with asyncio.timeout(PATIENCE):
        while (taken := shell.bytes_taken) != held:
            held = taken
            await asyncio.sleep(0.2)
    assert held - len(polling.shown) < 2 * SCROLLBACK_BYTES

    received = (await polling.until("END\n")).removesuffix("END\n")
    assert hashlib.sha256(received.encode()).hexdigest() == expected


async def test_a_long_paste_arrives_whole(page: Page):
    lines = [f"line {number} 🐎" for number in range(4000)]
    await page.type("stty -echo; cat > /dev/null; stty echo; echo do''ne")
    await page.until("echo do''ne\r\n")
    await page.emit("data", "\r".join(lines) + "\r\x04")
    await page.until("done\r\n")


@pytest.mark.parametrize("way", ["polling", "websocket"])
@pytest.mark.parametrize(
    "change",
    [
        {"userpassword": "antidotepassword"},
        {"userpassword": ""},
        {"userpassword": "x" * 5000},
        {"port": "23"},
        {"port": "0022"},
        {"port": ""},
        {"port": "²²"},
        {"host": "127.0.0.1"},
        {"host": ""},
        {"username": "root"},
    ],
    ids=str,
)
async def test_what_was_not_handed_out_is_refused(
    gateway: RunningGateway,
    make_page: Callable[..., Page],
    login: dict[str, str],
    ssh: SshServer,
    way: str,
    change: dict[str, str],
):
    page = make_page(login | change)
    if way == "polling":
        await page.open()
    else:
        await page.open_socket()
        await page.read_to_the_end()

    assert page.hello["upgrades"] == []
    assert page.errors == ["This terminal's password is not valid, or no longer."]
    assert page.disconnected
    assert gateway.application.socketio_terminals.sessions == []
    # The page says this before it has read that it was refused.
    assert (await page.post('42["geometry",80,24]')).text == "ok"
    assert (await page.get()).json()["code"] == 1
    assert gateway.application.socketio_terminals.sessions == []
    assert not ssh.connections
    assert not ssh.passwords
    page.closed = True


async def test_a_query_without_a_login_is_refused(browser: httpx.AsyncClient, ssh: SshServer):
    page = Page(browser, {})
    await page.open()
    assert (len(page.errors), page.disconnected) == (1, True)


async def test_a_token_that_was_tampered_with_is_refused(
    make_page: Callable[..., Page], login: dict[str, str], ssh: SshServer
):
    token = login["userpassword"]
    for place in range(0, len(token), 7):
        other = "A" if token[place] != "A" else "B"
        page = make_page(login | {"userpassword": token[:place] + other + token[place + 1 :]})
        await page.open()
        assert page.disconnected
        page.closed = True
    assert not ssh.passwords


async def test_a_token_expires_but_not_the_terminal_it_opened(
    make_page: Callable[..., Page], running: LiveLesson, ssh: SshServer
):
    old = timezone.now() - LIFETIME
    page = make_page(await sync_to_async(login_of)(running, old))
    await page.open()
    assert page.disconnected
    page.closed = True
    assert not ssh.passwords

    nearly = make_page(await sync_to_async(login_of)(running, old + timedelta(seconds=2)))
    await nearly.open()
    await nearly.emit("geometry", 80, 24)
    await asyncio.sleep(2)
    assert "still here" in await nearly.run("echo still here")


async def test_a_token_of_one_endpoint_opens_no_other(
    make_page: Callable[..., Page],
    make_running: Callable[..., LiveLesson],
    login: dict[str, str],
    ssh: SshServer,
):
    other = await sync_to_async(make_running)({22: ssh.port})
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.until("$ ")
    # The password of the other livelesson's environment is another one.
    stranger = make_page(await sync_to_async(login_of)(other))
    await stranger.open()
    await stranger.emit("geometry", 80, 24)
    await stranger.until("$ ")
    assert len(set(ssh.passwords)) == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"state": State.BOOTING}, "The lesson is not ready yet."),
        ({"state": State.FAILED}, "The lesson has ended."),
        ({"desired": Desired.GONE}, "The lesson has ended."),
    ],
    ids=["booting", "failed", "ended"],
)
async def test_the_state_must_allow_a_terminal(
    make_page: Callable[..., Page],
    running: LiveLesson,
    login: dict[str, str],
    ssh: SshServer,
    changes: dict[str, str],
    sentence: str,
):
    await LiveLesson.objects.filter(pk=running.pk).aupdate(**changes)
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.read_to_the_end()

    assert (page.errors, page.disconnected) == ([sentence], True)
    assert not ssh.passwords


async def test_a_refused_login_is_said_without_the_password(
    make_page: Callable[..., Page], login: dict[str, str], ssh: SshServer
):
    ssh.refuses = True
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.read_to_the_end()

    (error,) = page.errors
    assert "refused the login" in error
    assert ssh.passwords[0] not in error


async def test_exit_ends_the_terminal_after_its_last_output(page: Page):
    await page.type("seq 20000; exit")
    await page.read_to_the_end()

    assert "\r\n20000\r\n" in page.shown
    assert (page.errors, page.disconnected) == (["The shell ended."], True)


async def test_a_lost_endpoint_ends_the_terminal(page: Page, ssh: SshServer):
    for connection in list(ssh.connections):
        connection.abort()
    await page.read_to_the_end()
    assert page.errors == ["The connection to the endpoint was lost."]


async def test_the_end_of_the_lesson_ends_its_terminals(page: Page, running: LiveLesson):
    await LiveLesson.objects.filter(pk=running.pk).aupdate(version=99, desired=Desired.GONE)
    await page.read_to_the_end()

    assert (page.errors, page.disconnected) == (["The lesson has ended."], True)


async def test_the_shell_ends_with_its_page(gateway: RunningGateway, page: Page, ssh: SshServer):
    await page.leave()
    page.closed = True

    async with asyncio.timeout(PATIENCE):
        await ssh.shells[0].wait()
    assert gateway.application.socketio_terminals.sessions == []
    assert not gateway.application.shells.shells


async def test_a_page_that_says_goodbye_is_gone(gateway: RunningGateway, polling: Page):
    await polling.say("41")
    await until(lambda: not gateway.application.shells.shells)
    assert (await polling.get()).json() == {"code": 1, "message": "Session ID unknown"}
    polling.closed = True


async def test_a_poll_that_is_broken_off_ends_the_session(gateway: RunningGateway, polling: Page):
    with contextlib.suppress(httpx.ReadTimeout):
        await polling.browser.get("/socket.io/", params=polling.query(), timeout=0.3)
    await until(lambda: not gateway.application.socketio_terminals.sessions)
    await until(lambda: not gateway.application.shells.shells)
    polling.closed = True


async def test_a_silent_page_is_forgotten(
    gateway: RunningGateway,
    make_page: Callable[..., Page],
    login: dict[str, str],
    ssh: SshServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(socketio_sessions, "PING_SECONDS", 0.2)
    monkeypatch.setattr(socketio_sessions, "PONG_SECONDS", 0.2)
    page = make_page(login)
    await page.open()
    await page.emit("geometry", 80, 24)
    await page.until("$ ")
    # Every word counts.
    for _ in range(6):
        await asyncio.sleep(0.1)
        await page.say("2")
    assert gateway.application.socketio_terminals.sessions

    await until(lambda: not gateway.application.socketio_terminals.sessions)
    await until(lambda: not gateway.application.shells.shells)
    page.closed = True


async def test_a_silent_websocket_is_closed(
    gateway: RunningGateway,
    make_page: Callable[..., Page],
    login: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(socketio_sessions, "PING_SECONDS", 0.1)
    monkeypatch.setattr(socketio_sessions, "PONG_SECONDS", 0.1)
    page = make_page(login)
    await page.open_socket()
    await page.read_to_the_end()
    assert gateway.application.socketio_terminals.sessions == []


async def test_typing_counts_as_use(page: Page, gateway: RunningGateway, running: LiveLesson):
    old = timezone.now() - timedelta(hours=1)
    await LiveLesson.objects.filter(pk=running.pk).aupdate(last_active_at=old)
    gateway.application.usage.forget()
    await page.type("echo I am here")

    async with asyncio.timeout(PATIENCE):
        while True:
            await running.arefresh_from_db()
            if running.last_active_at > old:
                break
            await asyncio.sleep(0.02)


async def test_a_livelesson_has_so_many_sessions_and_no_more(
    make_page: Callable[..., Page], login: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shell_registry, "SHELLS_PER_LIVELESSON", 2)
    first, second, third = (make_page(login) for _ in range(3))
    await first.open()
    await second.open()
    await third.open()
    assert third.disconnected
    assert third.errors == ["This lesson already has 2 terminals open. Close one to open another."]
    third.closed = True

    await first.leave()
    first.closed = True
    fourth = make_page(login)
    await fourth.open()
    assert not fourth.disconnected


async def test_both_kinds_of_terminals_share_one_limit(
    gateway: RunningGateway,
    running: LiveLesson,
    make_page: Callable[..., Page],
    login: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(shell_registry, "SHELLS_PER_LIVELESSON", 1)
    async with gateway.terminal(running) as socket:
        await socket.recv()
        page = make_page(login)
        await page.open()
        await page.emit("geometry", 80, 24)
        await page.read_to_the_end()
    assert "already has 1 terminals" in page.errors[0]


async def test_the_gateway_has_so_many_sessions_and_no_more(
    make_page: Callable[..., Page], login: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(socketio_terminals, "MAX_SESSIONS", 1)
    await make_page(login).open()
    page = make_page(login)
    await page.open()
    assert page.errors == ["Too many terminals are open. Try again in a few minutes."]
    page.closed = True


async def test_a_gateway_that_stops_lets_pages_come_back_by_themselves(
    gateway: RunningGateway, page: Page
):
    gateway.application.close()
    await page.read_to_the_end()

    # After the last word of Socket.IO a page would stay away.
    assert not page.disconnected
    assert not page.errors
    if page.socket is not None:
        assert page.socket.close_code == 1012


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"EIO": "4"}, 5),
        ({"EIO": ""}, 5),
        ({"transport": "websocket"}, 0),
        ({"transport": ""}, 0),
        ({"sid": "nobody"}, 1),
        ({"sid": ""}, 1),
        ({"j": "0"}, 3),
    ],
)
async def test_requests_of_other_protocols_are_refused(
    make_page: Callable[..., Page], login: dict[str, str], changes: dict[str, str], code: int
):
    response = await make_page(login).get(**changes)
    assert (response.status_code, response.json()["code"]) == (400, code)


async def test_a_handshake_is_a_get(make_page: Callable[..., Page], login: dict[str, str]):
    response = await make_page(login).post("2")
    assert (response.status_code, response.json()["code"]) == (400, 2)


async def test_a_session_has_one_poll_at_a_time(gateway: RunningGateway, polling: Page):
    (session,) = gateway.application.socketio_terminals.sessions
    waiting = asyncio.create_task(polling.poll())
    await until(lambda: session.polling)
    refused = await polling.get()
    assert (refused.status_code, refused.json()["code"]) == (400, 3)

    await polling.type("echo he''re")
    await waiting
    await polling.until("here\r\n")


@pytest.mark.parametrize("body", [b"x", b"5:2", b"\xff", b"\x00\x02\xff40", b"1:2" * 5000])
async def test_a_body_that_is_none_ends_the_session(
    gateway: RunningGateway, polling: Page, body: bytes
):
    response = await polling.browser.post("/socket.io/", params=polling.query(), content=body)
    assert (response.status_code, response.json()["code"]) == (400, 3)
    assert gateway.application.socketio_terminals.sessions == []
    polling.closed = True


async def test_a_body_that_is_too_large_ends_the_session(gateway: RunningGateway, polling: Page):
    response = await polling.browser.post(
        "/socket.io/", params=polling.query(), content=payload("4" + "x" * 1024 * 1024)
    )
    assert response.status_code == 413
    assert gateway.application.socketio_terminals.sessions == []
    polling.closed = True


async def test_a_frame_that_is_none_ends_the_session(gateway: RunningGateway, upgraded: Page):
    await upgraded.say("nonsense")
    await upgraded.read_to_the_end()
    assert upgraded.socket is not None
    assert upgraded.socket.close_code == 1002


async def test_input_that_nobody_reads_is_bounded_and_the_page_can_still_leave(
    gateway: RunningGateway, polling: Page
):
    await polling.type("stty -icanon -echo; echo rea''dy; exec sleep 1000")
    await polling.until("ready\r\n")
    (session,) = gateway.application.socketio_terminals.sessions
    (shell,) = gateway.application.shells.shells
    pasted = 0

    async def paste() -> None:
        nonlocal pasted
        while not session.finished:
            await polling.emit("data", "x" * 500_000)
            pasted += 1

    pasting = asyncio.create_task(paste())
    held, still = -1, 0
    async with asyncio.timeout(PATIENCE):
        # Endpoint and gateway run in this loop: what stands still for so long is stuck.
        while still < 10:
            await asyncio.sleep(0.05)
            still = still + 1 if pasted == held and session.posting else 0
            held = pasted
    assert pasted * 500_000 < 20_000_000
    assert (await polling.post("2")).status_code == 400

    shell.close(shell_registry.End.LESSON_ENDED)
    await polling.read_to_the_end()
    assert polling.errors == ["The lesson has ended."]
    await pasting


async def test_other_origins_may_read_the_answers(
    browser: httpx.AsyncClient, login: dict[str, str]
):
    origin = {"Origin": "https://front-end.example"}
    page = Page(browser, login)
    for query in (page.query(), page.query(sid="nobody")):
        response = await browser.get("/socket.io/", params=query, headers=origin)
        assert response.headers["access-control-allow-origin"] == origin["Origin"]
        assert response.headers["access-control-allow-credentials"] == "true"
        assert "origin" in response.headers["vary"].lower()


async def test_a_preflight_is_answered(browser: httpx.AsyncClient, login: dict[str, str]):
    response = await browser.options(
        "/socket.io/",
        params=Page(browser, login).query(),
        headers={
            "Origin": "https://front-end.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == "https://front-end.example"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "content-type" in response.headers["access-control-allow-headers"]


async def test_an_installation_may_name_the_origins(
    browser: httpx.AsyncClient, login: dict[str, str], settings: LazySettings
):
    settings.CORS_ALLOW_ALL_ORIGINS = False
    settings.CORS_ALLOWED_ORIGINS = ["https://front-end.example"]
    query = Page(browser, login).query(sid="nobody")

    async def allowed(origin: str) -> str | None:
        response = await browser.get("/socket.io/", params=query, headers={"Origin": origin})
        return response.headers.get("access-control-allow-origin")

    assert await allowed("https://front-end.example") == "https://front-end.example"
    assert await allowed("https://elsewhere.example") is None


async def test_tokens_and_session_ids_are_never_logged(
    make_page: Callable[..., Page], login: dict[str, str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, logger="gateway")
    page = make_page(login)
    await page.open()
    await page.upgrade()
    await page.emit("geometry", 80, 24)
    await page.run("echo x")
    await page.leave()
    refused = make_page(login | {"port": "23"})
    await refused.open()
    refused.closed = True

    assert login["userpassword"] not in caplog.text
    assert page.sid not in caplog.text
