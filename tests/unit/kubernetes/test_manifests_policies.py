"""Network policies, read as a cluster does: what is not allowed by any rule is not possible."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from scheduler.backends.base import BackendRejected, EnvironmentSpec
from scheduler.backends.kubernetes.manifests.types import Manifest
from tests.unit.kubernetes.descriptions import SHELL, WEB, endpoint, environment, made, of_kind

INSIDE = {"podSelector": {}}
GATEWAY = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "syringe"}},
    "podSelector": {
        "matchExpressions": [
            {
                "key": "app.kubernetes.io/component",
                "operator": "In",
                "values": ["gateway", "worker"],
            }
        ]
    },
}
BUNDLES = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "syringe"}},
    "podSelector": {
        "matchExpressions": [
            {"key": "app.kubernetes.io/component", "operator": "In", "values": ["bundles"]}
        ]
    },
}
CLUSTER_DNS = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
    "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
}
CONTROLLERS = {
    "namespaceSelector": {
        "matchExpressions": [
            {
                "key": "kubernetes.io/metadata.name",
                "operator": "In",
                "values": ["ingress-nginx", "traefik"],
            }
        ]
    }
}
PEER = {"ipBlock": {"cidr": "192.0.2.0/24"}}
TWO = environment(
    endpoint("shell", presentations=(SHELL,), additional_ports=(5000,)),
    endpoint("site", presentations=(SHELL, WEB)),
)


def policies(spec: EnvironmentSpec = TWO, **settings: Any) -> dict[str, Manifest]:
    found = of_kind(made(spec, **settings), "NetworkPolicy")
    return {name: policy["spec"] for name, policy in found.items()}


def rules(direction: str, spec: EnvironmentSpec = TWO, **settings: Any) -> list[Any]:
    """Return every rule of all policies as (selector, peers, ports)."""
    other_end = {"ingress": "from", "egress": "to"}[direction]
    return [
        (policy["podSelector"], rule[other_end], ports(rule))
        for policy in policies(spec, **settings).values()
        for rule in policy.get(direction, ())
    ]


def ports(rule: Manifest) -> list[tuple[str, int]] | None:
    if "ports" not in rule:
        return None
    return [(port["protocol"], port["port"]) for port in rule["ports"]]


def tcp(*numbers: int) -> list[tuple[str, int]]:
    return [("TCP", number) for number in numbers]


def test_nothing_comes_in_or_goes_out_unless_said() -> None:
    isolation = policies()["isolation"]

    assert isolation["podSelector"] == {}
    assert isolation["policyTypes"] == ["Ingress", "Egress"]


def test_in_come_the_lesson_itself_and_who_serves_its_learner() -> None:
    assert rules("ingress") == [
        ({}, [INSIDE], None),
        ({}, [GATEWAY], tcp(22, 5000, 8080)),
    ]


def test_out_go_names_and_the_folder_only() -> None:
    assert rules("egress") == [
        ({}, [INSIDE], None),
        ({}, [CLUSTER_DNS], [("UDP", 53), ("TCP", 53)]),
        ({}, [BUNDLES], tcp(8002)),
    ]


def test_the_pods_of_dns_may_listen_elsewhere() -> None:
    # https://docs.openshift.com/container-platform/latest/networking/dns-operator.html
    dns = [
        numbers for _, peers, numbers in rules("egress", dns_ports=[5353]) if CLUSTER_DNS in peers
    ]

    assert dns == [[("UDP", 5353), ("TCP", 5353)]]


@pytest.mark.parametrize("wrong", [[], [0], [70000], ["dns"]])
def test_dns_has_ports(wrong: list[Any]) -> None:
    with pytest.raises(ValidationError, match="dns_ports"):
        policies(dns_ports=wrong)


@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://bundles.syringe:9000/x", 9000),
        ("http://bundles.syringe/x", 80),
        ("https://bundles.example.org/x?signature=y", 443),
        ("http://[fd00::1]:8002/x", 8002),
    ],
)
def test_the_folder_comes_from_the_port_in_its_address(url: str, port: int) -> None:
    assert rules("egress", replace(TWO, bundle_url=url))[-1] == ({}, [BUNDLES], tcp(port))


@pytest.mark.parametrize("url", ["bundles/x", "gopher://a-secret", "http://a:a-secret/x"])
def test_an_address_without_a_port_is_refused_unseen(url: str) -> None:
    with pytest.raises(BackendRejected) as caught:
        policies(replace(TWO, bundle_url=url))

    assert "a-secret" not in str(caught.value)


def test_a_lesson_without_ports_lets_nobody_in() -> None:
    assert rules("ingress", environment(endpoint(presentations=()))) == [({}, [INSIDE], None)]


def test_the_ingress_controller_reaches_web_pages_only() -> None:
    site = {
        "matchExpressions": [{"key": "syringe.dev/endpoint", "operator": "In", "values": ["site"]}]
    }

    assert rules("ingress", ingress_domain="pages.example.org")[2:] == [
        (site, [CONTROLLERS], tcp(8080))
    ]


def test_no_ingress_controller_without_a_page_or_a_domain() -> None:
    shell_only = environment(endpoint())

    assert list(policies()) == ["isolation"]
    assert list(policies(shell_only, ingress_domain="pages.example.org")) == ["isolation"]


@pytest.mark.parametrize(
    ("setting", "direction", "replaced"),
    [
        ("access_peers", "ingress", GATEWAY),
        ("ingress_peers", "ingress", CONTROLLERS),
        ("bundle_peers", "egress", BUNDLES),
        ("dns_peers", "egress", CLUSTER_DNS),
    ],
)
def test_peers_are_the_operators_to_choose(
    setting: str, direction: str, replaced: Manifest
) -> None:
    domain = {"ingress_domain": "pages.example.org"}
    before = rules(direction, **domain)
    after = rules(direction, **domain, **{setting: [PEER]})

    assert after == [
        (selector, [PEER] if peers == [replaced] else peers, numbers)
        for selector, peers, numbers in before
    ]
    assert after != before


def test_syringe_may_live_in_another_namespace() -> None:
    names = {
        peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for direction in ("ingress", "egress")
        for _, peers, _ in rules(direction, namespace="learning")
        for peer in peers
        if "namespaceSelector" in peer
    }

    assert names == {"learning", "kube-system"}


@pytest.mark.parametrize(
    ("settings", "roles"),
    [
        ({}, None),
        ({"configuration_egress": "internet"}, ["configuration", "check"]),
        ({"egress": "internet"}, ["endpoint", "guide"]),
        (
            {"egress": "internet", "configuration_egress": "internet"},
            ["configuration", "check", "endpoint", "guide"],
        ),
    ],
)
def test_the_internet_is_for_whom_it_is_allowed(
    settings: dict[str, Any], roles: list[str] | None
) -> None:
    internet = policies(**settings).get("internet")

    if roles is None:
        assert internet is None
        return
    assert internet is not None
    assert internet["policyTypes"] == ["Egress"]
    assert internet["podSelector"] == {
        "matchExpressions": [{"key": "syringe.dev/role", "operator": "In", "values": roles}]
    }


def reachable(address: str, **settings: Any) -> bool:
    """Say whether the internet's rule lets a packet to this address out."""
    parsed = ipaddress.ip_address(address)
    [rule] = policies(**{"egress": "internet", **settings})["internet"]["egress"]
    assert list(rule) == ["to"]
    return any(
        parsed in ipaddress.ip_network(block["cidr"])
        and not any(parsed in ipaddress.ip_network(part) for part in block["except"])
        for block in (peer["ipBlock"] for peer in rule["to"])
    )


