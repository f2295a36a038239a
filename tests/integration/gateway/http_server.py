"""A web application that shows what reached it, for tests of proxies."""

import asyncio
import hashlib
import json
from typing import Any


class Application:
    """``requests`` holds what came: method, target, headers and the body's digest."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self.more = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._echo(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        query = scope["query_string"]
        self.requests.append(
            {
                "method": scope["method"],
                "target": (scope["raw_path"] + (b"?" + query if query else b"")).decode(),
                "headers": {key.decode(): value.decode() for key, value in scope["headers"]},
                "length": len(body),
                "sha256": hashlib.sha256(body).hexdigest(),
            }
        )
        kind = scope["path"].rpartition("/")[2]
        if kind == "endless":
            await self._stream(receive, send)
        elif kind == "broken":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begin", "more_body": True})
            raise ConnectionError("on purpose")
        else:
            await self._show(kind, send)

    async def _show(self, kind: str, send: Any) -> None:
        status = 302 if kind.startswith("to-") else 200
        shown = json.dumps(self.requests[-1]).encode()
        headers = [(b"content-type", b"application/json"), (b"x-seen", b"1"), (b"x-seen", b"2")]
        if kind == "large":
            shown = b"0123456789abcdef" * 200_000
        if status == 302:
            headers.append((b"location", bytes.fromhex(kind.removeprefix("to-"))))
        if kind == "hostile":
            headers += [
                (b"set-cookie", b"syringe_session=stolen; Path=/"),
                (b"clear-site-data", b'"*"'),
                (b"strict-transport-security", b"max-age=99"),
                (b"alt-svc", b'h3="evil.example:443"'),
                (b"service-worker-allowed", b"/"),
                (b"content-security-policy", b"sandbox allow-same-origin"),
                (b"x-frame-options", b"DENY"),
                (b"www-authenticate", b"Basic"),
                (b"access-control-allow-credentials", b"true"),
                (b"x-kept", b"yes"),
                (b"connection", b"x-hop"),
                (b"x-hop", b"no"),
            ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": shown})

    async def _stream(self, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first\n", "more_body": True})
        waiting = asyncio.ensure_future(receive())
        more = asyncio.ensure_future(self.more.wait())
        await asyncio.wait({waiting, more}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            self.gone.set()
            more.cancel()
        else:
            waiting.cancel()
            await send({"type": "http.response.body", "body": b"second\n"})

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        subprotocol = scope["subprotocols"][0] if scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        self.requests.append(
            {
                "target": scope["raw_path"].decode(),
                "headers": {key.decode(): value.decode() for key, value in scope["headers"]},
            }
        )
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4321, "reason": "as asked"})
                return
            await send(
                {"type": "websocket.send", **{k: message[k] for k in message if k != "type"}}
            )
        self.gone.set()
