"""Browser terminals against a real SSH server with real shells."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gateway import shell_registry, terminals
from gateway.shells import SCROLLBACK_BYTES
from livelessons.models import LiveLesson
from livelessons.states import Desired, State
from tests.integration.gateway.conftest import RunningGateway, Terminal
from tests.integration.gateway.ssh_server import SshServer
from tests.waiting import PATIENCE


@pytest.fixture
def running(ssh: SshServer, make_running: Callable[..., LiveLesson]) -> LiveLesson:
    return make_running({22: ssh.port})


@pytest.fixture
async def terminal(gateway: RunningGateway, running: LiveLesson) -> AsyncIterator[Terminal]:
    async with gateway.terminal(running) as socket:
        terminal = Terminal(socket)
        await terminal.hello()
        yield terminal


async def closing(socket: ClientConnection) -> tuple[int, str, list[dict[str, str]]]:
    """Read to the end; return close code, reason and the messages before it."""
    async with asyncio.timeout(PATIENCE):
        messages = [json.loads(frame) async for frame in frames(socket) if isinstance(frame, str)]
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or "", messages


async def frames(socket: ClientConnection) -> AsyncIterator[str | bytes]:
    """Yield every frame until the other side closes, whatever the code."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            yield await socket.recv()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something that has no event of its own is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_command_runs_in_the_endpoint(terminal: Terminal):
    assert b"4711" in await terminal.run("echo $((4700 + 11))")


async def test_the_learner_never_sees_the_credentials(terminal: Terminal, ssh: SshServer):
    output = await terminal.run("env")

    assert len(ssh.passwords) == 1
    assert ssh.passwords[0].encode() not in output
    assert ssh.passwords[0] not in json.dumps(terminal.messages)


async def test_text_is_utf8_both_ways(terminal: Terminal):
    assert "žluťoučký 🐎".encode() in await terminal.run("echo 'žluťoučký 🐎'")


async def test_the_first_size_and_a_resize_reach_the_shell(
    gateway: RunningGateway, running: LiveLesson
):
    async with gateway.terminal(running, "cols=101&rows=33") as socket:
        terminal = Terminal(socket)
        assert b"33 101" in await terminal.run("stty size")
        await socket.send(json.dumps({"type": "resize", "cols": 132, "rows": 50}))
        assert b"50 132" in await terminal.run("stty size")


@pytest.mark.parametrize(
    "nonsense",
    ["", "{", "[]", '"resize"', '{"type":"resize"}', '{"type":"resize","cols":"x","rows":{}}',
     '{"type":"resize","cols":-5,"rows":99999999}', '{"type":"shown"}',
     '{"type":"shown","bytes":1e999}', '{"type":"shown","bytes":-1}',
     '{"type":"resize","cols":1e999,"rows":1}',
     '{"type":"who knows"}'],
)  # fmt: skip
async def test_nonsense_changes_nothing(terminal: Terminal, nonsense: str):
    await terminal.socket.send(nonsense)

    assert b"still here" in await terminal.run("echo still here")


LAST_NUMBER = 2_650_000
"""Counting up to here prints 20 MB."""


def counted() -> bytes:
    return b"".join(b"%d\n" % number for number in range(1, LAST_NUMBER + 1))


async def count(terminal: Terminal) -> None:
    """Print 20 MB between two marks, byte for byte."""
    await terminal.type(f"stty -opost; printf 'BEG''IN\\n'; seq {LAST_NUMBER}; printf 'EN''D\\n'")


async def test_twenty_megabytes_arrive_whole(terminal: Terminal):
    await count(terminal)
    await terminal.until(b"BEGIN\n")
    received = await terminal.until(b"END\n")

    expected = counted()
    assert len(expected) > 20_000_000
    assert hashlib.sha256(received[: -len(b"END\n")]).digest() == hashlib.sha256(expected).digest()


async def test_a_slow_browser_slows_the_shell_and_loses_nothing(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson
):
    await count(terminal)
    await terminal.until(b"BEGIN\n")
    (shell,) = gateway.application.shells.shells
    held = -1
    async with asyncio.timeout(PATIENCE):
        # Nobody reads the socket: what is under way fills up, and then all stands still.
        while (taken := shell.bytes_taken) != held:
            held = taken
            await asyncio.sleep(0.2)
    assert held < 16_000_000

    received = await terminal.until(b"END\n")
    assert hashlib.sha256(received[: -len(b"END\n")]).digest() == hashlib.sha256(counted()).digest()


