"""LimitRanges for containers.

https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.errors import forbidden
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.quantities import amount, is_quantity
from tests.fake_kubernetes.store import Store


def _limits(store: Store, pod: Manifest) -> Iterator[Manifest]:
    for limit_range in store.in_namespace(kinds.LIMIT_RANGES, pod["metadata"]["namespace"]):
        for limit in limit_range["spec"].get("limits") or ():
            if limit["type"] == "Container":
                yield limit


def _containers(pod: Manifest) -> list[Manifest]:
    spec = pod["spec"]
    return [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]


def fill_in(store: Store, pod: Manifest) -> None:
    """Give containers the defaults of their namespace."""
    for limit in _limits(store, pod):
        for container in _containers(pod):
            resources = container.setdefault("resources", {})
            for part, defaults in (("requests", "defaultRequest"), ("limits", "default")):
                for name, value in (limit.get(defaults) or {}).items():
                    resources.setdefault(part, {}).setdefault(name, value)


def check(store: Store, pod: Manifest) -> None:
    """Refuse a pod with a container that wants too much or too little."""
    problems = []
    for limit in _limits(store, pod):
        for container in _containers(pod):
            resources = container.get("resources") or {}
            problems += _problems(limit, resources)
    if problems:
        listed = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        raise forbidden(kinds.PODS, pod["metadata"]["name"], listed)


def _problems(limit: Manifest, resources: Manifest) -> list[str]:
    problems = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, most in (limit.get("max") or {}).items():
        value = limits.get(name)
        if value is None:
            problems.append(f"maximum {name} usage per Container is {most}.  No limit is specified")
        elif is_quantity(value) and amount(value) > amount(most):
            problems.append(f"maximum {name} usage per Container is {most}, but limit is {value}")
    for name, least in (limit.get("min") or {}).items():
        value = requests.get(name)
        if value is None:
            problems.append(
                f"minimum {name} usage per Container is {least}.  No request is specified"
            )
        elif is_quantity(value) and amount(value) < amount(least):
            problems.append(
                f"minimum {name} usage per Container is {least}, but request is {value}"
            )
    return problems
