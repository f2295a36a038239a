"""Refusals in the form of a real server: a Status object with a reason, a code and details.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong with one field, and how messages say it."""

    reason: str
    field: str
    message: str

    @property
    def text(self) -> str:
        """Return the cause as part of a sentence."""
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> Cause:
    """Say that a field has to be there."""
    return Cause("FieldValueRequired", field, f"Required value{': ' + detail if detail else ''}")


def invalid_value(field: str, value: object, detail: str) -> Cause:
    """Say that a field cannot have this value."""
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause("FieldValueInvalid", field, f"Invalid value: {shown}: {detail}")


def unsupported(field: str, value: object, allowed: Sequence[str]) -> Cause:
    """Say which values a field can have."""
    listed = ", ".join(f'"{one}"' for one in allowed)
    message = f'Unsupported value: "{value}": supported values: {listed}'
    return Cause("FieldValueNotSupported", field, message)


def forbidden_field(field: str, detail: str) -> Cause:
    """Say that a field may not be there or may not change."""
    return Cause("FieldValueForbidden", field, f"Forbidden: {detail}")


def duplicate(field: str, value: object) -> Cause:
    """Say that something occurs twice."""
    return Cause("FieldValueDuplicate", field, f'Duplicate value: "{value}"')


class ApiError(Exception):
    """An answer other than success."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Manifest | None = None,
        retry_after: int | None = None,
        plain: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.plain = plain

    def status(self) -> Manifest:
        """Return the Status object that clients read."""
        status: Manifest = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


def _details(kind: Kind, name: str) -> Manifest:
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> ApiError:
    """No such object."""
    message = f'{kind.resource} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_details(kind, name))


def no_such_path() -> ApiError:
    """No such resource: the answer is text, not a Status."""
    return ApiError(404, "NotFound", "404 page not found\n", plain=True)


def already_exists(kind: Kind, name: str) -> ApiError:
    """The name is taken."""
    message = f'{kind.resource} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    """Somebody else was faster."""
    message = f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(kind, name))


def modified(kind: Kind, name: str) -> ApiError:
    """The resourceVersion sent is not the current one."""
    return conflict(
        kind,
        name,
        "the object has been modified; please apply your changes to the latest version "
        "and try again",
    )


def apply_conflicts(causes: Sequence[Cause]) -> ApiError:
    """Other managers own fields that an apply wants to change."""
    count = f"{len(causes)} conflict{'s' if len(causes) > 1 else ''}"
    managers = sorted({cause.message for cause in causes})
    fields = "\n".join(f"- {cause.field}" for cause in causes)
    where = causes[0].field if len(causes) == 1 else f"\n{fields}"
    return ApiError(
        409,
        "Conflict",
        f"Apply failed with {count}: {'; '.join(managers)}: {where}",
        details={
            "causes": [
                {"reason": "FieldManagerConflict", "message": c.message, "field": c.field}
                for c in causes
            ]
        },
    )


def invalid(kind_name: str, group: str, name: str, causes: Sequence[Cause]) -> ApiError:
    """The object is understood and refused, field by field."""
    texts = [cause.text for cause in causes]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    subject = f"{kind_name}.{group}" if group else kind_name
    details: Manifest = {"name": name, "group": group, "kind": kind_name}
    details = {key: value for key, value in details.items() if value}
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    message = f'{subject} "{name}" is invalid: {listed}'
    return ApiError(422, "Invalid", message, details=details)


def forbidden(kind: Kind, name: str, why: str, cause: Cause | None = None) -> ApiError:
    """Admission refuses; with ``name`` empty the message has no name, like authorization."""
    subject = f'{kind.resource} "{name}"' if name else kind.resource
    details = _details(kind, name)
    if cause is not None:
        details["causes"] = [
            {"reason": cause.reason, "message": cause.message, "field": cause.field}
        ]
    return ApiError(403, "Forbidden", f"{subject} is forbidden: {why}", details=details)


def bad_request(message: str) -> ApiError:
    """The request itself makes no sense."""
    return ApiError(400, "BadRequest", message)


def unauthorized() -> ApiError:
    """No token, or one that nobody knows."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiError:
    """The history asked for is gone."""
    return ApiError(410, "Expired", message)


def method_not_allowed() -> ApiError:
    """The resource exists but cannot do this."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message, details={})


def unsupported_media_type(accepted: Sequence[str]) -> ApiError:
    """The body is in a form that this verb does not read."""
    return ApiError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )
