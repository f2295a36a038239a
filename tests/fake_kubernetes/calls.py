"""A record of every request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Call:
    """One request; ``status`` is 0 where no answer was sent, ``verb`` is RBAC's.

    An apply has the verb ``patch`` and the ``content_type`` that makes it one. ``warnings`` are
    those of the answer, such as fields that were unknown and dropped.
    """

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    status: int = 0
    warnings: tuple[str, ...] = ()
    at: float = field(default_factory=time.monotonic)


class Calls:
    """All calls since the start or since ``clear``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def add(self, call: Call) -> None:
        """Record a call, as soon as it is known what it asks for."""
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        """Forget what was recorded."""
        with self._lock:
            self._calls.clear()

    def __iter__(self) -> Iterator[Call]:
        with self._lock:
            return iter(list(self._calls))

    def __len__(self) -> int:
        return len(self._calls)

    def matching(self, **wanted: object) -> list[Call]:
        """Return the calls whose attributes have these values."""
        return [
            call
            for call in self
            if all(getattr(call, name) == value for name, value in wanted.items())
        ]
