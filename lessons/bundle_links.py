"""Addresses at which the pods of one livelesson get the lesson's folder.

Pods have no credentials of ours, so the address itself is the capability: a code of the bundle's
digest, the livelesson and the time at which it ends to be good. Only pods get to see it.
"""

import struct
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from syringe_project.errors import Forbidden
from syringe_project.signing import seal, unseal

PARAMETER = "signature"
"""The only one in the query; ``observability.redaction`` knows it, too."""

_DOMAIN = "bundle"
_HEAD = struct.Struct(">16sQ")


class BundleLinkRefused(Forbidden):
    code = "bundle_link_refused"
    template = "This address is not valid, or no longer."


def bundle_url(*, sha256: str, live_lesson_id: UUID, expires_at: datetime) -> str:
    """Return where a livelesson's pods get a bundle; the same arguments give the same address."""
    head = _HEAD.pack(live_lesson_id.bytes, int(expires_at.timestamp()))
    signature = seal(_DOMAIN, head + sha256.encode())
    return f"{settings.SYRINGE_BUNDLE_URL}/bundles/{sha256}?{PARAMETER}={signature}"


def bundle_link_check(*, sha256: str, query: str, now: datetime) -> None:
    """Raise BundleLinkRefused unless ``bundle_url`` made this query for this bundle."""
    name, _, signature = query.partition("=")
    message = unseal(_DOMAIN, signature) if name == PARAMETER else None
    if message is None or message[_HEAD.size :] != sha256.encode():
        raise BundleLinkRefused
    _, seconds = _HEAD.unpack_from(message)
    if datetime.fromtimestamp(seconds, UTC) <= now:
        raise BundleLinkRefused
