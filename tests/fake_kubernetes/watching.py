"""Watch streams.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

from tests.fake_kubernetes.errors import ApiError
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest, copy_of
from tests.fake_kubernetes.selectors import Selection
from tests.fake_kubernetes.store import Change, Entry, Store


def _line(kind: str, body: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


def error_line(error: ApiError) -> bytes:
    """Return the ERROR event of a refusal, after which a stream ends."""
    return _line("ERROR", json.dumps(error.status()).encode())


def _gone(change: Change) -> bytes:
    """Return the last state that matched, with the version of the change that took it away."""
    if change.last is not None:
        return change.last.body
    assert change.before is not None
    last = copy_of(change.before.manifest)
    last["metadata"]["resourceVersion"] = str(change.version)
    return json.dumps(last, separators=(",", ":")).encode()


def _event(change: Change, selection: Selection) -> bytes | None:
    before = change.before if change.before and selection.matches(change.before.manifest) else None
    after = change.after if change.after and selection.matches(change.after.manifest) else None
    if after is not None:
        return _line("MODIFIED" if before is not None else "ADDED", after.body)
    return _line("DELETED", _gone(change)) if before is not None else None


class Watch:
    """One stream; iterate over it for lines, where an empty one means that nothing happened."""

    def __init__(
        self,
        store: Store,
        kind: Kind,
        selection: Selection,
        *,
        version: int | None,
        timeout: float,
        bookmarks: bool,
        bookmark_seconds: float,
    ) -> None:
        self._store = store
        self._kind = kind
        self._selection = selection
        self._end = time.monotonic() + timeout
        self._bookmarks = bookmarks
        self._bookmark_seconds = bookmark_seconds
        self._initial: list[Entry] = []
        if version is None:
            # No version, or 0: the present state comes first, as made-up ADDED events.
            self._initial, version = store.select(kind, selection)
        self._version = version

    def _bookmark(self) -> bytes:
        bookmark: Manifest = {
            "kind": self._kind.kind,
            "apiVersion": self._kind.api_version,
            "metadata": {"resourceVersion": str(self._version), "creationTimestamp": None},
        }
        return _line("BOOKMARK", json.dumps(bookmark).encode())

    def __iter__(self) -> Iterator[bytes]:
        for entry in self._initial:
            yield _line("ADDED", entry.body)
        next_bookmark = time.monotonic() + self._bookmark_seconds
        while True:
            try:
                changes = self._wait(min(self._end, next_bookmark))
            except ApiError as gone:
                yield error_line(gone)
                return
            for change in changes:
                if change.kind is self._kind and (line := _event(change, self._selection)):
                    yield line
            if changes:
                self._version = changes[-1].version
            moment = time.monotonic()
            ends = self._store.closed or moment >= self._end
            if self._bookmarks and (ends or moment >= next_bookmark):
                next_bookmark = moment + self._bookmark_seconds
                yield self._bookmark()
            if ends:
                return
            yield b""

    def _wait(self, until: float) -> list[Change]:
        """Return the changes since the last call, after at most a second."""
        with self._store.lock:
            if self._store.version == self._version and not self._store.closed:
                self._store.changed.wait(max(0, min(1, until - time.monotonic())))
            return self._store.changes_after(self._version)
