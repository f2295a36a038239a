"""Message authentication codes under the installation's secret key, one domain per purpose."""

import base64
import binascii
import hashlib
import hmac
from functools import lru_cache

from django.conf import settings

MAC_BYTES = 16
"""128 bits, the length of every code made here."""


@lru_cache(maxsize=32)
def _key(secret_key: str, domain: str) -> bytes:
    return hmac.digest(secret_key.encode(), b"syringe:" + domain.encode(), hashlib.sha256)


def mac(domain: str, message: bytes) -> bytes:
    """Return the code of ``message``; another domain's code of the same message differs."""
    return hmac.digest(_key(settings.SECRET_KEY, domain), message, "sha256")[:MAC_BYTES]


def mac_fits(domain: str, message: bytes, code: bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(mac(domain, message), code)


def seal(domain: str, message: bytes) -> str:
    """Return message and code as URL-safe text without padding. The message can be read."""
    return base64.urlsafe_b64encode(mac(domain, message) + message).rstrip(b"=").decode()


def unseal(domain: str, text: str) -> bytes | None:
    """Return the message that ``seal`` was given, or None for any other text."""
    try:
        raw = text.encode("ascii")
        data = base64.b64decode(raw + b"=" * (-len(raw) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    message = data[MAC_BYTES:]
    if len(data) < MAC_BYTES or not mac_fits(domain, message, data[:MAC_BYTES]):
        return None
    # Unused bits at the end would let several texts mean the same.
    return message if seal(domain, message) == text else None
