"""Everything that is not the gateway's own goes on to the web process."""

from collections.abc import Sequence
from pathlib import Path

import httpcore

from gateway.asgi import Receive, Scope, Send, header
from gateway.forwarding import HeaderList, Timeouts, UpstreamAway, end_to_end, forward
from gateway.web_away import answer_web_away
from livelessons.source_address import is_trusted_proxy, source_address

# A request may wait for a statement of 20 seconds, and for another before it.
TIMEOUTS = Timeouts(connect=2, read=60, write=30, pool=10)
MAX_CONNECTIONS = 64
# Less than web keeps an idle connection, so that none is used that web is about to close.
KEEPALIVE_SECONDS = 1.0
_REPLACED = (b"forwarded", b"x-real-ip", b"date", b"server")


class FrontDoor:
    """Adds who is calling to each request; what the caller says of itself does not count."""

    def __init__(self, web: Path | str, *, proxies: Sequence[str]) -> None:
        """Reach web at a UNIX socket, or over the network at a URL."""
        self._proxies = proxies
        self._web = httpcore.URL(web if isinstance(web, str) else "http://web")
        self._pool = httpcore.AsyncConnectionPool(
            uds=str(web) if isinstance(web, Path) else None,
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEPALIVE_SECONDS,
        )

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        target = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        try:
            await forward(
                scope,
                receive,
                send,
                pool=self._pool,
                url=httpcore.URL(
                    scheme=self._web.scheme,
                    host=self._web.host,
                    port=self._web.port,
                    target=target,
                ),
                headers=self._headers(scope),
                answer_headers=_answer_headers,
                timeouts=TIMEOUTS,
                what="Syringe's web process",
            )
        except UpstreamAway as exc:
            await answer_web_away(scope, send, exc)

    async def close(self) -> None:
        """Close the connections to web."""
        await self._pool.aclose()

    def _headers(self, scope: Scope) -> HeaderList:
        peer = scope["client"][0] if scope["client"] else ""
        address = source_address(
            peer=peer,
            forwarded_for=header(scope, b"x-forwarded-for"),
            proxies=self._proxies,
        )
        host, scheme = header(scope, b"host"), scope["scheme"]
        if is_trusted_proxy(peer=peer, proxies=self._proxies):
            host = header(scope, b"x-forwarded-host") or host
            scheme = header(scope, b"x-forwarded-proto") or scheme
        passed = [
            (key, value)
            for key, value in end_to_end(scope["headers"])
            if key not in _REPLACED and not key.startswith(b"x-forwarded-")
        ]
        return [
            *passed,
            (b"x-forwarded-for", address.encode()),
            (b"x-forwarded-host", host.encode("latin-1")),
            (b"x-forwarded-proto", b"https" if scheme == "https" else b"http"),
        ]


def _answer_headers(headers: HeaderList) -> HeaderList:
    # This server writes its own date.
    return [(key.lower(), value) for key, value in headers if key.lower() not in _REPLACED]
