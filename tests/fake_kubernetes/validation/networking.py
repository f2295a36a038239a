"""Services, NetworkPolicies and Ingresses."""

from __future__ import annotations

import ipaddress
import re

from tests.fake_kubernetes.errors import Cause, duplicate, invalid_value, required
from tests.fake_kubernetes.naming import (
    check_labels,
    check_name,
    problem_of_name,
    problem_of_port_name,
)
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.validation.pods import label_selector, one_of

_RANGE = "must be between 1 and 65535, inclusive"


def _port_problem(value: object) -> str:
    if isinstance(value, int):
        return "" if 0 < value < 65536 else _RANGE
    return problem_of_port_name(str(value))


# https://kubernetes.io/docs/concepts/services-networking/service/
# https://kubernetes.io/docs/reference/kubernetes-api/service-resources/service-v1/
def service(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with a service; only a headless one may have no ports."""
    spec = manifest.get("spec") or {}
    ports = spec.get("ports") or []
    kinds = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
    causes = one_of("spec.type", spec.get("type"), kinds)
    if not ports and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName":
        causes.append(required("spec.ports"))
    names: set[str] = set()
    pairs: set[tuple[object, object]] = set()
    for place, port in enumerate(ports):
        field = f"spec.ports[{place}]"
        name = port.get("name", "")
        if not name and len(ports) > 1:
            causes.append(required(f"{field}.name"))
        elif name:
            causes += check_name(f"{field}.name", name, "label")
            if name in names:
                causes.append(duplicate(f"{field}.name", name))
            names.add(name)
        if problem := _port_problem(port.get("port", 0)):
            causes.append(invalid_value(f"{field}.port", port.get("port", 0), problem))
        if problem := _port_problem(port.get("targetPort", port.get("port", 0))):
            causes.append(invalid_value(f"{field}.targetPort", port["targetPort"], problem))
        pair = (port.get("protocol"), port.get("port"))
        if pair in pairs:
            causes.append(duplicate(field, f"{pair[1]}/{pair[0]}"))
        pairs.add(pair)
        causes += one_of(f"{field}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
    return causes + check_labels("spec.selector", spec.get("selector") or {})


# https://kubernetes.io/docs/concepts/services-networking/network-policies/
# https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
def network_policy(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with a network policy."""
    spec = manifest.get("spec") or {}
    causes = label_selector("spec.podSelector", spec.get("podSelector") or {})
    for place, kind in enumerate(spec.get("policyTypes") or ()):
        causes += one_of(f"spec.policyTypes[{place}]", kind, ("Egress", "Ingress"))
    for direction, side in (("ingress", "from"), ("egress", "to")):
        for place, rule in enumerate(spec.get(direction) or ()):
            field = f"spec.{direction}[{place}]"
            for number, port in enumerate(rule.get("ports") or ()):
                causes += _policy_port(f"{field}.ports[{number}]", port)
            for number, peer in enumerate(rule.get(side) or ()):
                causes += _peer(f"{field}.{side}[{number}]", peer)
    return causes


def _policy_port(field: str, port: Manifest) -> list[Cause]:
    causes = one_of(f"{field}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
    value, end = port.get("port"), port.get("endPort")
    if value is not None and (problem := _port_problem(value)):
        causes.append(invalid_value(f"{field}.port", value, problem))
    if end is not None and not isinstance(value, int):
        causes.append(required(f"{field}.port", "must be a number where endPort is set"))
    elif end is not None and isinstance(value, int) and end < value:
        detail = "must be greater than or equal to `port`"
        causes.append(invalid_value(f"{field}.endPort", end, detail))
    return causes


def _peer(field: str, peer: Manifest) -> list[Cause]:
    block = peer.get("ipBlock")
    selectors = [
        name for name in ("podSelector", "namespaceSelector") if peer.get(name) is not None
    ]
    if block is None and not selectors:
        return [required(field, "must specify a peer")]
    if block is not None and selectors:
        detail = "may not specify both ipBlock and another peer"
        return [Cause("FieldValueForbidden", field, f"Forbidden: {detail}")]
    if block is None:
        return [c for name in selectors for c in label_selector(f"{field}.{name}", peer[name])]
    outer = _network(block.get("cidr", ""))
    if outer is None:
        detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
        return [invalid_value(f"{field}.ipBlock.cidr", block.get("cidr", ""), detail)]
    causes = []
    for place, text in enumerate(block.get("except") or ()):
        inner = _network(text)
        if inner is None or inner.version != outer.version or not _inside(inner, outer):
            detail = "must be a strict subset of `cidr`"
            causes.append(invalid_value(f"{field}.ipBlock.except[{place}]", text, detail))
    return causes


_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text, strict=False) if "/" in text else None
    except ValueError:
        return None


def _inside(inner: _Network, outer: _Network) -> bool:
    return inner != outer and inner.subnet_of(outer)  # type: ignore[arg-type]


# https://kubernetes.io/docs/concepts/services-networking/ingress/
# https://kubernetes.io/docs/reference/kubernetes-api/service-resources/ingress-v1/
def ingress(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with an ingress."""
    spec = manifest.get("spec") or {}
    causes = []
    if not spec.get("rules") and not spec.get("defaultBackend"):
        detail = "either `defaultBackend` or `rules` must be specified"
        causes.append(invalid_value("spec", "", detail))
    if spec.get("ingressClassName"):
        causes += check_name("spec.ingressClassName", spec["ingressClassName"], "subdomain")
    for place, tls in enumerate(spec.get("tls") or ()):
        for number, host in enumerate(tls.get("hosts") or ()):
            causes += _host(f"spec.tls[{place}].hosts[{number}]", host)
    for place, rule in enumerate(spec.get("rules") or ()):
        field = f"spec.rules[{place}]"
        if rule.get("host"):
            causes += _host(f"{field}.host", rule["host"])
        http = rule.get("http")
        if http is not None and not http.get("paths"):
            causes.append(required(f"{field}.http.paths"))
        for number, path in enumerate((http or {}).get("paths") or ()):
            causes += _path(f"{field}.http.paths[{number}]", path)
    if spec.get("defaultBackend"):
        causes += _backend("spec.defaultBackend", spec["defaultBackend"])
    return causes


def _host(field: str, host: str) -> list[Cause]:
    if re.fullmatch(r"[0-9.]+", host) and host.count(".") == 3:
        return [invalid_value(field, host, "must be a DNS name, not an IP address")]
    problem = problem_of_name(host.removeprefix("*."), "subdomain")
    return [invalid_value(field, host, problem)] if problem else []


def _path(field: str, path: Manifest) -> list[Cause]:
    kind = path.get("pathType")
    causes = []
    if kind is None:
        causes.append(required(f"{field}.pathType", "pathType must be specified"))
    else:
        kinds = ("Exact", "ImplementationSpecific", "Prefix")
        causes += one_of(f"{field}.pathType", kind, kinds)
    if kind != "ImplementationSpecific" and not path.get("path", "").startswith("/"):
        detail = "must be an absolute path"
        causes.append(invalid_value(f"{field}.path", path.get("path", ""), detail))
    return causes + _backend(f"{field}.backend", path.get("backend") or {})


def _backend(field: str, backend: Manifest) -> list[Cause]:
    target = backend.get("service")
    if target is None:
        return [] if backend.get("resource") else [required(f"{field}.service")]
    causes = check_name(f"{field}.service.name", target.get("name", ""), "label-1035")
    port = target.get("port") or {}
    if len(port) != 1:
        causes.append(required(f"{field}.service.port", "port name or number is required"))
    elif "number" in port and (problem := _port_problem(port["number"])):
        causes.append(invalid_value(f"{field}.service.port.number", port["number"], problem))
    return causes