async def test_a_screen_that_shows_slowly_is_sent_no_more_than_its_window(
    gateway: RunningGateway, running: LiveLesson
):
    async with gateway.terminal(running, "window=10000") as socket:
        terminal = Terminal(socket)
        await terminal.hello()
        await terminal.type("seq 100000; echo do''ne")
        while len(terminal.output) < 10_000:
            await terminal.read()
        assert len(terminal.output) == 10_000
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.3)

        shown = 0
        while b"done\r\n" not in terminal.output[-100:]:
            new = len(terminal.output) - shown
            shown += new
            await socket.send(json.dumps({"type": "shown", "bytes": new}))
            await terminal.read()
            assert len(terminal.output) - shown <= 10_000
        assert len(terminal.output) > 600_000


async def test_the_shell_comes_back_with_its_scrollback(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson, ssh: SshServer
):
    await terminal.run("learned=something; echo before")
    shell = terminal.messages[0]["id"]
    await terminal.socket.close()

    async with gateway.terminal(running, f"terminal={shell}") as socket:
        back = Terminal(socket)
        hello = await back.hello()
        assert (hello["id"], hello["resumed"]) == (shell, True)
        assert b"before" in await back.until(b"MARK\r\n")
        assert b"something" in await back.run("echo $learned", mark="AGAIN")
    assert len(ssh.shells) == 1


async def test_the_replay_is_as_long_as_announced_and_bounded(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson
):
    await terminal.run("seq 100000")
    await terminal.socket.close()

    async with gateway.terminal(running, f"terminal={terminal.messages[0]['id']}") as socket:
        back = Terminal(socket)
        hello = await back.hello()
        while len(back.output) < hello["replay"]:
            await back.read()
        assert SCROLLBACK_BYTES * 0.9 < hello["replay"] <= SCROLLBACK_BYTES
        lines = back.output.split(b"\r\n")
        assert lines[-2] == b"MARK"
        # It begins with a whole line.
        assert int(lines[1]) == int(lines[0]) + 1


async def test_output_goes_on_while_nobody_looks(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson, ssh: SshServer
):
    await terminal.type("seq 400000; echo do''ne")
    await terminal.socket.close()
    (shell,) = gateway.application.shells.shells
    await until(lambda: shell.bytes_taken > 2_000_000)

    async with gateway.terminal(running, f"terminal={shell.id}") as socket:
        back = Terminal(socket)
        await back.until(b"done\r\n")


async def test_every_tab_has_a_shell_of_its_own(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson, ssh: SshServer
):
    async with gateway.terminal(running) as socket:
        other = Terminal(socket)
        assert (await other.hello())["id"] != terminal.messages[0]["id"]
        await terminal.run("mine=1")
        assert b"[]" in await other.run("echo [$mine]")
    assert len(ssh.shells) == 2


async def test_the_newest_that_asks_for_a_shell_takes_it_over(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson
):
    async with gateway.terminal(running, f"terminal={terminal.messages[0]['id']}") as socket:
        newest = Terminal(socket)
        assert (await newest.hello())["resumed"]
        code, reason, messages = await closing(terminal.socket)
        assert (code, messages[-1]["code"]) == (terminals.Close.TAKEN_OVER, "taken_over")
        assert "elsewhere" in reason
        assert b"still mine" in await newest.run("echo still mine")


async def test_a_browser_that_stopped_reading_can_be_taken_over(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson
):
    await count(terminal)
    await terminal.until(b"BEGIN\n")
    (shell,) = gateway.application.shells.shells

    async with gateway.terminal(running, f"terminal={shell.id}") as socket:
        newest = Terminal(socket)
        await newest.hello()
        await newest.until(b"END\n")


async def test_a_shell_that_is_gone_is_replaced_by_one_that_says_so(
    gateway: RunningGateway, running: LiveLesson
):
    async with gateway.terminal(running, "terminal=of-before-the-restart") as socket:
        terminal = Terminal(socket)
        assert not (await terminal.hello())["resumed"]
        await terminal.until(b"this is a new one")
        await terminal.run("echo works")


async def test_nobody_gets_at_a_shell_of_another_livelesson(
    gateway: RunningGateway,
    terminal: Terminal,
    ssh: SshServer,
    make_running: Callable[..., LiveLesson],
):
    other = await sync_to_async(make_running)({22: ssh.port})
    async with gateway.terminal(other, f"terminal={terminal.messages[0]['id']}") as socket:
        hello = await Terminal(socket).hello()
        assert not hello["resumed"]
        assert hello["id"] != terminal.messages[0]["id"]


