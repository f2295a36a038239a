"""The web pages of lessons: ``/presentations/{token}/{path}`` is a port of an endpoint.

They are untrusted content on our own address. So every answer is sandboxed by a policy that gives
the page an origin of its own: it cannot read our cookies, storage or pages. Headers that would act
on our whole address are dropped, cookies in both directions too. A page in such a sandbox is
cross-origin even to itself; since its address is what grants access, anyone may read the answers.

A page is told where it lies by ``X-Forwarded-Prefix``; it should use relative addresses.
"""

import html
from urllib.parse import urlsplit

import httpcore

from gateway.asgi import Receive, Scope, Send, header, respond
from gateway.database import Database
from gateway.forwarding import HeaderList, Timeouts, UpstreamAway, end_to_end, forward
from gateway.selectors import Address, LessonNotReady, page_address
from gateway.usage import Usage
from livelessons.errors import LiveLessonEnded
from livelessons.presentation_tokens import PREFIX, PresentationTokenRefused
from syringe_project.api import status_of
from syringe_project.errors import NotFound, SyringeError

# An application may think for long, and keep a stream open without saying anything for longer.
TIMEOUTS = Timeouts(connect=5, read=300, write=30, pool=10)
MAX_CONNECTIONS = 1000
KEEPALIVE_SECONDS = 4.0
SANDBOX = b"sandbox allow-scripts allow-forms allow-popups"

_KEPT_FROM_ENDPOINT = frozenset({b"cookie", b"forwarded", b"x-real-ip", b"authorization"})
_ACT_ON_OUR_ADDRESS = frozenset(
    {
        b"alt-svc",
        b"clear-site-data",
        b"nel",
        b"report-to",
        b"reporting-endpoints",
        b"service-worker-allowed",
        b"set-cookie",
        b"set-cookie2",
        b"strict-transport-security",
    }
)
_OURS_INSTEAD = frozenset(
    {
        b"content-security-policy",
        b"content-security-policy-report-only",
        b"cross-origin-embedder-policy",
        b"cross-origin-opener-policy",
        b"cross-origin-resource-policy",
        b"date",
        b"server",
        b"www-authenticate",
        b"x-frame-options",
    }
)
_ANYONE_MAY_READ: HeaderList = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
]
_SANDBOXED: HeaderList = [
    (b"content-security-policy", SANDBOX),
    (b"referrer-policy", b"no-referrer"),
]

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
{refresh}<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 15vh auto; max-width: 32rem; padding: 1rem }}
</style>
<h1>{title}</h1>
<p>{text}</p>
</html>
"""


class Presentations:
    """The reverse proxy to the web servers of endpoints."""

    def __init__(self, database: Database, usage: Usage) -> None:
        self._database = database
        self._usage = usage
        self._pool = httpcore.AsyncConnectionPool(
            max_connections=MAX_CONNECTIONS, keepalive_expiry=KEEPALIVE_SECONDS
        )

    async def serve(
        self, scope: Scope, receive: Receive, send: Send, *, token: str, target: bytes
    ) -> None:
        """Pass one request on; ``target`` is the path below the presentation, and the query."""
        prefix = PREFIX + token
        if not target.startswith(b"/"):
            await _redirect(send, prefix.encode() + b"/" + target)
            return
        try:
            address = await self._database.run(page_address, token=token)
            if _is_preflight(scope):
                await _allow(scope, send)
                return
            self._usage.note(address)
            await forward(
                scope,
                receive,
                send,
                pool=self._pool,
                url=httpcore.URL(
                    scheme=b"http",
                    host=address.host.encode(),
                    port=address.relayed_port,
                    target=target,
                ),
                headers=request_headers(scope, address, prefix),
                answer_headers=lambda headers: answer_headers(headers, address, prefix),
                timeouts=TIMEOUTS,
                what=f"The page on {address.endpoint}",
            )
        except SyringeError as exc:
            await _show_problem(send, exc)

    async def close(self) -> None:
        """Close the connections to endpoints."""
        await self._pool.aclose()


def request_headers(scope: Scope, address: Address, prefix: str) -> HeaderList:
    """Return what the endpoint gets to see: nothing that opens anything of ours."""
    passed = [
        (key, value)
        for key, value in end_to_end(scope["headers"])
        if key not in _KEPT_FROM_ENDPOINT
        and key not in {b"host", b"origin", b"referer"}
        and not key.startswith(b"x-forwarded-")
    ]
    own = f"http://{_authority(address)}".encode()
    if header(scope, b"origin"):
        # What the application would see if the browser reached it directly.
        passed.append((b"origin", own))
    return [
        *passed,
        (b"host", _authority(address).encode()),
        (b"x-forwarded-host", header(scope, b"host").encode("latin-1")),
        (b"x-forwarded-proto", scope["scheme"].replace("ws", "http").encode()),
        (b"x-forwarded-prefix", prefix.encode()),
    ]


def answer_headers(headers: HeaderList, address: Address, prefix: str) -> HeaderList:
    """Return what the browser gets to see of an endpoint's answer."""
    passed = [
        (key.lower(), rewrite_location(value, address, prefix))
        if key.lower() in {b"location", b"content-location"}
        else (key.lower(), value)
        for key, value in headers
        if key.lower() not in _ACT_ON_OUR_ADDRESS | _OURS_INSTEAD
        and not key.lower().startswith(b"access-control-")
    ]
    return [*passed, *_SANDBOXED, *_ANYONE_MAY_READ]


