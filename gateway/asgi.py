"""The few ASGI messages the gateway needs, as functions."""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The other side closed the connection."""


def header(scope: Scope, name: bytes) -> str:
    """Return a request header by its lower-case name, or an empty string."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value).decode("latin-1")
    return ""


def cookie(scope: Scope, name: str) -> str:
    """Return a cookie's value, or an empty string."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(header(scope, b"cookie"))
    except CookieError:
        return ""
    return jar[name].value if name in jar else ""


async def respond(
    send: Send, *, status: int, body: bytes, content_type: str, headers: Headers = ()
) -> None:
    """Answer a request in one go."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", content_type.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def respond_problem(
    send: Send, *, status: int, detail: str, code: str, headers: Headers = ()
) -> None:
    """Answer with the API's problem body."""
    body = json.dumps({"detail": detail, "code": code}).encode()
    await respond(send, status=status, body=body, content_type="application/json", headers=headers)


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has gone; whatever it still sends is thrown away."""
    while (await receive())["type"] not in {"http.disconnect", "websocket.disconnect"}:
        pass
