"""The path segment that lets a browser into one web page of one livelesson.

An iframe carries no headers, and the pages of a lesson come from its own machines, which must
not see the session's secret. So the address itself is the capability. It outlives extensions:
whether the livelesson still runs is for the gateway to ask.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from syringe_project.errors import Forbidden
from syringe_project.signing import seal, unseal

PREFIX = "/presentations/"
"""Where the gateway's proxy listens; a token follows."""

_DOMAIN = "presentation"
_HEAD = struct.Struct(">16sQ")


class PresentationTokenRefused(Forbidden):
    code = "presentation_token_refused"
    template = "This address is not valid, or no longer."


@dataclass(frozen=True, slots=True)
class PresentationGrant:
    """What a token opens, until when."""

    live_lesson_id: UUID
    endpoint: str
    presentation: str
    expires_at: datetime


def presentation_token(
    *, live_lesson_id: UUID, endpoint: str, presentation: str, expires_at: datetime
) -> str:
    """Return the token for one presentation; the same arguments give the same token."""
    head = _HEAD.pack(live_lesson_id.bytes, int(expires_at.timestamp()))
    return seal(_DOMAIN, head + f"{endpoint}\0{presentation}".encode())


def presentation_grant(token: str, *, now: datetime) -> PresentationGrant:
    """Read a token back; raise PresentationTokenRefused for forged and expired ones."""
    message = unseal(_DOMAIN, token)
    if message is None:
        raise PresentationTokenRefused
    raw_id, seconds = _HEAD.unpack_from(message)
    expires_at = datetime.fromtimestamp(seconds, UTC)
    if expires_at <= now:
        raise PresentationTokenRefused
    endpoint, _, presentation = message[_HEAD.size :].decode().partition("\0")
    return PresentationGrant(UUID(bytes=raw_id), endpoint, presentation, expires_at)