async def test_a_shell_that_nobody_comes_back_to_ends(
    gateway: RunningGateway,
    terminal: Terminal,
    ssh: SshServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(shell_registry, "GRACE_SECONDS", 0.05)
    await terminal.socket.close()
    async with asyncio.timeout(PATIENCE):
        await ssh.shells[0].wait()
    await until(lambda: not gateway.application.shells.shells)


async def test_exit_closes_the_terminal_after_its_last_output(terminal: Terminal):
    await terminal.type("seq 20000; exit")
    output = b"".join([f async for f in frames(terminal.socket) if isinstance(f, bytes)])
    assert terminal.socket.close_code == terminals.Close.SHELL_ENDED
    assert b"\r\n20000\r\n" in output


async def test_a_lost_endpoint_closes_the_terminal_with_a_sentence(
    terminal: Terminal, ssh: SshServer
):
    for connection in list(ssh.connections):
        connection.abort()
    code, reason, _ = await closing(terminal.socket)
    assert (code, reason) == (
        terminals.Close.UNREACHABLE,
        "The connection to the endpoint was lost.",
    )


@pytest.mark.parametrize(
    "changes",
    [{"desired": Desired.GONE}, {"state": State.FAILED}, {"state": State.DELETED}],
    ids=["ended", "failed", "deleted"],
)
async def test_the_end_of_the_lesson_closes_its_terminals(
    terminal: Terminal, running: LiveLesson, changes: dict[str, str]
):
    await LiveLesson.objects.filter(pk=running.pk).aupdate(version=99, **changes)

    code, reason, _ = await closing(terminal.socket)
    assert (code, reason) == (terminals.Close.LESSON_ENDED, "The lesson has ended.")


async def test_a_restart_of_the_lesson_closes_its_terminals(
    terminal: Terminal, running: LiveLesson
):
    await LiveLesson.objects.filter(pk=running.pk).aupdate(version=99, attempt=2)

    code, reason, _ = await closing(terminal.socket)
    assert (code, "restarted" in reason) == (terminals.Close.NOT_NOW, True)


async def test_a_stage_change_leaves_the_shell_alone(
    gateway: RunningGateway, terminal: Terminal, running: LiveLesson
):
    await terminal.run("kept=yes")
    await LiveLesson.objects.filter(pk=running.pk).aupdate(
        version=99, state=State.CONFIGURATION, stage=1
    )
    async for seen in gateway.application.watcher.follow(running.pk):
        assert seen is not None
        if seen.version == 99:
            break
    assert b"yes" in await terminal.run("echo $kept", mark="AGAIN")


async def test_typing_counts_as_use_of_livelesson_and_session(
    terminal: Terminal, gateway: RunningGateway, running: LiveLesson
):
    old = timezone.now() - timedelta(hours=1)
    await LiveLesson.objects.filter(pk=running.pk).aupdate(last_active_at=old)
    gateway.application.usage.forget()
    await terminal.type("echo I am here")

    async with asyncio.timeout(PATIENCE):
        while True:
            await running.arefresh_from_db()
            if running.last_active_at > old:
                break
            await asyncio.sleep(0.02)


async def test_without_a_session_there_is_no_terminal(
    gateway: RunningGateway, running: LiveLesson, ssh: SshServer
):
    async with gateway.terminal(running, secret="") as socket:
        code, _, messages = await closing(socket)
    assert (code, messages[0]["code"]) == (terminals.Close.NO_SESSION, "session_not_found")
    assert not ssh.passwords


async def test_another_session_finds_nothing(
    gateway: RunningGateway,
    running: LiveLesson,
    make_session: Callable[..., object],
    ssh: SshServer,
):
    stranger = await sync_to_async(make_session)()
    async with gateway.terminal(running, secret=stranger.secret) as socket:  # type: ignore[attr-defined]
        code, _, messages = await closing(socket)
    assert (code, messages[0]["code"]) == (terminals.Close.NOT_FOUND, "livelesson_not_found")
    assert not ssh.passwords


@pytest.mark.parametrize("path", ["linux1/nothing", "nowhere/cli"])
async def test_an_unknown_presentation_is_named(
    gateway: RunningGateway, running: LiveLesson, path: str
):
    async with gateway.terminal(running, path=path) as socket:
        code, _, messages = await closing(socket)
    assert (code, messages[0]["code"]) == (terminals.Close.NOT_FOUND, "presentation_not_found")


@pytest.mark.parametrize("query", ["cols=many", "rows=%20", "cols=1e3", "window=wide"])
async def test_a_size_that_is_none_is_refused(
    gateway: RunningGateway, running: LiveLesson, query: str
):
    async with gateway.terminal(running, query) as socket:
        code, _, _ = await closing(socket)
    assert code == terminals.Close.INVALID


@pytest.mark.parametrize(
    ("state", "close"),
    [
        (State.INITIALIZED, terminals.Close.NOT_NOW),
        (State.BOOTING, terminals.Close.NOT_NOW),
        (State.FAILED, terminals.Close.LESSON_ENDED),
        (State.DELETING, terminals.Close.LESSON_ENDED),
    ],
)
async def test_the_state_must_allow_a_terminal(
    gateway: RunningGateway,
    ssh: SshServer,
    make_running: Callable[..., LiveLesson],
    state: State,
    close: terminals.Close,
):
    live_lesson = await sync_to_async(make_running)({22: ssh.port}, state=state)
    async with gateway.terminal(live_lesson) as socket:
        code, _, _ = await closing(socket)
    assert code == close


async def test_a_refused_login_is_said_without_the_password(
    gateway: RunningGateway, running: LiveLesson, ssh: SshServer
):
    ssh.refuses = True
    async with gateway.terminal(running) as socket:
        code, reason, messages = await closing(socket)
    assert code == terminals.Close.UNREACHABLE
    assert "refused the login" in reason
    assert ssh.passwords[0] not in json.dumps(messages)


async def test_an_endpoint_that_does_not_answer_is_given_up(
    gateway: RunningGateway,
    running: LiveLesson,
    ssh: SshServer,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("gateway.shells.LOGIN_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr("gateway.shells.CONNECT_TIMEOUT_SECONDS", 0.1)
    ssh.delay = 5
    async with gateway.terminal(running) as socket:
        code, reason, _ = await closing(socket)
    assert (code, "in time" in reason) == (terminals.Close.UNREACHABLE, True)


async def test_a_livelesson_has_so_many_terminals_and_no_more(
    gateway: RunningGateway, running: LiveLesson, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shell_registry, "SHELLS_PER_LIVELESSON", 2)
    async with gateway.terminal(running) as first, gateway.terminal(running) as second:
        await Terminal(first).hello()
        await Terminal(second).hello()
        async with gateway.terminal(running) as third:
            code, _, messages = await closing(third)
        assert (code, messages[0]["code"]) == (terminals.Close.TOO_MANY, "too_many_terminals")
        await first.close()
        await until(lambda: gateway.application.shells.left_count)
        # A shell that its browser left makes room.
        async with gateway.terminal(running) as third:
            assert "id" in await Terminal(third).hello()


async def test_a_page_of_ours_may_use_the_cookie(gateway: RunningGateway, running: LiveLesson):
    headers = {"Cookie": f"syringe_session={running.session.secret}"}  # type: ignore[attr-defined]
    origin = f"http://{gateway.address}"
    async with gateway.terminal(running, secret="", headers=headers, origin=origin) as socket:
        assert "id" in await Terminal(socket).hello()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None, "http://127.0.0.1:1"])
async def test_a_page_of_others_may_not(
    gateway: RunningGateway, running: LiveLesson, ssh: SshServer, origin: str | None
):
    headers = {"Cookie": f"syringe_session={running.session.secret}"}  # type: ignore[attr-defined]
    with pytest.raises(InvalidStatus) as refused:
        await gateway.terminal(running, secret="", headers=headers, origin=origin)
    assert refused.value.response.status_code == 403
    assert not ssh.passwords


async def test_a_name_that_points_at_us_does_not_make_a_page_ours(
    gateway: RunningGateway, running: LiveLesson
):
    headers = {
        "Cookie": f"syringe_session={running.session.secret}",  # type: ignore[attr-defined]
        "Host": "rebound.example",
    }
    with pytest.raises(InvalidStatus):
        await gateway.terminal(running, secret="", headers=headers, origin="http://rebound.example")


async def test_a_page_elsewhere_that_holds_the_secret_passes_it_as_subprotocol(
    gateway: RunningGateway, running: LiveLesson
):
    secret = running.session.secret  # type: ignore[attr-defined]
    async with gateway.terminal(
        running, secret="", origin="https://front-end.example",
        subprotocols=["syringe.terminal", f"bearer.{secret}"],
    ) as socket:  # fmt: skip
        assert socket.subprotocol == "syringe.terminal"
        assert "id" in await Terminal(socket).hello()


async def test_other_addresses_have_no_websocket(gateway: RunningGateway):
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{gateway.address}/admin/")
    assert refused.value.response.status_code == 403
