"""Deleting: grace, finalizers, and what becomes of dependents.

https://kubernetes.io/docs/concepts/architecture/garbage-collection/
https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
"""

from __future__ import annotations

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import Cause, conflict, invalid, not_found, unsupported
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest, now
from tests.fake_kubernetes.store import Key, Store

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


def _policy(kind: Kind, options: Manifest) -> str:
    policy = options.get("propagationPolicy")
    if policy is None:
        if options.get("orphanDependents"):
            return "Orphan"
        # Jobs, alone, leave their pods behind unless told otherwise.
        # https://kubernetes.io/docs/concepts/workloads/controllers/job/#clean-up-finished-jobs-automatically
        return "Orphan" if kind is kinds.JOBS else "Background"
    if policy not in ("Foreground", "Background", "Orphan"):
        causes: list[Cause] = [
            unsupported("propagationPolicy", policy, ("Foreground", "Background", "Orphan"))
        ]
        raise invalid("DeleteOptions", "meta.k8s.io", "", causes)
    return str(policy)


def _grace(kind: Kind, manifest: Manifest, options: Manifest) -> int:
    """Return the seconds that the object is given; only pods that run somewhere get any.

    https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
    """
    if kind is not kinds.PODS:
        return 0
    ended = manifest.get("status", {}).get("phase") in ("Succeeded", "Failed")
    if ended or not manifest["spec"].get("nodeName"):
        return 0
    asked = options.get("gracePeriodSeconds")
    return int(manifest["spec"]["terminationGracePeriodSeconds"] if asked is None else asked)


def _check_preconditions(kind: Kind, manifest: Manifest, options: Manifest) -> None:
    for field, value in (options.get("preconditions") or {}).items():
        actual = manifest["metadata"].get(field)
        if value is not None and value != actual:
            shown = {"uid": "UID", "resourceVersion": "ResourceVersion"}[field]
            why = (
                f"the {shown} in the precondition ({value}) does not match the {shown} in record "
                f"({actual}). The object might have been deleted and then recreated"
            )
            raise conflict(kind, manifest["metadata"]["name"], why)


def delete(store: Store, kind: Kind, key: Key, options: Manifest) -> tuple[Manifest, bool]:
    """Begin to delete an object; return its state and whether it is gone already."""
    with store.lock:
        current = store.get(kind, key)
        if current is None:
            raise not_found(kind, key[1])
        _check_preconditions(kind, current, options)
        policy = _policy(kind, options)
        grace = _grace(kind, current, options)
        wait = kind is kinds.NAMESPACES

        def mark(manifest: Manifest) -> None:
            metadata = manifest["metadata"]
            finalizers = [
                f for f in metadata.get("finalizers", ()) if f not in (FOREGROUND, ORPHAN)
            ]
            if policy == "Foreground":
                finalizers.append(FOREGROUND)
            elif policy == "Orphan":
                finalizers.append(ORPHAN)
            if finalizers or "finalizers" in metadata:
                metadata["finalizers"] = finalizers
            earlier = metadata.get("deletionGracePeriodSeconds")
            if earlier is None or grace < earlier:
                metadata["deletionTimestamp"] = now(grace)
                metadata["deletionGracePeriodSeconds"] = grace
            if wait:
                manifest.setdefault("status", {})["phase"] = "Terminating"
                # Namespaces have no grace period.
                metadata.pop("deletionGracePeriodSeconds", None)
                if "deletionTimestamp" in current["metadata"]:
                    metadata["deletionTimestamp"] = current["metadata"]["deletionTimestamp"]

        finalizers = set(current["metadata"].get("finalizers") or ()) - {FOREGROUND, ORPHAN}
        if not (finalizers or wait or grace) and policy == "Background":
            gone = store.remove(kind, key)
            assert gone is not None
            return gone, True
        marked = store.edit(kind, key, mark)
        assert marked is not None
        return marked, False


def finish(store: Store, kind: Kind, key: Key) -> bool:
    """Remove an object on its way out if nothing holds it any more; say whether it went."""
    with store.lock:
        current = store.get(kind, key)
        if current is None or "deletionTimestamp" not in current["metadata"]:
            return False
        held = bool(current["metadata"].get("finalizers"))
        if kind is kinds.NAMESPACES:
            held = held or bool(current["spec"].get("finalizers"))
        elif current["metadata"].get("deletionGracePeriodSeconds"):
            held = True
        if held:
            return False
        store.remove(kind, key)
        return True


def release(store: Store, kind: Kind, key: Key, finalizer: str) -> None:
    """Take a finalizer away, and with the last one the object."""
    with store.lock:

        def take(manifest: Manifest) -> None:
            finalizers = manifest["metadata"].get("finalizers") or []
            manifest["metadata"]["finalizers"] = [f for f in finalizers if f != finalizer]

        store.edit(kind, key, take)
        finish(store, kind, key)
