"""Passing one HTTP request on to another server, and its answer back, piece by piece."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Self

import httpcore

from gateway.asgi import ClientGone, Receive, Scope, Send, wait_for_disconnect
from gateway.racing import race
from syringe_project.errors import Unavailable

HeaderList = list[tuple[bytes, bytes]]

# RFC 9110, 7.6.1: these concern one connection only.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


class UpstreamAway(Unavailable):
    code = "upstream_away"
    template = "{what} does not answer."


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In seconds; ``read`` and ``write`` are for one piece, not for the whole."""

    connect: float
    read: float
    write: float
    pool: float

    def extension(self) -> dict[str, float]:
        """Return what httpcore wants."""
        return {
            "connect": self.connect,
            "read": self.read,
            "write": self.write,
            "pool": self.pool,
        }


def end_to_end(headers: HeaderList) -> HeaderList:
    """Drop the headers that concern one connection only, those ``Connection`` names included."""
    named = {
        name.strip().lower()
        for key, value in headers
        if key.lower() == b"connection"
        for name in value.split(b",")
    }
    return [
        (key, value)
        for key, value in headers
        if key.lower() not in _HOP_BY_HOP and key.lower() not in named
    ]


class _Body:
    """The request's body as it comes in; ``complete`` once all of it did."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self.complete = asyncio.Event()

    @classmethod
    def of(cls, scope: Scope, receive: Receive) -> tuple[Self, bool]:
        """Return the body, and whether there is one to send."""
        names = {key for key, _ in scope["headers"]}
        return cls(receive), bool(names & {b"content-length", b"transfer-encoding"})

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                self.complete.set()
                return

    async def wait_for_disconnect(self) -> None:
        """Return when the client goes after its body is complete."""
        await self.complete.wait()
        await wait_for_disconnect(self._receive)


async def forward(
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    pool: httpcore.AsyncConnectionPool,
    url: httpcore.URL,
    headers: HeaderList,
    answer_headers: Callable[[HeaderList], HeaderList],
    timeouts: Timeouts,
    what: str,
) -> None:
    """Send the request on and stream the answer back.

    Raises UpstreamAway, naming ``what``, as long as nothing of an answer was sent. An answer that
    breaks off leaves the client's connection broken off, too, which is how it can tell.
    """
    body, has_body = _Body.of(scope, receive)
    if has_body and all(key != b"content-length" for key, _ in headers):
        headers = [*headers, (b"transfer-encoding", b"chunked")]
    if not has_body:
        body.complete.set()
    request = httpcore.Request(
        scope["method"].encode(),
        url,
        headers=headers,
        content=body if has_body else None,
        extensions={"timeout": timeouts.extension()},
    )

    async def exchange() -> None:
        try:
            response = await pool.handle_async_request(request)
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException) as exc:
            raise UpstreamAway(what=what) from exc
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": response.status,
                    "headers": answer_headers(end_to_end(response.headers)),
                }
            )
            async for piece in response.aiter_stream():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            await response.aclose()
        await send({"type": "http.response.body"})

    with contextlib.suppress(ClientGone):
        await race(exchange(), body.wait_for_disconnect())
