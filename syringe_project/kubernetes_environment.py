"""The ``SYRINGE_KUBERNETES_*`` variables: where lessons' pods come from and what they may do.

Read like ``environment``, and part of the same table in the README.
"""

from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, Json, StringConstraints
from pydantic_settings import BaseSettings, SettingsConfigDict

from syringe_project.environment import ENV_FILE

Quantity = Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
"""An amount of a resource as Kubernetes writes it, such as ``250m`` or ``1Gi``."""

Peers = Json[list[dict[str, Any]]]
"""A list of NetworkPolicyPeer objects, as JSON."""

Port = Annotated[int, Field(ge=1, le=65535)]


def _part_of_the_internet(text: str) -> str:
    network = ip_network(text)
    if network.prefixlen == 0:
        raise ValueError("that is all of it: use none instead of internet")
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise ValueError("this is written as IPv4")
    return str(network)


NetworkPart = Annotated[str, AfterValidator(_part_of_the_internet)]
"""A network in CIDR notation that a rule for the whole internet may leave out."""

DnsName = Annotated[
    str, StringConstraints(pattern=r"^$|^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9-]+)*$")
]


class KubernetesEnvironment(BaseSettings):
    """Only ``scheduler.backends.kubernetes`` reads these."""

    model_config = SettingsConfigDict(
        env_prefix="SYRINGE_KUBERNETES_", env_file=ENV_FILE, frozen=True, extra="ignore"
    )

    kubeconfig: str = Field(
        default="",
        description="Path of a kubeconfig file; empty: the pod's own service account, or outside "
        "a cluster `KUBECONFIG` and `~/.kube/config`.",
    )
    context: str = Field(default="", description="Context of the kubeconfig; empty: its current.")
    timeout_seconds: float = Field(
        default=5, gt=0, le=30, description="Longest call to the API server."
    )
    namespace: DnsName = Field(
        default="syringe", description="Where Syringe's own pods run, for network policies."
    )
    image: str = Field(
        default="antidotelabs/{slug}:{tag}",
        description="Container image of a lesson's image: `{slug}` and `{tag}` are replaced.",
    )
    image_tag: str = Field(default="latest", description="What `{tag}` becomes.")
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field(
        default="IfNotPresent", description="When nodes fetch images."
    )
    pull_config_file: Path | None = Field(
        default=None,
        description="A `.dockerconfigjson` whose credentials every lesson's namespace gets.",
    )
    fetch_image: str = Field(
        default="busybox:1.37",
        description="Image that gets a lesson's folder, by `sh`, `timeout`, `wget`, `sha256sum` "
        "and `tar`.",
    )
    configurator_image: str = Field(
        default="syringe/configurator:latest",
        description="Image that configures endpoints, from `docker/configurator`.",
    )
    jupyter_image: str = Field(
        default="syringe/jupyter:latest",
        description="Image that shows Jupyter guides, from `docker/jupyter`.",
    )
    cpu_request: Quantity = Field(default="100m", description="CPU an endpoint is promised.")
    cpu_limit: Quantity = Field(default="1", description="CPU an endpoint gets at most.")
    memory_request: Quantity = Field(default="128Mi", description="Memory an endpoint is promised.")
    memory_limit: Quantity = Field(default="1Gi", description="Memory an endpoint gets at most.")
    trusted_cpu_limit: Quantity = Field(
        default="2", description="CPU an endpoint gets at most whose image is `trusted`."
    )
    trusted_memory_limit: Quantity = Field(
        default="4Gi",
        description="Memory it gets at most: virtual network devices need more than others.",
    )
    disk_limit: Quantity = Field(
        default="2Gi", description="Disk that an endpoint may write, beside the lesson's folder."
    )
    folder_limit: Quantity = Field(
        default="256Mi", description="Size of `/antidote`, the lesson's folder, in an endpoint."
    )
    runtime_class: DnsName = Field(
        default="",
        description="RuntimeClass of untrusted images, such as `kata` or `gvisor`; empty: the "
        "cluster's default.",
    )
    node_selector: Json[dict[str, str]] = Field(
        default={}, description="Labels of the nodes for lessons, as JSON.", validate_default=False
    )
    tolerations: Json[list[dict[str, Any]]] = Field(
        default=[], description="Tolerations of lessons' pods, as JSON.", validate_default=False
    )
    egress: Literal["none", "internet"] = Field(
        default="none",
        description="What endpoints reach outside their lesson: `internet` leaves out private "
        "networks.",
    )
    configuration_egress: Literal["none", "internet"] = Field(
        default="none", description="The same for configuration jobs."
    )
    egress_except: Json[list[NetworkPart]] = Field(
        default=[],
        description="Networks that are not the internet either, as a JSON list such as "
        '`["203.0.113.0/24"]`: public addresses of your own, or of the API server.',
        validate_default=False,
    )
    access_peers: Peers = Field(
        default=[],
        description="Who connects to endpoints, as a JSON list of NetworkPolicyPeer; empty: the "
        "gateway and workers in Syringe's namespace.",
        validate_default=False,
    )
    ingress_peers: Peers = Field(
        default=[],
        description="The same for the ingress controller; empty: every pod of the namespaces "
        "`ingress-nginx` and `traefik`.",
        validate_default=False,
    )
    bundle_peers: Peers = Field(
        default=[],
        description="The same for the bundle service, where lessons' folders come from; empty: "
        "its pods in Syringe's namespace.",
        validate_default=False,
    )
    dns_peers: Peers = Field(
        default=[],
        description="The same for the cluster's DNS; empty: the pods labelled `k8s-app: kube-dns` "
        "in `kube-system`.",
        validate_default=False,
    )
    dns_ports: Annotated[Json[list[Port]], Field(min_length=1)] = Field(
        default=[53],
        description="Ports of the pods of the cluster's DNS, as a JSON list; OpenShift's are "
        "`[5353]`.",
        validate_default=False,
    )
    ingress_domain: DnsName = Field(
        default="",
        description="Wildcard domain of lessons' web pages, each at a host name of its own; "
        "empty: the gateway shows them below a path.",
    )
    ingress_class: DnsName = Field(
        default="", description="IngressClass of these pages; empty: the cluster's default."
    )
    ingress_tls: str = Field(
        default="default",
        description="`default`: the controller's own wildcard certificate; `none`: plain HTTP; "
        "else the name of a TLS secret that exists in every lesson's namespace.",
    )
    ingress_annotations: Json[dict[str, str]] = Field(
        default={},
        description="Annotations of these Ingresses, as JSON.",
        validate_default=False,
    )
    force_finalize: bool = Field(
        default=False,
        description="Remove the finalizers of namespaces that hang in Terminating for 90 s and "
        "have no pods left; other objects in them may stay behind in the cluster's store for good.",
    )


@cache
def kubernetes_environment() -> KubernetesEnvironment:
    """Return this process's settings; raise pydantic.ValidationError naming what is wrong."""
    return KubernetesEnvironment()
