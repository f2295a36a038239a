"""The secret that a session's holder shows: made once, stored as a digest only."""

import hashlib
import secrets

SECRET_BYTES = 20
"""160 bits, as text of 27 URL-safe characters."""


def new_secret() -> str:
    """Return a fresh secret."""
    return secrets.token_urlsafe(SECRET_BYTES)


def secret_digest(secret: str) -> str:
    """Return what is stored of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()
