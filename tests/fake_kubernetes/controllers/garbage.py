"""What becomes of objects whose owner is deleted.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/#owners-dependents
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial

from tests.fake_kubernetes.deletion import FOREGROUND, ORPHAN, delete, release
from tests.fake_kubernetes.errors import ApiError
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.loop import Loop
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.store import Change, Key, Store

Place = tuple[Kind, Key]


def _owners(manifest: Manifest) -> set[str]:
    return {owner["uid"] for owner in manifest["metadata"].get("ownerReferences") or ()}


class GarbageCollector:
    """Knows who depends on whom."""

    def __init__(self, store: Store, loop: Loop) -> None:
        self._store = store
        self._loop = loop
        self._dependents: dict[str, set[Place]] = defaultdict(set)
        self._owned_by: dict[Place, set[str]] = {}
        self._alive: dict[str, Place] = {}

    def on_change(self, change: Change) -> None:
        """Keep the graph, and act on objects that go or want to go."""
        place = (change.kind, change.key)
        if change.before is not None:
            for uid in self._owned_by.pop(place, ()):
                self._dependents[uid].discard(place)
        if change.after is None:
            assert change.before is not None
            gone = change.before.manifest
            self._alive.pop(gone["metadata"]["uid"], None)
            if self._dependents.get(gone["metadata"]["uid"]):
                self._loop.soon(partial(self._collect, gone["metadata"]["uid"]))
            for uid in _owners(gone):
                self._loop.soon(partial(self._finish_foreground, uid))
            return
        manifest = change.after.manifest
        metadata = manifest["metadata"]
        self._alive[metadata["uid"]] = place
        owners = _owners(manifest)
        if owners:
            self._owned_by[place] = owners
            for uid in owners:
                self._dependents[uid].add(place)
            if change.before is None and owners.isdisjoint(self._alive):
                self._loop.soon(partial(self._collect, next(iter(owners))))
        waits = set(metadata.get("finalizers") or ())
        if "deletionTimestamp" in metadata and waits & {FOREGROUND, ORPHAN}:
            self._loop.soon(partial(self._prepare, metadata["uid"]))

    def _collect(self, uid: str) -> None:
        """Delete the dependents of what is gone, unless they have another owner."""
        with self._store.lock:
            for kind, key in list(self._dependents.get(uid, ())):
                manifest = self._store.get(kind, key)
                if manifest and _owners(manifest).isdisjoint(self._alive):
                    self._delete(kind, key, {"propagationPolicy": "Background"})

    def _delete(self, kind: Kind, key: Key, options: Manifest) -> None:
        manifest = self._store.get(kind, key)
        if manifest is None or "deletionTimestamp" in manifest["metadata"]:
            return
        try:
            delete(self._store, kind, key, options)
        except ApiError:
            return

    def _prepare(self, uid: str) -> None:
        """Delete or release dependents first, as the owner's deletion was asked for."""
        with self._store.lock:
            place = self._alive.get(uid)
            owner = self._store.get(*place) if place else None
            if place is None or owner is None:
                return
            if ORPHAN in (owner["metadata"].get("finalizers") or ()):
                for kind, key in list(self._dependents.get(uid, ())):
                    self._store.edit(kind, key, partial(_disown, uid))
                release(self._store, *place, ORPHAN)
                return
            for kind, key in list(self._dependents.get(uid, ())):
                self._delete(kind, key, {"propagationPolicy": "Foreground"})
        self._finish_foreground(uid)

    def _finish_foreground(self, uid: str) -> None:
        """Let an owner go once nothing blocks it any more."""
        with self._store.lock:
            place = self._alive.get(uid)
            owner = self._store.get(*place) if place else None
            if place is None or owner is None or "deletionTimestamp" not in owner["metadata"]:
                return
            for dependent in self._dependents.get(uid, ()):
                manifest = self._store.get(*dependent)
                for reference in (manifest or {"metadata": {}})["metadata"].get(
                    "ownerReferences", ()
                ):
                    if reference["uid"] == uid and reference.get("blockOwnerDeletion"):
                        return
            if FOREGROUND in (owner["metadata"].get("finalizers") or ()):
                release(self._store, *place, FOREGROUND)


def _disown(uid: str, manifest: Manifest) -> None:
    owners = manifest["metadata"].get("ownerReferences") or []
    manifest["metadata"]["ownerReferences"] = [o for o in owners if o["uid"] != uid]
