"""JSON in and out, so that no body from outside is a bug inside."""

import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


def json_bytes(value: object) -> bytes:
    """Return compact JSON in ASCII, which any text from a request survives."""
    return json.dumps(value, separators=(",", ":")).encode()


def json_object(body: bytes) -> dict[str, Any]:
    """Read a request's body as a JSON object; nothing and ``null`` are an empty one.

    Raises ValueError, and nothing else, for everything that is not one.
    """
    if not body.strip():
        return {}
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 (callers expect one kind)
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


class ObjectParser(JSONParser):
    """Bodies are JSON objects; whatever else comes is refused with 400, never with 500."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        try:
            return json_object(stream.read())
        except ValueError as exc:
            raise ParseError(f"The body is no JSON object: {exc}") from exc
