"""Reading the few fields of requests to ``/api/v1``; unknown ones are ignored."""

from typing import Any

from rest_framework.request import Request

from syringe_project.errors import Invalid


class InvalidField(Invalid):
    code = "invalid_field"
    template = "{field} {problem}."


def _body(request: Request) -> dict[str, Any]:
    # The only parser reads objects, and a request without a body has an empty QueryDict.
    data = request.data
    return data if isinstance(data, dict) else {}


def required_text(request: Request, field: str) -> str:
    """Return a text; raise InvalidField where it is missing, empty or something else."""
    value = _body(request).get(field)
    if not isinstance(value, str) or not value:
        raise InvalidField(field=field, problem="must be a text and is required")
    return value


def optional_integer(request: Request, field: str) -> int | None:
    """Return a number, or None for a missing one or null; raise InvalidField."""
    value = _body(request).get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidField(field=field, problem="must be an integer")
    return value


def required_integer(request: Request, field: str) -> int:
    """Return a number; raise InvalidField."""
    value = optional_integer(request, field)
    if value is None:
        raise InvalidField(field=field, problem="must be an integer and is required")
    return value
