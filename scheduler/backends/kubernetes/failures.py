"""What an error of the API server means to the scheduler.

What is raised says what was tried and what the server answered, but never what was sent: the
bodies of requests hold passwords.
"""

import json
from collections.abc import Mapping
from typing import Any

from scheduler.backends.base import BackendRejected, BackendUnavailable, ReasonCode
from scheduler.backends.kubernetes.resources import Resource

_PERHAPS_LATER = {401, 408, 409, 410, 425, 429}
_LONGEST_MESSAGE = 300
_LONGEST_WAIT = 120
_SETTLING = ("status unknown for quota", "error looking up service account")
"""403s of admission plugins that have not yet seen what was created a moment ago."""

# https://github.com/kubernetes/kubernetes/issues/122480
_UNKNOWN_FIELD = "failed to create typed patch object"


class Expired(BackendUnavailable):
    """The resource version is too old: list again, and watch from there."""

    code = "resource_version_expired"


def failure(
    action: str,
    resource: Resource | None,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
) -> BackendUnavailable | BackendRejected:
    """Return what to raise for an answer that is not 2xx; ``action`` says what was tried."""
    answer = status_object(body)
    message = _message(resource, answer)
    text = f"{action}: HTTP {status}" + (f": {message}" if message else "")
    if status == 410:
        return Expired(reason=text)
    if status == 500 and _UNKNOWN_FIELD in message:
        return BackendRejected(detail=text)
    if status in _PERHAPS_LATER or status >= 500:
        wait = _wait(headers)
        if wait:
            text += f" (to be tried again after {wait} s)"
        return BackendUnavailable(reason=text, retry_after=wait)
    if status < 400:
        return BackendUnavailable(reason=f"{text}: this is not a Kubernetes API server")
    if status == 403 and any(sign in message for sign in _SETTLING):
        return BackendUnavailable(reason=text)
    if _names_lost_namespace(status, answer):
        return BackendRejected(
            reason_code=ReasonCode.VANISHED, detail=f"{action}: the lesson's namespace is gone"
        )
    if status == 403 and "exceeded quota" in message:
        return BackendRejected(reason_code=ReasonCode.NO_CAPACITY, detail=text)
    if status == 404 and resource is not None and not _details(answer).get("name"):
        return BackendRejected(detail=f"{action}: {unknown_kind(resource)}")
    return BackendRejected(detail=text)


def unknown_kind(resource: Resource) -> str:
    """Say that the cluster lacks a kind of resource, and what to install where that is known."""
    text = f"the cluster knows no {resource.kind} of {resource.api_version}"
    return f"{text}: install {resource.installed_by}" if resource.installed_by else text


def status_object(body: bytes) -> Mapping[str, Any]:
    """Return the Status that API servers answer errors with; proxies answer anything."""
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _wait(headers: Mapping[str, str]) -> int:
    """Return the seconds to wait; API servers write no dates."""
    text = headers.get("Retry-After", "").strip()
    # Nobody gets to stop a livelesson for longer.
    return min(int(text), _LONGEST_WAIT) if text.isascii() and text.isdecimal() else 0


def _message(resource: Resource | None, answer: Mapping[str, Any]) -> str:
    if resource is not None and resource.kind == "Secret":
        # Admission plugins may quote what they refuse.
        return str(answer.get("reason") or "")[:_LONGEST_MESSAGE]
    return str(answer.get("message") or "")[:_LONGEST_MESSAGE]


def _details(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    details = answer.get("details")
    return details if isinstance(details, dict) else {}


def _names_lost_namespace(status: int, answer: Mapping[str, Any]) -> bool:
    details = _details(answer)
    if status == 404:
        return details.get("kind") == "namespaces"
    causes = details.get("causes") or ()
    return status == 403 and any(
        isinstance(cause, dict) and cause.get("reason") == "NamespaceTerminating"
        for cause in causes
    )
