"""A script of what goes wrong between a client and the API.

https://kubernetes.io/docs/concepts/cluster-administration/flow-control/ (429 and Retry-After)
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal

from tests.fake_kubernetes.errors import ApiError
from tests.fake_kubernetes.rbac import Attributes

_REASONS = {
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden by the fault script"),
    404: ("NotFound", "not found by the fault script"),
    408: ("Timeout", "request did not complete within the allotted timeout"),
    409: ("Conflict", "conflict by the fault script"),
    410: ("Expired", "The resourceVersion for the provided list is too old."),
    422: ("Invalid", "invalid by the fault script"),
    429: ("TooManyRequests", "Too many requests, please try again later."),
    500: ("InternalError", "Internal error occurred: etcdserver: leader changed"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "Timeout: request did not complete within requested timeout"),
}


@dataclass(slots=True)
class Fault:
    """What happens to the next ``times`` requests that match; an empty criterion matches all.

    Exactly one of: ``status`` (not carried out, answered with it), ``drop`` (the connection ends:
    ``before`` anything is done, or in the ``middle`` of the answer to what was done),
    ``malformed`` (carried out, answered with half JSON), ``expire`` (watches only: an ERROR event
    410 as the next event), or nothing but ``delay`` (seconds before it is carried out, which any
    other fault may have as well).
    """

    verb: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""
    subresource: str | None = None
    times: int | None = 1
    status: int = 0
    retry_after: int | None = None
    drop: Literal["", "before", "middle"] = ""
    malformed: bool = False
    expire: bool = False
    delay: float = 0

    def matches(self, action: Attributes) -> bool:
        """Test a request."""
        return (
            self.verb in ("", action.verb)
            and self.resource in ("", action.resource)
            and self.namespace in ("", action.namespace)
            and self.name in ("", action.name)
            and self.subresource in (None, action.subresource)
        )

    def error(self) -> ApiError:
        """Return the answer that ``status`` stands for."""
        reason, message = _REASONS.get(self.status, ("", f"fault {self.status}"))
        details = {"retryAfterSeconds": self.retry_after} if self.retry_after else None
        return ApiError(self.status, reason, message, details=details, retry_after=self.retry_after)


class Faults:
    """The script: the first fault that matches happens, and is used up by it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Append a fault to the script; ``times=None`` lasts until ``clear``."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Let everything work again."""
        with self._lock:
            self._faults.clear()

    def take(self, action: Attributes) -> Fault | None:
        """Return the fault of a request, if it has one."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(action):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times <= 0:
                            self._faults.remove(fault)
                    return fault
        return None
