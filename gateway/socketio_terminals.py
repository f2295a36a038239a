"""Terminals of the existing front end: Socket.IO 2, that is Engine.IO 3, at ``/socket.io/``.

The page opens a session by a GET that names no ``sid``. Its query holds what ``/exp`` gave it as a
terminal's host, port, user and password. The password is a token, and what does not fit it gets
an ``ssherror`` and the end of the connection in the same answer: no session, no lookup, no
connection to anywhere. After that the session's id stands for all of it. (What the page still
sends after a refusal goes to an id that stands for nothing.)

A session is read by GETs that wait for something to say (one at a time) and written to by POSTs.
It moves to a WebSocket in four steps: the page opens one with its ``sid`` and sends ``2probe``;
the gateway answers ``3probe``, and the waiting GET with ``6``; the page sends ``5``. Until then
everything goes on by polling. A page may also begin with a WebSocket, or never open one.

Nothing here goes by cookies, so pages of any origin that may use ``/exp`` may use this, too.
Addresses hold tokens, and are never logged.
"""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from django.utils import timezone

from gateway import shell_registry
from gateway.asgi import ClientGone, Receive, Scope, Send
from gateway.database import Database
from gateway.engineio import CONNECTED, PROBE, PROBED, UPGRADE, Malformed, Packet, Type
from gateway.racing import race
from gateway.shell_registry import ShellRegistry, TooManyTerminals
from gateway.socketio_requests import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    UNKNOWN_SESSION,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    Problem,
    answer,
    answer_ok,
    answer_poll,
    answer_post,
    answer_preflight,
    cors_headers,
    refuse,
)
from gateway.socketio_sessions import PING_SECONDS, PONG_SECONDS, Session, refusal
from gateway.usage import Usage
from livelessons.terminal_tokens import terminal_admit
from syringe_project.errors import SyringeError, TooMany

MAX_SESSIONS = 2000
UPGRADE_TIMEOUT_SECONDS = 10.0
CLOSE_TIMEOUT_SECONDS = 2.0
_REFUSED_ID = "refused"

# Codes of a WebSocket's end, RFC 6455.
_NORMAL = 1000
_PROTOCOL_ERROR = 1002
_SERVICE_RESTART = 1012

Query = Mapping[str, str]


class GatewayFull(TooMany):
    code = "gateway_full"
    template = "Too many terminals are open. Try again in a few minutes."


class SocketIoTerminals:
    """Every Socket.IO session of this gateway."""

    def __init__(self, database: Database, shells: ShellRegistry, usage: Usage) -> None:
        self._database = database
        self._shells = shells
        self._usage = usage
        self._sessions: dict[str, Session] = {}

    @property
    def sessions(self) -> list[Session]:
        """Every session, those included that only have their last words to say."""
        return list(self._sessions.values())

    def close(self) -> None:
        """End every session; pages come back by themselves."""
        for session in self._sessions.values():
            session.restart()

    async def serve_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of long polling."""
        cors = cors_headers(scope)
        query = _query(scope)
        method = scope["method"]
        if method == "OPTIONS":
            await answer_preflight(send, cors)
        elif problem := _problem_of(query, method):
            await refuse(send, problem, cors)
        elif "sid" not in query:
            _, packets = self._greet(query, upgrades=["websocket"])
            await answer(send, packets, cors)
        elif query["sid"] == _REFUSED_ID and method == "POST":
            await answer_ok(send, cors)
        elif (session := self._sessions.get(query["sid"])) is None:
            await refuse(send, UNKNOWN_SESSION, cors)
        elif session.upgraded or (session.polling if method == "GET" else session.posting):
            await refuse(send, BAD_REQUEST, cors)
        elif method == "GET":
            await answer_poll(session, receive, send, cors)
        else:
            await answer_post(session, receive, send, cors)

    async def serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, be it a session's second transport or its first."""
        await receive()
        query = _query(scope)
        session = self._sessions.get(query["sid"]) if "sid" in query else None
        if (
            query.get("EIO") != "3"
            or query.get("transport") != "websocket"
            or ("sid" in query and (session is None or session.upgrading.is_set()))
        ):
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        with contextlib.suppress(ClientGone, OSError):
            if session is None:
                session, packets = self._greet(query, upgrades=[])
                for packet in packets:
                    await _send(send, packet)
                if session is None:
                    await _close(send, _NORMAL)
                    return
            elif not await _upgrade(session, receive, send):
                await _close(send, _PROTOCOL_ERROR)
                return
            await _converse(session, receive, send)

    def _greet(self, query: Query, *, upgrades: list[str]) -> tuple[Session | None, list[Packet]]:
        """Open a session if the query may; return the first packets in any case."""
        try:
            session = self._admit(query)
        except SyringeError as exc:
            return None, [_opening(_REFUSED_ID, []), CONNECTED, *refusal(str(exc))]
        return session, [_opening(session.id, upgrades), CONNECTED]

    def _admit(self, query: Query) -> Session:
        grant, port = terminal_admit(
            host=query.get("host", ""),
            port=query.get("port", ""),
            user=query.get("username", ""),
            password=query.get("userpassword", ""),
            now=timezone.now(),
        )
        limit = shell_registry.SHELLS_PER_LIVELESSON
        open_count = sum(
            session.live_lesson_id == grant.live_lesson_id and not session.finished
            for session in self._sessions.values()
        )
        if open_count >= limit:
            raise TooManyTerminals(limit=limit)
        if len(self._sessions) >= MAX_SESSIONS:
            raise GatewayFull
        session = Session(
            grant,
            port,
            database=self._database,
            shells=self._shells,
            usage=self._usage,
            on_gone=self._forget,
        )
        self._sessions[session.id] = session
        return session

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session.id, None)


