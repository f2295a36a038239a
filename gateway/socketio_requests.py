"""Requests of Engine.IO's long polling, and what answers them."""

import json

from django.conf import settings

from gateway.asgi import (
    ClientGone,
    Headers,
    Receive,
    Scope,
    Send,
    header,
    respond,
    wait_for_disconnect,
)
from gateway.engineio import Malformed, Packet, decode_payload, encode_payload
from gateway.racing import race
from gateway.socketio_sessions import Session

MAX_POST_BYTES = 1024 * 1024
PREFLIGHT_SECONDS = 600
_TEXT = "text/plain; charset=UTF-8"

Problem = tuple[int, str]

# What the protocol answers with status 400, by the numbers it has for that.
UNKNOWN_TRANSPORT = (0, "Transport unknown")
UNKNOWN_SESSION = (1, "Session ID unknown")
BAD_HANDSHAKE_METHOD = (2, "Bad handshake method")
BAD_REQUEST = (3, "Bad request")
UNSUPPORTED_VERSION = (5, "Unsupported protocol version")


class TooLarge(Exception):
    """A body has more bytes than any page has to say at once."""


def cors_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """Let pages of the origins that may use ``/exp`` read the answer.

    Their scripts ask with credentials, though none counts, so the origin has to be named.
    """
    origin = header(scope, b"origin")
    vary = (b"vary", b"origin")
    if getattr(settings, "CORS_ALLOW_ALL_ORIGINS", False) or origin in getattr(
        settings, "CORS_ALLOWED_ORIGINS", ()
    ):
        allowed = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
        ]
        return [*allowed, vary] if origin else [vary]
    return [vary]


async def answer_preflight(send: Send, cors: Headers) -> None:
    """Let a browser send its POSTs from another origin."""
    headers = [
        (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
        (b"access-control-allow-headers", b"content-type"),
        (b"access-control-max-age", str(PREFLIGHT_SECONDS).encode()),
        *cors,
    ]
    await respond(send, status=200, body=b"", content_type=_TEXT, headers=headers)


async def refuse(send: Send, problem: Problem, cors: Headers, *, status: int = 400) -> None:
    """Say what is wrong as the protocol does."""
    code, message = problem
    body = json.dumps({"code": code, "message": message}).encode()
    await respond(send, status=status, body=body, content_type="application/json", headers=cors)


async def answer(send: Send, packets: list[Packet], cors: Headers) -> None:
    """Answer a GET."""
    body = encode_payload(packets)
    await respond(send, status=200, body=body, content_type=_TEXT, headers=cors)


async def answer_ok(send: Send, cors: Headers) -> None:
    """Answer a POST."""
    await respond(send, status=200, body=b"ok", content_type=_TEXT, headers=cors)


async def answer_poll(session: Session, receive: Receive, send: Send, cors: Headers) -> None:
    """Wait until the session has something to say, and say it."""
    session.heard()
    session.polling = True
    answerable = False

    async def wait() -> None:
        nonlocal answerable
        await session.wait_for_poll()
        answerable = True

    try:
        await race(wait(), wait_for_disconnect(receive))
    finally:
        # Before the answer: the page asks again as soon as it has it.
        session.polling = False
    if answerable:
        await answer(send, session.take_for_poll(), cors)
    else:
        # A page that is left breaks off its poll; nothing else tells that it went.
        session.close()


async def answer_post(session: Session, receive: Receive, send: Send, cors: Headers) -> None:
    """Hand the body's packets to the session, and answer once it has them.

    What is no body of the protocol, or not all of one, ends the session.
    """
    session.posting = True
    try:
        body = await _read_body(receive)
        packets = decode_payload(body)
        await race(_hear_all(session, packets), session.gone.wait())
    except Malformed:
        session.close()
        await refuse(send, BAD_REQUEST, cors)
    except TooLarge:
        session.close()
        await refuse(send, BAD_REQUEST, cors, status=413)
    except ClientGone:
        session.close()
    else:
        # Before the answer: the page may send more as soon as it has it.
        session.posting = False
        await answer_ok(send, cors)
    finally:
        session.posting = False


async def _read_body(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > MAX_POST_BYTES:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def _hear_all(session: Session, packets: list[Packet]) -> None:
    for packet in packets:
        await session.hear(packet)
