"""What a request may name a lesson."""

import re

# Neither NUL nor lone surrogates, which JSON can carry, reach the database as text.
_SLUG = re.compile(r"[^\0\ud800-\udfff]{1,100}", re.DOTALL)


def is_slug(text: str) -> bool:
    """Say whether a lesson could be called this, so that it is worth a query."""
    return _SLUG.fullmatch(text) is not None
