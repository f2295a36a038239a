"""Admission: what the rest of the cluster says about an object.

https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.admission import accounts, limits, pod_security, quota
from tests.fake_kubernetes.errors import Cause, forbidden, not_found
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.store import Store


# https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#namespacelifecycle
def check_namespace(store: Store, kind: Kind, manifest: Manifest) -> None:
    """Refuse creation in a namespace that is missing or on its way out."""
    if not kind.namespaced:
        return
    name = manifest["metadata"]["namespace"]
    namespace = store.get(kinds.NAMESPACES, ("", name))
    if namespace is None:
        raise not_found(kinds.NAMESPACES, name)
    if "deletionTimestamp" in namespace["metadata"]:
        cause = Cause(
            "NamespaceTerminating", "metadata.namespace", f"namespace {name} is being terminated"
        )
        raise forbidden(
            kind,
            manifest["metadata"].get("name", ""),
            f"unable to create new content in namespace {name} because it is being terminated",
            cause,
        )


def mutate(store: Store, kind: Kind, manifest: Manifest) -> None:
    """Fill in what the cluster and the namespace demand of something new."""
    if kind is kinds.PODS:
        accounts.give_account(store, manifest)
        limits.fill_in(store, manifest)
        _check_runtime_class(store, manifest)
    if kind is kinds.INGRESSES:
        _default_ingress_class(store, manifest)


def check_policies(store: Store, kind: Kind, manifest: Manifest, *, dry: bool) -> None:
    """Refuse what the policies of the namespace do not allow; quotas have the last word."""
    if kind is kinds.PODS:
        limits.check(store, manifest)
        pod_security.check(store, manifest)
    if kind.namespaced:
        quota.charge(store, kind, manifest, dry=dry)


# https://kubernetes.io/docs/concepts/containers/runtime-class/#usage
def _check_runtime_class(store: Store, pod: Manifest) -> None:
    name = pod["spec"].get("runtimeClassName")
    if not name:
        return
    runtime = store.get(kinds.RUNTIME_CLASSES, ("", name))
    if runtime is None:
        why = f'pod rejected: RuntimeClass "{name}" not found'
        raise forbidden(kinds.PODS, pod["metadata"]["name"], why)
    overhead = (runtime.get("overhead") or {}).get("podFixed")
    if overhead:
        pod["spec"]["overhead"] = overhead


# https://kubernetes.io/docs/concepts/services-networking/ingress/#default-ingress-class
def _default_ingress_class(store: Store, ingress: Manifest) -> None:
    if ingress["spec"].get("ingressClassName"):
        return
    for one in store.in_namespace(kinds.INGRESS_CLASSES, ""):
        annotations = one["metadata"].get("annotations") or {}
        if annotations.get("ingressclass.kubernetes.io/is-default-class") == "true":
            ingress["spec"]["ingressClassName"] = one["metadata"]["name"]
