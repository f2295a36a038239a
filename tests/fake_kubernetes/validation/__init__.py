"""Rules on the fields of one object: 422 with every problem at once.

https://kubernetes.io/docs/reference/kubernetes-api/ has the fields of each kind.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import Cause, forbidden_field, required
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.naming import check_annotations, check_labels, check_name
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.validation import networking, others, pods, updates

_PROBLEMS: dict[Kind, Callable[[Manifest], list[Cause]]] = {
    kinds.PODS: pods.pod,
    kinds.JOBS: pods.job,
    kinds.SERVICES: networking.service,
    kinds.NETWORK_POLICIES: networking.network_policy,
    kinds.INGRESSES: networking.ingress,
    kinds.SECRETS: others.secret,
    kinds.NAMESPACES: others.namespace,
    kinds.RESOURCE_QUOTAS: others.resource_quota,
    kinds.LIMIT_RANGES: others.limit_range,
}


def _metadata(kind: Kind, manifest: Manifest) -> list[Cause]:
    metadata = manifest["metadata"]
    name = metadata.get("name", "")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    causes = check_name("metadata.name", name, kind.name_rule)
    causes += check_labels("metadata.labels", metadata.get("labels") or {})
    causes += check_annotations("metadata.annotations", metadata.get("annotations") or {})
    for place, owner in enumerate(metadata.get("ownerReferences") or ()):
        field = f"metadata.ownerReferences[{place}]"
        causes += [
            required(f"{field}.{key}") for key in ("uid", "name", "kind") if not owner.get(key)
        ]
    return causes


def problems(kind: Kind, manifest: Manifest) -> list[Cause]:
    """Return what is wrong with an object that is created or changed."""
    special = _PROBLEMS.get(kind)
    return _metadata(kind, manifest) + (special(manifest) if special else [])


def problems_of_update(kind: Kind, new: Manifest, old: Manifest) -> list[Cause]:
    """Return what may not change and did."""
    causes = updates.problems(kind, new, old)
    # https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/#how-finalizers-work
    before = old["metadata"].get("finalizers") or ()
    added = [f for f in new["metadata"].get("finalizers") or () if f not in before]
    if added and "deletionTimestamp" in old["metadata"]:
        listed = ", ".join(f'"{finalizer}"' for finalizer in added)
        causes.append(
            forbidden_field(
                "metadata.finalizers",
                "no new finalizers can be added if the object is being deleted, found new "
                f"finalizers []string{{{listed}}}",
            )
        )
    return causes