def _opening(sid: str, upgrades: list[str]) -> Packet:
    return Packet(
        Type.OPEN,
        json.dumps(
            {
                "sid": sid,
                "upgrades": upgrades,
                "pingInterval": int(PING_SECONDS * 1000),
                "pingTimeout": int(PONG_SECONDS * 1000),
            }
        ),
    )


def _problem_of(query: Query, method: str) -> Problem | None:
    if query.get("EIO") != "3":
        return UNSUPPORTED_VERSION
    if query.get("transport") != "polling":
        return UNKNOWN_TRANSPORT
    if "sid" not in query and method != "GET":
        return BAD_HANDSHAKE_METHOD
    # With "j" the page wants a script, which pages of any origin could run.
    return BAD_REQUEST if "j" in query or method not in {"GET", "POST"} else None


def _query(scope: Scope) -> Query:
    """Return the query; of a name that occurs twice, the last value."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))


async def _upgrade(session: Session, receive: Receive, send: Send) -> bool:
    """Take a session over from polling; if the page thinks better of it, polling goes on."""
    session.upgrading.set()
    try:
        async with asyncio.timeout(UPGRADE_TIMEOUT_SECONDS):
            if await _receive(receive) != PROBE:
                return False
            await _send(send, PROBED)
            session.upgraded = await _receive(receive) == UPGRADE
    except (TimeoutError, Malformed):
        return False
    finally:
        if not session.upgraded:
            session.upgrading.clear()
    return session.upgraded


async def _converse(session: Session, receive: Receive, send: Send) -> None:
    """Be the session's transport until one side ends it."""
    code = _NORMAL

    async def hear() -> None:
        while True:
            await session.hear(await _receive(receive))

    async def tell() -> None:
        while await session.wait():
            for packet in session.take():
                await _send(send, packet)

    try:
        await race(hear(), tell(), session.gone.wait())
    except Malformed:
        code = _PROTOCOL_ERROR
    finally:
        session.close()
    await _close(send, _SERVICE_RESTART if session.restarting else code)


async def _receive(receive: Receive) -> Packet:
    message = await receive()
    if message["type"] == "websocket.disconnect":
        raise ClientGone
    return Packet.read(message.get("text") or "")


async def _send(send: Send, packet: Packet) -> None:
    await send({"type": "websocket.send", "text": str(packet)})


async def _close(send: Send, code: int) -> None:
    """Close, but do not wait for a page that reads nothing."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
            await send({"type": "websocket.close", "code": code})
