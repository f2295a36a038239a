"""ResourceQuotas.

https://kubernetes.io/docs/concepts/policy/resource-quotas/
"""

from __future__ import annotations

from decimal import Decimal

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import forbidden
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.quantities import amount, written
from tests.fake_kubernetes.store import Store

Usage = dict[str, Decimal]

_COUNTED = {
    kind: kind.plural
    for kind in (
        kinds.PODS,
        kinds.SERVICES,
        kinds.SECRETS,
        kinds.CONFIG_MAPS,
        kinds.RESOURCE_QUOTAS,
    )
}


def _pod_usage(pod: Manifest) -> Usage:
    """Return what a pod takes: its containers together, or its greediest init container."""
    if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
        return {}
    spec = pod["spec"]
    usage: Usage = {"pods": Decimal(1)}
    for part in ("requests", "limits"):
        total: Usage = {}
        for container in spec["containers"]:
            for name, value in ((container.get("resources") or {}).get(part) or {}).items():
                total[name] = total.get(name, Decimal(0)) + amount(value)
        for container in spec.get("initContainers") or ():
            for name, value in ((container.get("resources") or {}).get(part) or {}).items():
                total[name] = max(total.get(name, Decimal(0)), amount(value))
        for name, value in (spec.get("overhead") or {}).items():
            total[name] = total.get(name, Decimal(0)) + amount(value)
        for name, number in total.items():
            usage[f"{part}.{name}"] = number
            if part == "requests":
                usage[name] = number
    return usage


def usage_of(kind: Kind, manifest: Manifest) -> Usage:
    """Return what an object takes of any quota."""
    usage: Usage = {}
    if kind is kinds.PODS:
        usage |= _pod_usage(manifest)
        if not usage:
            return usage
    elif kind in _COUNTED:
        usage[_COUNTED[kind]] = Decimal(1)
    if kind is kinds.SERVICES:
        counted = manifest["spec"].get("type")
        usage["services.nodeports"] = Decimal(counted in ("NodePort", "LoadBalancer"))
        usage["services.loadbalancers"] = Decimal(counted == "LoadBalancer")
    usage[f"count/{kind.resource}"] = Decimal(1)
    return usage


def _used(store: Store, hard: Manifest, namespace: str) -> Usage:
    used = dict.fromkeys(hard, Decimal(0))
    for kind in store.kinds():
        for manifest in store.in_namespace(kind, namespace) if kind.namespaced else ():
            for name, number in usage_of(kind, manifest).items():
                if name in used:
                    used[name] += number
    return used


# https://kubernetes.io/docs/concepts/policy/resource-quotas/#requests-compared-to-limits
def _unspecified(hard: Manifest, pod: Manifest) -> str:
    """Say which limited resources a container leaves open."""
    missing: dict[str, list[str]] = {}
    for name in hard:
        part, _, resource = name.rpartition(".")
        if resource not in ("cpu", "memory"):
            continue
        for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
            amounts = (container.get("resources") or {}).get(part or "requests") or {}
            if resource not in amounts:
                missing.setdefault(name, []).append(container["name"])
    return "; ".join(f"{name} for: {','.join(who)}" for name, who in sorted(missing.items()))


def check(store: Store, kind: Kind, manifest: Manifest) -> None:
    """Refuse what is more than the namespace may have.

    This comes before a name that is taken is noticed: creating again what exists is refused with
    403 where the quota is used up. https://github.com/kubernetes/kubernetes/issues/70563
    """
    metadata = manifest["metadata"]
    for quota in store.in_namespace(kinds.RESOURCE_QUOTAS, metadata["namespace"]):
        name, hard = quota["metadata"]["name"], (quota["spec"].get("hard") or {})
        if kind is kinds.PODS and (missing := _unspecified(hard, manifest)):
            why = f"failed quota: {name}: must specify {missing}"
            raise forbidden(kind, metadata["name"], why)
        wanted = {n: v for n, v in usage_of(kind, manifest).items() if n in hard and v}
        if not wanted:
            continue
        known = quota["status"].get("hard")
        if known != hard:
            # https://github.com/okd-project/okd/issues/1121: until its controller came by.
            why = f"status unknown for quota: {name}, resources: {','.join(sorted(wanted))}"
            raise forbidden(kind, metadata["name"], why)
        used = _used(store, hard, metadata["namespace"])
        over = [n for n in sorted(wanted) if used[n] + wanted[n] > amount(hard[n])]
        if over:
            requested = ",".join(f"{n}={written(wanted[n])}" for n in over)
            taken = ",".join(f"{n}={written(used[n])}" for n in over)
            limited = ",".join(f"{n}={hard[n]}" for n in over)
            why = (
                f"exceeded quota: {name}, requested: {requested}, used: {taken}, limited: {limited}"
            )
            raise forbidden(kind, metadata["name"], why)


def account(store: Store, namespace: str) -> None:
    """Bring the status of the quotas of a namespace up to date, as their controller does."""
    with store.lock:
        for quota in store.in_namespace(kinds.RESOURCE_QUOTAS, namespace):
            hard = quota["spec"].get("hard") or {}
            used = _used(store, hard, namespace)
            status = {"hard": hard, "used": {n: written(v) for n, v in used.items()}}
            key = (namespace, quota["metadata"]["name"])

            def write(quota: Manifest, status: Manifest = status) -> None:
                quota["status"] = status

            store.edit(kinds.RESOURCE_QUOTAS, key, write)
