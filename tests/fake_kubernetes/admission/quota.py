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
from tests.fake_kubernetes.store import Store, key_of

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


def charge(store: Store, kind: Kind, manifest: Manifest, *, dry: bool) -> None:
    """Refuse what is more than the namespace may have, and count what is not.

    Only figures in a quota's status are kept, so one that nobody has counted yet keeps nothing.
    This comes before a name that is taken is noticed: creating again what exists is refused with
    403 where the quota is used up, and else counted twice until the controller comes by.
    https://github.com/kubernetes/kubernetes/issues/70563
    """
    metadata = manifest["metadata"]
    charges: list[tuple[Manifest, Usage]] = []
    for quota in store.in_namespace(kinds.RESOURCE_QUOTAS, metadata["namespace"]):
        name, status = quota["metadata"]["name"], quota.get("status") or {}
        hard, used = status.get("hard") or {}, status.get("used") or {}
        if kind is kinds.PODS and (missing := _unspecified(hard, manifest)):
            why = f"failed quota: {name}: must specify {missing}"
            raise forbidden(kind, metadata["name"], why)
        wanted = {n: v for n, v in usage_of(kind, manifest).items() if n in hard and v}
        if unknown := sorted(wanted.keys() - used.keys()):
            # https://github.com/okd-project/okd/issues/1121
            why = f"status unknown for quota: {name}, resources: {','.join(unknown)}"
            raise forbidden(kind, metadata["name"], why)
        over = [n for n in sorted(wanted) if amount(used[n]) + wanted[n] > amount(hard[n])]
        if over:
            requested = ",".join(f"{n}={written(wanted[n])}" for n in over)
            taken = ",".join(f"{n}={used[n]}" for n in over)
            limited = ",".join(f"{n}={hard[n]}" for n in over)
            why = (
                f"exceeded quota: {name}, requested: {requested}, used: {taken}, limited: {limited}"
            )
            raise forbidden(kind, metadata["name"], why)
        charges.append((quota, wanted))
    for quota, wanted in () if dry else charges:
        _add(store, quota, wanted)


def _add(store: Store, quota: Manifest, wanted: Usage) -> None:
    def write(quota: Manifest) -> None:
        used = quota["status"]["used"]
        used.update({name: written(amount(used[name]) + v) for name, v in wanted.items()})

    if wanted:
        store.edit(kinds.RESOURCE_QUOTAS, key_of(quota), write)


def account(store: Store, namespace: str) -> None:
    """Bring the status of the quotas of a namespace up to date, as their controller does."""
    with store.lock:
        for quota in store.in_namespace(kinds.RESOURCE_QUOTAS, namespace):
            hard = quota["spec"].get("hard") or {}
            used = _used(store, hard, namespace)
            status = {"hard": hard, "used": {n: written(v) for n, v in used.items()}}

            def write(quota: Manifest, status: Manifest = status) -> None:
                quota["status"] = status

            store.edit(kinds.RESOURCE_QUOTAS, key_of(quota), write)
