"""Connections: a link of its own between two endpoints, by Multus and CNI's bridge plugin."""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from scheduler.backends.base import BackendRejected, EnvironmentSpec, LessonSpec
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import bridge_name, connection_name, namespace_name
from scheduler.backends.kubernetes.options import Options

NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks"

_CNI_VERSION = "0.3.1"
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_TAKEN = frozenset({"lo", "eth0"})


@dataclass(frozen=True, slots=True)
class Attachment:
    """One end of a connection; ``address`` is CIDR or empty."""

    network: str
    interface: str
    address: str


def attachments(lesson: LessonSpec) -> Mapping[str, Sequence[Attachment]]:
    """Return every endpoint's ends of connections, in the order of the lesson file.

    The n-th interface that the image names is the endpoint's n-th connection. Connections in one
    subnet go on counting its addresses, so the same lesson has the same addresses every time.
    """
    found: dict[str, list[Attachment]] = {endpoint.name: [] for endpoint in lesson.endpoints}
    interfaces = {
        endpoint.name: _interface_names(endpoint.image.network_interfaces)
        for endpoint in lesson.endpoints
    }
    hosts: dict[IPv4Network | IPv6Network, Iterator[IPv4Address | IPv6Address]] = {}
    for index, connection in enumerate(lesson.connections):
        name = connection_name(index, connection.a, connection.b)
        for end in (connection.a, connection.b):
            if end not in found:
                raise BackendRejected(reason=f"a connection names {end!r}, which is no endpoint")
            address = ""
            if connection.subnet:
                network = _network(connection.subnet)
                address = _address(hosts.setdefault(network, iter(network.hosts())), network)
            found[end].append(Attachment(name, next(interfaces[end]), address))
    return found


def network_definitions(spec: EnvironmentSpec, options: Options) -> list[Manifest]:
    """Return a NetworkAttachmentDefinition for each connection."""
    namespace = namespace_name(options.instance, spec.ref)
    definitions = []
    for index, connection in enumerate(spec.lesson.connections):
        name = connection_name(index, connection.a, connection.b)
        plugin: Manifest = {"type": "bridge", "bridge": bridge_name(namespace, name), "ipam": {}}
        if connection.subnet:
            # Each end's address comes from its pod's annotation.
            plugin["capabilities"] = {"ips": True}
            plugin["ipam"] = {"type": "static"}
        config = {"cniVersion": _CNI_VERSION, "name": name, "plugins": [plugin]}
        definitions.append(
            {
                "apiVersion": "k8s.cni.cncf.io/v1",
                "kind": "NetworkAttachmentDefinition",
                "metadata": metadata(name, spec, options),
                "spec": {"config": json.dumps(config)},
            }
        )
    return definitions


def network_annotations(ends: Sequence[Attachment]) -> dict[str, str]:
    """Return the annotation by which a pod joins its networks; none where it has none."""
    if not ends:
        return {}
    selections = [
        {
            "name": end.network,
            "interface": end.interface,
            **({"ips": [end.address]} if end.address else {}),
        }
        for end in ends
    ]
    return {NETWORKS_ANNOTATION: json.dumps(selections)}


def _interface_names(named: Sequence[str]) -> Iterator[str]:
    """Yield the image's names, as far as a pod can have them, then net1 and so on."""
    usable = [
        name for name in dict.fromkeys(named) if _INTERFACE.fullmatch(name) and name not in _TAKEN
    ]
    yield from usable
    for number in itertools.count(len(usable) + 1):
        if (name := f"net{number}") not in usable:
            yield name


def _network(subnet: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(subnet)
    except ValueError as error:
        raise BackendRejected(reason=f"subnet {subnet!r} is none: {error}") from error


def _address(hosts: Iterator[IPv4Address | IPv6Address], network: IPv4Network | IPv6Network) -> str:
    host = next(hosts, None)
    if host is None:
        raise BackendRejected(reason=f"subnet {network} is too small for its connections")
    return f"{host}/{network.prefixlen}"
