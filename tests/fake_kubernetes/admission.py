"""Admission: what the rest of the cluster says about an object.

https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/
"""

from __future__ import annotations

from tests.fake_kubernetes import kinds
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
        raise forbidden(
            kind,
            manifest["metadata"].get("name", ""),
            f"unable to create new content in namespace {name} because it is being terminated",
            Cause(
                "NamespaceTerminating",
                "metadata.namespace",
                f"namespace {name} is being terminated",
            ),
        )


def mutate(store: Store, kind: Kind, manifest: Manifest) -> None:
    """Fill in what the namespace demands."""


def check_policies(store: Store, kind: Kind, manifest: Manifest) -> None:
    """Refuse what the policies of the namespace do not allow."""


def account(store: Store, kind: Kind, namespace: str) -> None:
    """Bring the figures of quotas up to date."""
