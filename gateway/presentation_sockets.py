"""WebSockets of lessons' web pages, passed on to the endpoint message by message."""

import asyncio
import contextlib
from urllib.parse import quote

import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from gateway.asgi import ClientGone, Receive, Scope, Send
from gateway.database import Database
from gateway.presentations import request_headers
from gateway.racing import race
from gateway.selectors import Address, page_address
from gateway.usage import Usage
from livelessons.presentation_tokens import PREFIX
from syringe_project.errors import SyringeError

CONNECT_SECONDS = 5.0
MAX_MESSAGE_BYTES = 4 * 1024 * 1024
CLOSE_SECONDS = 2.0
ENDPOINT_GONE = 1014
# RFC 6455, 7.4.1: codes that only a library makes up.
NOT_TO_BE_SENT = frozenset({1005, 1006, 1015})
_HANDSHAKE = (b"sec-websocket-", b"origin", b"host")


class PresentationSockets:
    """Opens the endpoint's WebSocket first, so that a refusal is the browser's answer, too."""

    def __init__(self, database: Database, usage: Usage) -> None:
        self._database = database
        self._usage = usage

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, token: str, target: bytes
    ) -> None:
        """Serve one WebSocket from handshake to close."""
        await receive()
        try:
            address = await self._database.run(page_address, token=token)
        except SyringeError:
            await send({"type": "websocket.close"})
            return
        self._usage.note(address)
        headers = request_headers(scope, address, PREFIX + token)
        path = quote(target.decode("latin-1"), safe="/?&=%:@!$'()*+,;~-._")
        try:
            upstream = await connect(
                f"ws://{address.endpoint}:{address.port}{path}",
                host=address.host,
                port=address.relayed_port,
                proxy=None,
                origin=None,
                additional_headers=[
                    (key.decode("latin-1"), value.decode("latin-1"))
                    for key, value in headers
                    if not key.startswith(_HANDSHAKE)
                ],
                subprotocols=[Subprotocol(name) for name in scope["subprotocols"]] or None,
                compression=None,
                open_timeout=CONNECT_SECONDS,
                max_size=MAX_MESSAGE_BYTES,
            )
        except (OSError, TimeoutError, websockets.WebSocketException):
            await send({"type": "websocket.close"})
            return
        async with upstream:
            await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
            with contextlib.suppress(ClientGone, OSError):
                await race(
                    self._to_endpoint(receive, upstream, address),
                    _to_browser(upstream, send),
                )

    async def _to_endpoint(
        self, receive: Receive, upstream: ClientConnection, address: Address
    ) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                raise ClientGone
            self._usage.note(address)
            text = message.get("text")
            try:
                await upstream.send(message["bytes"] if text is None else text)
            except websockets.ConnectionClosed:
                # Why it closed is for the other direction to tell.
                await upstream.wait_closed()
                await asyncio.sleep(CLOSE_SECONDS)
                return


async def _to_browser(upstream: ClientConnection, send: Send) -> None:
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            data = await upstream.recv()
            kind = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", kind: data})
    code = upstream.close_code or ENDPOINT_GONE
    await send(
        {
            "type": "websocket.close",
            "code": ENDPOINT_GONE if code in NOT_TO_BE_SENT else code,
            "reason": upstream.close_reason or "",
        }
    )
