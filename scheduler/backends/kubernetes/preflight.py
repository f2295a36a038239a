"""What a cluster must have before lessons can run there; each answer says the way out."""

from collections.abc import Callable, Iterator, Sequence

from scheduler.backends.base import BackendRejected, BackendUnavailable
from scheduler.backends.kubernetes.client import Cluster
from scheduler.backends.kubernetes.resources import RESOURCES
from syringe_project.kubernetes_environment import KubernetesEnvironment

OLDEST_VERSION = (1, 29)


def problems(connect: Callable[[], Cluster], settings: KubernetesEnvironment) -> Sequence[str]:
    """Name what prevents lessons from running on the cluster; one call for each right."""
    try:
        return list(_problems(connect(), settings))
    except (BackendUnavailable, BackendRejected) as error:
        return [f"{error} (see SYRINGE_KUBERNETES_KUBECONFIG and SYRINGE_KUBERNETES_CONTEXT)"]


def _problems(cluster: Cluster, settings: KubernetesEnvironment) -> Iterator[str]:
    version = cluster.version()
    if version < OLDEST_VERSION:
        yield (
            f"The cluster runs Kubernetes {_dotted(version)}: upgrade it to "
            f"{_dotted(OLDEST_VERSION)} or newer."
        )
    if missing := list(_missing_rights(cluster, settings)):
        yield (
            f"The cluster does not let this account {', '.join(missing)}: apply the ClusterRole "
            "of docker/kubernetes and bind it to the account."
        )
        return
    if settings.runtime_class and cluster.read("RuntimeClass", settings.runtime_class) is None:
        yield (
            f"The cluster has no RuntimeClass {settings.runtime_class}: create it, or unset "
            "SYRINGE_KUBERNETES_RUNTIME_CLASS."
        )
    if settings.ingress_class and cluster.read("IngressClass", settings.ingress_class) is None:
        yield (
            f"The cluster has no IngressClass {settings.ingress_class}: install its controller, "
            "or change SYRINGE_KUBERNETES_INGRESS_CLASS."
        )


def _missing_rights(cluster: Cluster, settings: KubernetesEnvironment) -> Iterator[str]:
    """Yield each verb and resource that the account lacks in some namespace."""
    unused = {"RuntimeClass": settings.runtime_class, "IngressClass": settings.ingress_class}
    for resource in RESOURCES.values():
        if unused.get(resource.kind) == "":
            continue
        for verb in resource.verbs:
            if not cluster.may(verb, resource):
                yield f"{verb} {resource.plural}"
    if settings.force_finalize and not cluster.may("update", RESOURCES["Namespace"], "finalize"):
        yield "update namespaces/finalize"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
