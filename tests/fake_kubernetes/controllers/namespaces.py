"""The life of namespaces.

https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace
"""

from __future__ import annotations

import threading
from fnmatch import fnmatchcase
from functools import partial

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.controllers.status import set_condition
from tests.fake_kubernetes.deletion import delete, finish
from tests.fake_kubernetes.errors import ApiError
from tests.fake_kubernetes.kinds import Kind, Kinds
from tests.fake_kubernetes.loop import Loop
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.registry import Registry
from tests.fake_kubernetes.store import Change


class Holds:
    """Namespaces that hang in Terminating, as if something in them kept a finalizer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._patterns: dict[str, str] = {}

    def hold(self, pattern: str, finalizer: str = "example.com/never-removed") -> None:
        """Let namespaces whose name matches a shell pattern hang when they are deleted."""
        with self._lock:
            self._patterns[pattern] = finalizer

    def release(self, pattern: str) -> None:
        """Let them go."""
        with self._lock:
            self._patterns.pop(pattern, None)

    def finalizer(self, namespace: str) -> str:
        """Return what holds a namespace, if anything does."""
        with self._lock:
            for pattern, finalizer in self._patterns.items():
                if fnmatchcase(namespace, pattern):
                    return finalizer
        return ""


class Namespaces:
    """Gives namespaces their account and config map, and empties those to be deleted."""

    def __init__(
        self, registry: Registry, loop: Loop, installed: Kinds, holds: Holds, *, interval: float
    ) -> None:
        self._registry = registry
        self._store = registry.store
        self._loop = loop
        self._kinds: list[Kind] = [kind for kind in installed if kind.namespaced]
        self._holds = holds
        self._interval = interval

    def on_change(self, change: Change) -> None:
        """Act on what is new and on what is to go."""
        if change.kind is not kinds.NAMESPACES or change.after is None:
            return
        name = change.key[1]
        if change.before is None:
            self._loop.soon(partial(self._furnish, name))
        elif (
            "deletionTimestamp" in change.after.manifest["metadata"]
            and "deletionTimestamp" not in change.before.manifest["metadata"]
        ):
            self._loop.soon(partial(self._empty, name, change.after.manifest["metadata"]["uid"]))

    def _furnish(self, namespace: str) -> None:
        """https://kubernetes.io/docs/concepts/security/service-accounts/#default-service-accounts"""
        for kind, name in (
            (kinds.SERVICE_ACCOUNTS, "default"),
            (kinds.CONFIG_MAPS, "kube-root-ca.crt"),
        ):
            manifest: Manifest = {
                "apiVersion": kind.api_version,
                "kind": kind.kind,
                "metadata": {"name": name, "namespace": namespace},
            }
            try:
                self._registry.create(kind, manifest, manager="")
            except ApiError:
                return

    def _empty(self, name: str, uid: str) -> None:
        """Delete what is inside, say what remains, and come again until nothing does."""
        with self._store.lock:
            namespace = self._store.get(kinds.NAMESPACES, ("", name))
            if namespace is None or namespace["metadata"]["uid"] != uid:
                return
            for kind in self._kinds:
                for manifest in self._store.in_namespace(kind, name):
                    if "deletionTimestamp" not in manifest["metadata"]:
                        key = (name, manifest["metadata"]["name"])
                        delete(self._store, kind, key, {"propagationPolicy": "Background"})
            remaining, finalizers = self._remaining(name)
            held = self._holds.finalizer(name)
            if held:
                remaining.append("widgets.example.com has 1 resource instances")
                finalizers[held] = finalizers.get(held, 0) + 1
            self._store.edit(kinds.NAMESPACES, ("", name), partial(_report, remaining, finalizers))
            if not remaining:
                self._store.edit(kinds.NAMESPACES, ("", name), _emptied)
                finish(self._store, kinds.NAMESPACES, ("", name))
                return
        self._loop.later(self._interval, partial(self._empty, name, uid))

    def _remaining(self, name: str) -> tuple[list[str], dict[str, int]]:
        remaining = []
        finalizers: dict[str, int] = {}
        for kind in self._kinds:
            left = self._store.in_namespace(kind, name)
            if left:
                remaining.append(f"{kind.resource} has {len(left)} resource instances")
            for manifest in left:
                for finalizer in manifest["metadata"].get("finalizers") or ():
                    finalizers[finalizer] = finalizers.get(finalizer, 0) + 1
        return remaining, finalizers


def _emptied(namespace: Manifest) -> None:
    finalizers = namespace["spec"].get("finalizers") or []
    namespace["spec"]["finalizers"] = [f for f in finalizers if f != "kubernetes"]


# https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/namespace/deletion/
# status_condition_utils.go has the reasons and messages.
_FINE = (
    (
        "NamespaceDeletionDiscoveryFailure",
        "ResourcesDiscovered",
        "All resources successfully discovered",
    ),
    (
        "NamespaceDeletionGroupVersionParsingFailure",
        "ParsedGroupVersions",
        "All legacy kube types successfully parsed",
    ),
    (
        "NamespaceDeletionContentFailure",
        "ContentDeleted",
        "All content successfully deleted, may be waiting on finalization",
    ),
)


def _report(remaining: list[str], finalizers: dict[str, int], namespace: Manifest) -> None:
    status = namespace["status"]
    for kind, reason, message in _FINE:
        set_condition(status, kind, "False", reason, message)
    if remaining:
        message = "Some resources are remaining: " + ", ".join(remaining)
        set_condition(status, "NamespaceContentRemaining", "True", "SomeResourcesRemain", message)
    else:
        message = "All content successfully removed"
        set_condition(status, "NamespaceContentRemaining", "False", "ContentRemoved", message)
    if finalizers:
        listed = ", ".join(
            f"{name} in {count} resource instances" for name, count in sorted(finalizers.items())
        )
        message = f"Some content in the namespace has finalizers remaining: {listed}"
        set_condition(
            status, "NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", message
        )
    else:
        message = "All content-preserving finalizers finished"
        set_condition(
            status, "NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", message
        )
    for condition in status["conditions"]:
        condition.pop("lastProbeTime", None)
