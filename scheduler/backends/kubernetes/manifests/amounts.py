"""Amounts of CPU, memory and disk: defaults, an image's own, and sums."""

import re
from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, Decimal

from scheduler.backends.base import BackendRejected, ImageSpec, ResourceSpec
from scheduler.backends.kubernetes.manifests.types import Manifest
from syringe_project.kubernetes_environment import KubernetesEnvironment

_FORM = re.compile(r"(?P<number>[0-9]+(\.[0-9]*)?|\.[0-9]+)(?P<unit>[a-zA-Z]{0,2})")
_UNITS: Mapping[str, Decimal] = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}
_MEBIBYTE = Decimal(1024) ** 2


def amount(text: str) -> Decimal:
    """Read an amount as Kubernetes writes it; raise BackendRejected for what is none."""
    match = _FORM.fullmatch(text)
    if match is None or match["unit"] not in _UNITS:
        raise BackendRejected(reason=f"{text!r} is not an amount such as 250m or 1Gi")
    return Decimal(match["number"]) * _UNITS[match["unit"]]


def amount_text(resource: str, value: Decimal) -> str:
    """Write an amount, rounded up: CPU in thousandths, else bytes in Mi where that is exact."""
    if resource == "cpu":
        return f"{(value * 1000).to_integral_value(ROUND_CEILING)}m"
    if value % _MEBIBYTE == 0:
        return f"{value / _MEBIBYTE:.0f}Mi"
    return str(value.to_integral_value(ROUND_CEILING))


def endpoint_resources(image: ImageSpec, settings: KubernetesEnvironment) -> Manifest:
    """Return an endpoint's requests and limits: the image's own, else the installation's."""
    if image.flavor != "trusted":
        return container_resources(image.resources, settings)
    changes = {
        "cpu_limit": settings.trusted_cpu_limit,
        "memory_limit": settings.trusted_memory_limit,
    }
    return container_resources(image.resources, settings.model_copy(update=changes))


def container_resources(wanted: ResourceSpec, settings: KubernetesEnvironment) -> Manifest:
    """Return a container's requests and limits: the image's own, else the installation's.

    Where only one of a pair is the image's own, the other gives way, as a request above its limit
    would be refused. A pod's disk counts the lesson's folder, too.
    """
    cpu = _pair(wanted.cpu_request, wanted.cpu_limit, settings.cpu_request, settings.cpu_limit)
    memory = _pair(
        wanted.memory_request,
        wanted.memory_limit,
        settings.memory_request,
        settings.memory_limit,
    )
    disk = amount(settings.folder_limit) + amount(settings.disk_limit)
    storage = (settings.folder_limit, amount_text("ephemeral-storage", disk))
    pairs = {"cpu": cpu, "memory": memory, "ephemeral-storage": storage}
    return {
        "requests": {name: request for name, (request, _) in pairs.items()},
        "limits": {name: limit for name, (_, limit) in pairs.items()},
    }


def total(resources: Iterable[Manifest]) -> dict[str, str]:
    """Return the sums of containers' requests and limits under a quota's keys."""
    sums: dict[tuple[str, str], Decimal] = {}
    for container in resources:
        for kind in ("requests", "limits"):
            for name, text in container[kind].items():
                sums[kind, name] = sums.get((kind, name), Decimal(0)) + amount(text)
    return {f"{kind}.{name}": amount_text(name, value) for (kind, name), value in sums.items()}


def _pair(request: str, limit: str, usual_request: str, usual_limit: str) -> tuple[str, str]:
    if limit and not request:
        return min(usual_request, limit, key=amount), limit
    if request and not limit:
        return request, max(usual_limit, request, key=amount)
    return request or usual_request, limit or usual_limit
