"""Who is calling: the session secret, and whether a browser may send it from where it is.

A secret comes as ``Authorization: Bearer SECRET``; as the cookie ``syringe_session``; or, for
WebSockets of pages on other origins, as the subprotocol ``bearer.SECRET`` next to
``syringe.terminal`` (browsers can set no header there, and addresses end up in logs). A cookie is
sent by the browser on behalf of any page, so with it the page's origin must be ours.
"""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from gateway.asgi import Scope, cookie, header
from livelessons.api.authentication import COOKIE

SUBPROTOCOL = "syringe.terminal"
_SECRET_SUBPROTOCOL = "bearer."  # noqa: S105  (a prefix, not a secret)


@dataclass(frozen=True, slots=True)
class Credentials:
    """``secret`` is empty when the caller showed none that counts."""

    secret: str = field(repr=False)
    foreign_origin: bool = False


def credentials_of(scope: Scope) -> Credentials:
    """Read the caller's secret; a cookie sent from a foreign page does not count."""
    scheme, _, token = header(scope, b"authorization").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Credentials(token.strip())
    for subprotocol in scope.get("subprotocols", ()):
        if subprotocol.startswith(_SECRET_SUBPROTOCOL):
            return Credentials(subprotocol.removeprefix(_SECRET_SUBPROTOCOL))
    secret = cookie(scope, COOKIE)
    if secret and not _own_page(scope):
        return Credentials("", foreign_origin=True)
    return Credentials(secret)


def _own_page(scope: Scope) -> bool:
    origin = header(scope, b"origin")
    if not origin:
        # Browsers always name the origin of a WebSocket, but not of a plain GET to their own.
        return bool(scope["type"] == "http")
    host = header(scope, b"host").lower()
    own = {urlsplit(settings.SYRINGE_PUBLIC_URL).netloc.lower()}
    if validate_host(_without_port(host), settings.ALLOWED_HOSTS):
        own.add(host)
    # The origin of a sandboxed page is "null", which has no host.
    name = urlsplit(origin).netloc.lower()
    return bool(name) and name in own


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
