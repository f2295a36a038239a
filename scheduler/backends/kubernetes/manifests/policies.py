"""Network policies: nothing in, nothing out, but for what is said here.

Rules of several policies add up, so there are at most three. They are written as the API server
returns them, without empty lists and with every default, so that what it stored can be compared.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from scheduler.backends.base import BackendRejected, EnvironmentSpec, ReasonCode
from scheduler.backends.kubernetes.labels import ENDPOINT, ROLE, Role
from scheduler.backends.kubernetes.manifests.ingresses import web_pages
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.options import Options
from syringe_project.kubernetes_environment import KubernetesEnvironment

_NAMESPACE_NAME = "kubernetes.io/metadata.name"
_COMPONENT = "app.kubernetes.io/component"
_SCHEME_PORTS = {"http": 80, "https": 443}

# What is not the internet: private, shared, loopback, link-local (cloud metadata), multicast and
# reserved addresses, and those that translate to them.
_NOT_INTERNET = {
    "0.0.0.0/0": [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    ],
    "::/0": [
        "::/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    ],
}


def network_policies(spec: EnvironmentSpec, options: Options) -> list[Manifest]:
    """Return an environment's policies."""
    policies = [_policy("isolation", _isolation(spec, options), spec, options)]
    if options.settings.ingress_domain and (pages := web_pages(spec.lesson)):
        names = list(dict.fromkeys(endpoint for endpoint, _ in pages))
        body = {
            "podSelector": _one_of(ENDPOINT, names),
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": _ingress_peers(options.settings),
                    "ports": _ports(page.port for _, page in pages),
                }
            ],
        }
        policies.append(_policy("web", body, spec, options))
    if roles := _roles_with_egress(options.settings):
        body = {
            "podSelector": _one_of(ROLE, roles),
            "policyTypes": ["Egress"],
            "egress": [
                {
                    "to": [
                        {"ipBlock": {"cidr": everything, "except": excepted}}
                        for everything, excepted in _not_internet(options.settings).items()
                    ]
                }
            ],
        }
        policies.append(_policy("internet", body, spec, options))
    return policies


def _isolation(spec: EnvironmentSpec, options: Options) -> Manifest:
    settings = options.settings
    inside: Manifest = {"podSelector": {}}
    ports = sorted({port for endpoint in spec.lesson.endpoints for port in endpoint.ports})
    ingress: list[Manifest] = [{"from": [inside]}]
    # No ports in a rule would be all ports.
    if ports:
        ingress.append({"from": _access_peers(settings), "ports": _ports(ports)})
    egress: list[Manifest] = [
        {"to": [inside]},
        {
            "to": _dns_peers(settings),
            "ports": [
                _port(number, protocol)
                for number in settings.dns_ports
                for protocol in ("UDP", "TCP")
            ],
        },
    ]
    if spec.bundle_url:
        egress.append({"to": _bundle_peers(settings), "ports": [_port(_port_of(spec.bundle_url))]})
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": ingress,
        "egress": egress,
    }


def _roles_with_egress(settings: KubernetesEnvironment) -> list[str]:
    roles: list[str] = []
    if settings.configuration_egress == "internet":
        roles.extend((Role.CONFIGURATION.value, Role.CHECK.value))
    if settings.egress == "internet":
        roles.extend((Role.ENDPOINT.value, Role.GUIDE.value))
    return roles


def _not_internet(settings: KubernetesEnvironment) -> dict[str, list[str]]:
    """Return what is left out of each family's addresses, which servers demand to be within."""
    return {
        everything: [
            *excepted,
            *(part for part in settings.egress_except if (":" in part) == (":" in everything)),
        ]
        for everything, excepted in _NOT_INTERNET.items()
    }


def _access_peers(settings: KubernetesEnvironment) -> list[Manifest]:
    return settings.access_peers or [_own_pods(settings, ["gateway", "worker"])]


def _bundle_peers(settings: KubernetesEnvironment) -> list[Manifest]:
    return settings.bundle_peers or [_own_pods(settings, ["bundles"])]


def _own_pods(settings: KubernetesEnvironment, components: list[str]) -> Manifest:
    return {
        "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: settings.namespace}},
        "podSelector": _one_of(_COMPONENT, components),
    }


def _ingress_peers(settings: KubernetesEnvironment) -> list[Manifest]:
    return settings.ingress_peers or [
        {"namespaceSelector": _one_of(_NAMESPACE_NAME, ["ingress-nginx", "traefik"])}
    ]


def _dns_peers(settings: KubernetesEnvironment) -> list[Manifest]:
    return settings.dns_peers or [
        {
            "namespaceSelector": {"matchLabels": {_NAMESPACE_NAME: "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ]


def _one_of(key: str, values: list[str]) -> Manifest:
    return {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}


def _ports(numbers: Iterable[int]) -> list[Manifest]:
    return [_port(number) for number in sorted(set(numbers))]


def _port(number: int, protocol: str = "TCP") -> Manifest:
    return {"protocol": protocol, "port": number}


def _port_of(url: str) -> int:
    # The address itself is a secret and stays out of the reason.
    try:
        parts = urlsplit(url)
        port = parts.port or _SCHEME_PORTS[parts.scheme]
    except (ValueError, KeyError) as error:
        raise BackendRejected(
            reason="the bundle service's address has no port", reason_code=ReasonCode.FOLDER_MISSING
        ) from error
    return port


def _policy(name: str, body: Manifest, spec: EnvironmentSpec, options: Options) -> Manifest:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name, spec, options),
        "spec": body,
    }
