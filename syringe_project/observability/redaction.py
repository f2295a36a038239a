"""Taking out of log lines what opens something: addresses that are capabilities."""

import re
from collections.abc import MutableMapping
from typing import Any

_CAPABILITIES = re.compile(
    r"(?P<shown>livelesson/[0-9a-f]{32}"  # the rest of an id of /exp is its code
    r"|/presentations/"
    r"|userpassword="
    r"|[?&]sid="
    r"|[?&]signature="
    r"|syringe_session="
    r"|Bearer )"
    r"[\w.~%-]+"
)


def without_capabilities(text: str) -> str:
    """Return the text with dots for tokens, secrets and the codes of ids."""
    return _CAPABILITIES.sub(r"\g<shown>...", text)


def redact(
    logger: object, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Be a structlog processor that cleans every text of a record, and Django's request."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = without_capabilities(value)
        elif name == "request":
            event[name] = without_capabilities(repr(value))
    return event
