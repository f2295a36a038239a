"""The table of resources that the fake serves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """One resource type; ``name_rule`` is one of ``naming.RULES``."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True
    name_rule: str = "subdomain"
    subresources: frozenset[str] = frozenset()
    generation: bool = False
    custom: bool = False

    @property
    def api_version(self) -> str:
        """What manifests carry as apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """How messages name it, such as ``jobs.batch``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


def _subresources(*names: str) -> frozenset[str]:
    return frozenset(names)


NAMESPACES = Kind(
    "",
    "v1",
    "Namespace",
    "namespaces",
    namespaced=False,
    name_rule="label",
    subresources=_subresources("status", "finalize"),
)
PODS = Kind("", "v1", "Pod", "pods", subresources=_subresources("status", "log"), generation=True)
SERVICES = Kind(
    "", "v1", "Service", "services", name_rule="label-1035", subresources=_subresources("status")
)
SERVICE_ACCOUNTS = Kind("", "v1", "ServiceAccount", "serviceaccounts")
SECRETS = Kind("", "v1", "Secret", "secrets")
CONFIG_MAPS = Kind("", "v1", "ConfigMap", "configmaps")
RESOURCE_QUOTAS = Kind(
    "", "v1", "ResourceQuota", "resourcequotas", subresources=_subresources("status")
)
LIMIT_RANGES = Kind("", "v1", "LimitRange", "limitranges")
EVENTS = Kind("", "v1", "Event", "events")
NODES = Kind("", "v1", "Node", "nodes", namespaced=False, subresources=_subresources("status"))
JOBS = Kind("batch", "v1", "Job", "jobs", subresources=_subresources("status"), generation=True)
NETWORK_POLICIES = Kind(
    "networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", generation=True
)
INGRESSES = Kind(
    "networking.k8s.io",
    "v1",
    "Ingress",
    "ingresses",
    subresources=_subresources("status"),
    generation=True,
)
INGRESS_CLASSES = Kind(
    "networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False, generation=True
)
RUNTIME_CLASSES = Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False)
NETWORK_ATTACHMENTS = Kind(
    "k8s.cni.cncf.io",
    "v1",
    "NetworkAttachmentDefinition",
    "network-attachment-definitions",
    generation=True,
    custom=True,
)

BUILT_IN = (
    NAMESPACES,
    PODS,
    SERVICES,
    SERVICE_ACCOUNTS,
    SECRETS,
    CONFIG_MAPS,
    RESOURCE_QUOTAS,
    LIMIT_RANGES,
    EVENTS,
    NODES,
    JOBS,
    NETWORK_POLICIES,
    INGRESSES,
    INGRESS_CLASSES,
    RUNTIME_CLASSES,
)


class Kinds:
    """The kinds that one cluster has installed."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._by_path = {(kind.group, kind.version, kind.plural): kind for kind in kinds}

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._by_path.values())

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """Return the kind at a place of the API, or None where nothing is installed."""
        return self._by_path.get((group, version, plural))
