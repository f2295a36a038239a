"""The secret that a session's holder shows: made once, stored as a digest only."""

import hashlib
import re
import secrets

SECRET_BYTES = 20
"""160 bits, as text of 27 URL-safe characters."""

_SECRET = re.compile(r"[!-~]{1,200}")


def is_secret(text: str) -> bool:
    """Say whether a secret could look like this, so that it is worth a query."""
    return _SECRET.fullmatch(text) is not None


def new_secret() -> str:
    """Return a fresh secret."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret_digest(secret: str) -> str:
    """Return what is stored of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
