"""The password that the existing front end shows for a terminal, in place of the real one.

Its page takes host, port, user and password from the livelesson and hands them to the terminal
server as they are. What opens something is the password: a short-lived token for the terminals
of one endpoint, so the terminal server is no open SSH relay and no page ever sees a real
credential. The rest must be what was handed out with it.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from syringe_project.errors import Forbidden
from syringe_project.signing import seal, unseal

HOST = "syringe"
USER = "learner"
"""What the page shows as host and user; both are the same for every terminal."""

LIFETIME = timedelta(minutes=15)
"""How long after the last poll a terminal can be opened, or opened again."""

_DOMAIN = "terminal"
_HEAD = struct.Struct(">16sQB")


class TerminalTokenRefused(Forbidden):
    code = "terminal_token_refused"
    template = "This terminal's password is not valid, or no longer."


@dataclass(frozen=True, slots=True)
class TerminalGrant:
    """Which terminals a token opens, until when: the page names one of the ports itself."""

    live_lesson_id: UUID
    endpoint: str
    ports: tuple[int, ...]
    expires_at: datetime


def terminal_token(
    *, live_lesson_id: UUID, endpoint: str, ports: Sequence[int], now: datetime
) -> str:
    """Return a token for an endpoint's terminals that is good for ``LIFETIME``."""
    expires_at = int((now + LIFETIME).timestamp())
    head = _HEAD.pack(live_lesson_id.bytes, expires_at, len(ports))
    return seal(_DOMAIN, head + struct.pack(f">{len(ports)}H", *ports) + endpoint.encode())


def terminal_grant(token: str, *, now: datetime) -> TerminalGrant:
    """Read a token back; raise TerminalTokenRefused for forged and expired ones."""
    message = unseal(_DOMAIN, token)
    if message is None:
        raise TerminalTokenRefused
    raw_id, seconds, count = _HEAD.unpack_from(message)
    expires_at = datetime.fromtimestamp(seconds, UTC)
    if expires_at <= now:
        raise TerminalTokenRefused
    ports = struct.unpack_from(f">{count}H", message, _HEAD.size)
    endpoint = message[_HEAD.size + 2 * count :].decode()
    return TerminalGrant(UUID(bytes=raw_id), endpoint, ports, expires_at)


def terminal_admit(
    *, host: str, port: str, user: str, password: str, now: datetime
) -> tuple[TerminalGrant, int]:
    """Return what a page's login opens, and the port; raise TerminalTokenRefused otherwise."""
    grant = terminal_grant(password, now=now)
    ports = {str(number): number for number in grant.ports}
    if (host, user) != (HOST, USER) or port not in ports:
        raise TerminalTokenRefused
    return grant, ports[port]
