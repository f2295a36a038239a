"""Keeps the figures of quotas, at once or after a while.

https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from functools import partial

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.admission import quota
from tests.fake_kubernetes.loop import Loop
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.store import Change, Store


class Quotas:
    """Until it came by, a new quota keeps nothing, and one counts what failed after its turn."""

    def __init__(self, store: Store, loop: Loop, *, after: float) -> None:
        self._store = store
        self._loop = loop
        self._after = after

    def on_change(self, change: Change) -> None:
        """Count again where something was given back, or a quota is another."""
        namespace = change.key[0]
        if namespace and self._matters(change):
            count = partial(quota.account, self._store, namespace)
            if self._after:
                self._loop.later(self._after, count)
            else:
                count()

    def _matters(self, change: Change) -> bool:
        if change.kind is kinds.RESOURCE_QUOTAS and change.after is not None:
            before = change.before.manifest["spec"] if change.before else None
            return bool(before != change.after.manifest["spec"])
        if not self._store.in_namespace(kinds.RESOURCE_QUOTAS, change.key[0]):
            return False
        # What comes is counted when it is admitted.
        return change.after is None or (
            change.kind is kinds.PODS
            and change.before is not None
            and _has_ended(change.after.manifest)
            and not _has_ended(change.before.manifest)
        )


def _has_ended(pod: Manifest) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