@pytest.mark.parametrize("address", ["8.8.8.8", "192.0.78.9", "172.15.0.1", "2606:4700::1111"])
def test_the_internet_is_reached(address: str) -> None:
    assert reachable(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.254",
        "192.168.1.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "fd00::1",
        "fe80::1",
        "ff02::1",
        "64:ff9b::a00:1",
        "2002:a00:1::1",
    ],
)
def test_private_networks_are_not_the_internet(address: str) -> None:
    assert not reachable(address)


@pytest.mark.parametrize("settings", [{}, {"egress": "none", "configuration_egress": "internet"}])
def test_the_operators_networks_are_not_the_internet_either(settings: dict[str, Any]) -> None:
    own = {"egress_except": ["198.51.100.0/24", "2001:db8::/32"], **settings}

    assert reachable("198.51.100.7", **settings)
    assert not reachable("198.51.100.7", **own)
    assert not reachable("2001:db8::1", **own)
    assert reachable("8.8.8.8", **own)


@pytest.mark.parametrize(
    "wrong", ["0.0.0.0/0", "::/0", "198.51.100.7/24", "::ffff:c633:6400/120", "example.org", ""]
)
def test_what_is_no_part_of_the_internet_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="egress_except"):
        policies(egress="internet", egress_except=[wrong])


def test_exceptions_lie_within_their_block() -> None:
    # The API server refuses others, and those that Go reads as IPv4.
    [rule] = policies(egress="internet")["internet"]["egress"]
    for block in (peer["ipBlock"] for peer in rule["to"]):
        whole = ipaddress.ip_network(block["cidr"])
        for text in block["except"]:
            part = ipaddress.ip_network(text)
            assert part.subnet_of(whole)  # type: ignore[arg-type]
            assert part != whole
            assert getattr(part.network_address, "ipv4_mapped", None) is None


def nested(value: Any) -> Iterator[Any]:
    yield value
    for part in value.values() if isinstance(value, dict) else value:
        if isinstance(part, dict | list):
            yield from nested(part)


def test_what_the_server_stores_is_what_was_sent() -> None:
    everything = policies(
        ingress_domain="pages.example.org", egress="internet", configuration_egress="internet"
    )

    assert len(everything) == 3
    for policy in everything.values():
        assert policy["policyTypes"]
        for part in nested(policy):
            # The server drops empty lists and adds protocols.
            assert part != []
            assert not (isinstance(part, dict) and "port" in part and "protocol" not in part)