def rewrite_location(value: bytes, address: Address, prefix: str) -> bytes:
    """Keep a redirect within the presentation when it means the endpoint itself."""
    location = value.decode("latin-1")
    try:
        parts = urlsplit(location)
    except ValueError:
        return value
    own = {_authority(address), f"{address.host}:{address.relayed_port}", address.endpoint}
    if parts.netloc and parts.netloc not in own:
        return value
    if not parts.netloc and not parts.path.startswith("/"):
        # Relative to where the page is, which is right as it is.
        return value
    return (prefix + parts._replace(scheme="", netloc="").geturl()).encode("latin-1")


def _authority(address: Address) -> str:
    return f"{address.endpoint}:{address.port}"


def _is_preflight(scope: Scope) -> bool:
    asked = header(scope, b"access-control-request-method")
    return scope["method"] == "OPTIONS" and bool(asked)


async def _allow(scope: Scope, send: Send) -> None:
    """Answer a page that asks whether it may call itself."""
    asked = header(scope, b"access-control-request-headers")
    method = header(scope, b"access-control-request-method")
    headers = [
        *_ANYONE_MAY_READ,
        (b"access-control-allow-methods", method.encode("latin-1")),
        (b"access-control-max-age", b"600"),
    ]
    if asked:
        headers.append((b"access-control-allow-headers", asked.encode("latin-1")))
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body"})


async def _redirect(send: Send, location: bytes) -> None:
    await send(
        {
            "type": "http.response.start",
            "status": 308,
            "headers": [(b"location", location), (b"content-length", b"0"), *_SANDBOXED],
        }
    )
    await send({"type": "http.response.body"})


async def _show_problem(send: Send, problem: SyringeError) -> None:
    """Show a page for people; it comes back by itself where waiting may help."""
    comes_back = False
    match problem:
        case PresentationTokenRefused() | NotFound():
            status, title = 404, "There is no such page"
        case LiveLessonEnded():
            status, title = 410, "The lesson has ended"
        case LessonNotReady():
            status, title, comes_back = 503, "Not ready yet", True
        case UpstreamAway():
            status, title, comes_back = 502, "The page does not answer", True
        case _:
            status, title, comes_back = status_of(problem), "Something is not available", True
    text = f"{problem} This page looks again by itself." if comes_back else str(problem)
    body = _PAGE.format(
        refresh='<meta http-equiv="refresh" content="3">\n' if comes_back else "",
        title=html.escape(title),
        text=html.escape(text),
    )
    await respond(
        send,
        status=status,
        body=body.encode(),
        content_type="text/html; charset=utf-8",
        headers=_SANDBOXED,
    )
