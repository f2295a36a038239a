"""Which resources of the API this backend knows, and what it does with each."""

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """Where the API has a kind of object, and the verbs that the backend uses on it.

    ``installed_by`` names the add-on without which a cluster does not know the kind.
    """

    kind: str
    api_version: str
    plural: str
    verbs: tuple[str, ...]
    namespaced: bool = True
    installed_by: str = ""

    @property
    def group(self) -> str:
        """The API group, empty for the core's."""
        group, slash, _ = self.api_version.partition("/")
        return group if slash else ""

    @property
    def api_path(self) -> str:
        """Where the API's discovery lists the resources of this group and version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"

    def path(self, *, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of an object, or without a name that of all of them."""
        parts = [self.api_path]
        if namespace and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)


_APPLIED = ("create", "patch")
"""Server-side apply needs both: https://kubernetes.io/docs/reference/using-api/server-side-apply/"""
_OBSERVED = ("create", "list", "watch")

RESOURCES: dict[str, Resource] = {
    resource.kind: resource
    for resource in (
        Resource("Namespace", "v1", "namespaces", (*_OBSERVED, "get", "delete"), namespaced=False),
        Resource("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies", _APPLIED),
        Resource("ResourceQuota", "v1", "resourcequotas", _APPLIED),
        Resource("LimitRange", "v1", "limitranges", _APPLIED),
        Resource("ServiceAccount", "v1", "serviceaccounts", _APPLIED),
        Resource("Secret", "v1", "secrets", _APPLIED),
        Resource(
            "NetworkAttachmentDefinition",
            "k8s.cni.cncf.io/v1",
            "network-attachment-definitions",
            _APPLIED,
            installed_by="Multus",
        ),
        Resource("Service", "v1", "services", _APPLIED),
        Resource("Ingress", "networking.k8s.io/v1", "ingresses", _APPLIED),
        Resource("Pod", "v1", "pods", _OBSERVED),
        Resource("Job", "batch/v1", "jobs", _OBSERVED),
        Resource("RuntimeClass", "node.k8s.io/v1", "runtimeclasses", ("get",), namespaced=False),
        Resource(
            "IngressClass", "networking.k8s.io/v1", "ingressclasses", ("get",), namespaced=False
        ),
        # Every authenticated account may ask what it may do.
        Resource(
            "SelfSubjectAccessReview",
            "authorization.k8s.io/v1",
            "selfsubjectaccessreviews",
            (),
            namespaced=False,
        ),
    )
}
"""By kind; ``verbs`` are what the role of Syringe's service account has to grant."""
