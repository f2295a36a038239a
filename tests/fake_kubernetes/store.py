"""Objects, their history, and the index that keeps selected lists quick.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tests.fake_kubernetes.errors import expired
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest, copy_of, labels_of
from tests.fake_kubernetes.selectors import Requirement, Selection

Key = tuple[str, str]
"""A namespace, empty for what has none, and a name."""


class Entry:
    """One state of an object, never changed, with the bytes that lists and watches share."""

    __slots__ = ("_body", "_item", "kind", "manifest")

    def __init__(self, kind: Kind, manifest: Manifest) -> None:
        self.kind = kind
        self.manifest = manifest
        self._body: bytes | None = None
        self._item: bytes | None = None

    @property
    def body(self) -> bytes:
        """The object as an answer has it."""
        if self._body is None:
            self._body = json.dumps(self.manifest, separators=(",", ":")).encode()
        return self._body

    @property
    def item(self) -> bytes:
        """The object as a list has it: built-in kinds come without kind and apiVersion there.

        https://github.com/kubernetes/kubernetes/issues/3030
        """
        if self.kind.custom:
            return self.body
        if self._item is None:
            inner = {k: v for k, v in self.manifest.items() if k not in ("kind", "apiVersion")}
            self._item = json.dumps(inner, separators=(",", ":")).encode()
        return self._item


@dataclass(frozen=True, slots=True)
class Change:
    """``before`` is None for what is new, ``after`` for what is gone.

    ``last`` is the last state of what is gone, with the version of its removal.
    """

    version: int
    kind: Kind
    key: Key
    before: Entry | None
    after: Entry | None
    last: Entry | None = None


def key_of(manifest: Manifest) -> Key:
    """Return where an object is kept."""
    metadata = manifest["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class _Table:
    """The objects of one kind."""

    def __init__(self) -> None:
        self.entries: dict[Key, Entry] = {}
        self.by_label: dict[tuple[str, str], set[Key]] = defaultdict(set)
        self.by_namespace: dict[str, set[Key]] = defaultdict(set)

    def put(self, key: Key, entry: Entry) -> None:
        self.drop(key)
        self.entries[key] = entry
        self.by_namespace[key[0]].add(key)
        for label in labels_of(entry.manifest).items():
            self.by_label[label].add(key)

    def drop(self, key: Key) -> None:
        entry = self.entries.pop(key, None)
        if entry is None:
            return
        self.by_namespace[key[0]].discard(key)
        for label in labels_of(entry.manifest).items():
            keys = self.by_label[label]
            keys.discard(key)
            if not keys:
                del self.by_label[label]

    def candidates(self, selection: Selection) -> Iterable[Key]:
        """Return few keys among which are all that match."""
        found: list[set[Key]] = []
        if selection.namespace:
            found.append(self.by_namespace.get(selection.namespace, set()))
        found.extend(
            self._labelled(requirement)
            for requirement in selection.labels
            if requirement.operator == "in"
        )
        if not found:
            return self.entries
        return min(found, key=len)

    def _labelled(self, requirement: Requirement) -> set[Key]:
        none: set[Key] = set()
        return none.union(
            *(self.by_label.get((requirement.key, value), none) for value in requirement.values)
        )


class Store:
    """All objects of a cluster; hold ``lock`` from reading to writing."""

    def __init__(self, *, history: int = 200_000) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.closed = False
        self.version = 1
        self._compacted = 1
        self._changes: list[Change] = []
        self._history = history
        self._tables: dict[Kind, _Table] = defaultdict(_Table)
        self._listeners: list[Callable[[Change], None]] = []

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Call ``listener`` with every change, under the lock: it has to be quick."""
        self._listeners.append(listener)

    def get(self, kind: Kind, key: Key) -> Manifest | None:
        """Return an object, not to be changed, or None."""
        entry = self.entry(kind, key)
        return entry.manifest if entry else None

    def entry(self, kind: Kind, key: Key) -> Entry | None:
        """Return an object with its bytes, or None."""
        with self.lock:
            return self._tables[kind].entries.get(key)

    def select(self, kind: Kind, selection: Selection) -> tuple[list[Entry], int]:
        """Return what matches in order of name, and the version at which it did."""
        with self.lock:
            table = self._tables[kind]
            entries = [
                entry
                for key in sorted(table.candidates(selection))
                if selection.matches((entry := table.entries[key]).manifest)
            ]
            return entries, self.version

    def all(self, kind: Kind) -> dict[Key, Manifest]:
        """Return all objects of a kind by namespace and name."""
        with self.lock:
            return {key: one.manifest for key, one in self._tables[kind].entries.items()}

    def in_namespace(self, kind: Kind, namespace: str) -> list[Manifest]:
        """Return the objects of one namespace."""
        with self.lock:
            table = self._tables[kind]
            return [table.entries[key].manifest for key in table.by_namespace.get(namespace, ())]

    def kinds(self) -> list[Kind]:
        """Return the kinds of which there was ever an object."""
        with self.lock:
            return list(self._tables)

    def count(self, kind: Kind) -> int:
        """Return how many objects of a kind there are."""
        with self.lock:
            return len(self._tables[kind].entries)

    def put(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Keep a new state of an object, which belongs to the store from now on."""
        with self.lock:
            key = key_of(manifest)
            table = self._tables[kind]
            before = table.entries.get(key)
            manifest["metadata"]["resourceVersion"] = str(self.version + 1)
            entry = Entry(kind, manifest)
            table.put(key, entry)
            self._record(Change(self.version + 1, kind, key, before, entry))
            return manifest

    def edit(self, kind: Kind, key: Key, change: Callable[[Manifest], None]) -> Manifest | None:
        """Let ``change`` alter a copy; keep it if it differs. None where there is no object."""
        with self.lock:
            current = self.get(kind, key)
            if current is None:
                return None
            edited: Manifest = copy_of(current)
            change(edited)
            return current if edited == current else self.put(kind, edited)

    def remove(self, kind: Kind, key: Key) -> Manifest | None:
        """Drop an object; return its last state."""
        with self.lock:
            table = self._tables[kind]
            before = table.entries.get(key)
            if before is None:
                return None
            table.drop(key)
            last: Manifest = copy_of(before.manifest)
            last["metadata"]["resourceVersion"] = str(self.version + 1)
            change = Change(self.version + 1, kind, key, before, None, Entry(kind, last))
            self._record(change)
            return last

    def _record(self, change: Change) -> None:
        self.version = change.version
        self._changes.append(change)
        if len(self._changes) > self._history:
            self._forget(self._history // 2)
        for listener in self._listeners:
            listener(change)
        self.changed.notify_all()

    def _forget(self, count: int) -> None:
        self._compacted = self._changes[count - 1].version
        del self._changes[:count]

    def compact(self) -> None:
        """Forget the history: a watch from an older version expires."""
        with self.lock:
            if self._changes:
                self._forget(len(self._changes))

    def is_compacted(self, version: int) -> bool:
        """Say whether changes after ``version`` have been forgotten."""
        with self.lock:
            return version < self._compacted

    def changes_after(self, version: int) -> list[Change]:
        """Return what happened after ``version``; raise where that was forgotten."""
        with self.lock:
            if version < self._compacted:
                raise expired(f"too old resource version: {version} ({self._compacted})")
            # Versions have no gaps, so the place of a change is known.
            return self._changes[version - self._compacted :]

    def close(self) -> None:
        """Let everybody who waits for a change go."""
        with self.lock:
            self.closed = True
            self.changed.notify_all()
