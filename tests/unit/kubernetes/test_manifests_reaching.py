"""How endpoints are reached: Services by name, connections, web pages."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from scheduler.backends.base import (
    BackendRejected,
    ConnectionSpec,
    EnvironmentSpec,
    StageSpec,
)
from scheduler.backends.kubernetes.manifests import configuration_job, page_domain
from scheduler.backends.kubernetes.manifests.types import Manifest
from tests.unit.kubernetes.descriptions import (
    SHELL,
    WEB,
    endpoint,
    environment,
    image,
    made,
    of_kind,
    options,
)

NETWORKS = "k8s.v1.cni.cncf.io/networks"
DOMAIN = "pages.example.org"
SITE = environment(endpoint("vqfx-1", presentations=(SHELL, WEB)))


def test_a_service_is_the_endpoints_name_for_every_port() -> None:
    found = of_kind(made(environment(endpoint("vqfx-1"))), "Service")["vqfx-1"]["spec"]

    assert found["clusterIP"] == "None"
    assert found["publishNotReadyAddresses"] is True
    assert found["ports"] == [{"name": "port-22", "port": 22, "protocol": "TCP", "targetPort": 22}]


def test_a_service_without_ports_is_a_name_all_the_same() -> None:
    found = of_kind(made(environment(endpoint(presentations=()))), "Service")

    assert "ports" not in found["linux1"]["spec"]


def test_a_service_finds_its_endpoint_and_no_job() -> None:
    spec = environment(
        endpoint("a", configuration_type="python"),
        endpoint("b"),
        stages=(StageSpec(configurations={"a": "a.py"}),),
    )
    manifests = made(spec)
    job = configuration_job(spec, stage=0, endpoint="a", run=1, options=options())
    labels = {
        **{name: pod["metadata"]["labels"] for name, pod in of_kind(manifests, "Pod").items()},
        "job": job["spec"]["template"]["metadata"]["labels"],
    }

    for name, service in of_kind(manifests, "Service").items():
        selector = service["spec"]["selector"].items()
        assert [owner for owner, found in labels.items() if selector <= found.items()] == [name]


def linked(*connections: ConnectionSpec, names: tuple[str, ...] = (), count: int = 3) -> Any:
    return environment(
        *(endpoint(name, image=image(network_interfaces=names)) for name in "abc"[:count]),
        connections=connections,
    )


def ends(spec: EnvironmentSpec) -> dict[str, list[Manifest]]:
    """Return what each pod asks of Multus."""
    return {
        name: json.loads(pod["metadata"].get("annotations", {}).get(NETWORKS, "[]"))
        for name, pod in of_kind(made(spec), "Pod").items()
    }


def configurations(spec: EnvironmentSpec) -> dict[str, Manifest]:
    found = of_kind(made(spec), "NetworkAttachmentDefinition")
    return {name: json.loads(item["spec"]["config"]) for name, item in found.items()}


def test_a_lesson_without_connections_needs_no_multus() -> None:
    assert configurations(linked()) == {}
    assert ends(linked()) == {"a": [], "b": [], "c": []}


def test_a_connection_is_a_bridge_of_its_own_that_both_ends_join() -> None:
    spec = linked(ConnectionSpec("a", "b"), ConnectionSpec("b", "c"), ConnectionSpec("a", "b"))
    networks = configurations(spec)
    joined = ends(spec)

    assert [end["name"] for end in joined["a"]] == ["a-b-0", "a-b-2"]
    assert [end["name"] for end in joined["b"]] == ["a-b-0", "b-c-1", "a-b-2"]
    assert [end["name"] for end in joined["c"]] == ["b-c-1"]
    assert list(networks) == ["a-b-0", "b-c-1", "a-b-2"]
    bridges = {config["plugins"][0]["bridge"] for config in networks.values()}
    assert len(bridges) == 3
    assert all(len(bridge) <= 15 for bridge in bridges)


def test_two_lessons_never_share_a_bridge() -> None:
    one = linked(ConnectionSpec("a", "b"))
    other = replace(one, ref=replace(one.ref, attempt=3))

    assert configurations(one) != configurations(other)


def test_a_connection_without_a_subnet_has_no_addresses() -> None:
    spec = linked(ConnectionSpec("a", "b"))

    assert configurations(spec)["a-b-0"] == {
        "cniVersion": "0.3.1",
        "name": "a-b-0",
        "plugins": [
            {
                "type": "bridge",
                "bridge": configurations(spec)["a-b-0"]["plugins"][0]["bridge"],
                "ipam": {},
            }
        ],
    }
    assert ends(spec)["a"] == [{"name": "a-b-0", "interface": "net1"}]


def test_addresses_are_counted_in_the_order_of_the_lesson_file() -> None:
    subnet, other = "10.1.0.0/29", "10.2.0.0/30"
    spec = linked(
        ConnectionSpec("a", "b", subnet),
        ConnectionSpec("b", "c", other),
        ConnectionSpec("c", "a", subnet),
    )

    found = {name: [end["ips"] for end in joined] for name, joined in ends(spec).items()}
    assert found == {
        "a": [["10.1.0.1/29"], ["10.1.0.4/29"]],
        "b": [["10.1.0.2/29"], ["10.2.0.1/30"]],
        "c": [["10.2.0.2/30"], ["10.1.0.3/29"]],
    }
    for config in configurations(spec).values():
        [plugin] = config["plugins"]
        assert plugin["ipam"] == {"type": "static"}
        assert plugin["capabilities"] == {"ips": True}


def test_subnets_may_be_ipv6() -> None:
    joined = ends(linked(ConnectionSpec("a", "b", "fd00:1::/64")))

    assert [joined[name][0]["ips"] for name in "ab"] == [["fd00:1::1/64"], ["fd00:1::2/64"]]


def test_the_same_lesson_has_the_same_addresses_every_time() -> None:
    spec = linked(ConnectionSpec("a", "b", "10.1.0.0/24"), ConnectionSpec("b", "c", "10.1.0.0/24"))

    def of_attempt(attempt: int) -> Any:
        again = replace(spec, ref=replace(spec.ref, attempt=attempt))
        return {n: [end["ips"] for end in joined] for n, joined in ends(again).items()}

    assert of_attempt(1) == of_attempt(2)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ((), ["net1", "net2", "net3"]),
        (("em1", "em2", "em3", "em4"), ["em1", "em2", "em3"]),
        (("em1",), ["em1", "net2", "net3"]),
        # What a pod has already, and what Linux refuses.
        (("lo", "eth0", "eth1", "eth1"), ["eth1", "net2", "net3"]),
        (("xe-0/0/0", "a name", "a-name-of-16-chs", "ge1"), ["ge1", "net2", "net3"]),
        (("net2",), ["net2", "net3", "net4"]),
        (("x", "net3"), ["x", "net3", "net4"]),
    ],
)
def test_interfaces_are_the_images(names: tuple[str, ...], expected: list[str]) -> None:
    spec = linked(*[ConnectionSpec("a", "b")] * 3, names=names)

    for name in "ab":
        assert [end["interface"] for end in ends(spec)[name]] == expected


@pytest.mark.parametrize(
    ("connections", "sentence"),
    [
        ([ConnectionSpec("a", "nowhere")], "'nowhere', which is no endpoint"),
        ([ConnectionSpec("a", "b", "10.0.0.1/24")], "subnet"),
        ([ConnectionSpec("a", "b", "10.0.0.0/30")] * 2, "too small"),
    ],
)
def test_impossible_connections_are_refused(
    connections: list[ConnectionSpec], sentence: str
) -> None:
    with pytest.raises(BackendRejected, match=sentence):
        made(linked(*connections))


def ingress(spec: EnvironmentSpec = SITE, **settings: Any) -> Manifest:
    [found] = of_kind(made(spec, ingress_domain=DOMAIN, **settings), "Ingress").values()
    return found


def test_without_a_domain_the_gateway_shows_pages() -> None:
    assert of_kind(made(SITE), "Ingress") == {}
    assert page_domain(SITE.ref, "vqfx-1", "web", options()) == ""


def test_a_page_has_a_host_name_of_its_own() -> None:
    found = ingress()
    [rule] = found["spec"]["rules"]
    [path] = rule["http"]["paths"]

    assert found["metadata"]["name"] == "vqfx-1-web"
    assert rule["host"] == page_domain(SITE.ref, "vqfx-1", "web", options(ingress_domain=DOMAIN))
    assert path == {
        "path": "/",
        "pathType": "Prefix",
        "backend": {"service": {"name": "vqfx-1", "port": {"number": 8080}}},
    }
    assert "ingressClassName" not in found["spec"]
    assert "annotations" not in found["metadata"]


def test_host_names_cannot_be_guessed() -> None:
    usual = options(ingress_domain=DOMAIN)
    other_ref = replace(SITE.ref, attempt=1)
    names = [
        page_domain(SITE.ref, "vqfx-1", "web", usual),
        page_domain(SITE.ref, "vqfx-1", "other", usual),
        page_domain(SITE.ref, "vqfx", "1-web", usual),
        page_domain(other_ref, "vqfx-1", "web", usual),
        page_domain(SITE.ref, "vqfx-1", "web", replace(usual, instance="other")),
        page_domain(SITE.ref, "vqfx-1", "web", replace(usual, page_key=b"other")),
    ]

    assert len(set(names)) == len(names)
    for name in names:
        label, _, domain = name.partition(".")
        assert domain == DOMAIN
        # 160 bits in an alphabet of 32.
        assert len(label) == 32


@pytest.mark.parametrize(
    ("setting", "tls"),
    [
        ("none", None),
        ("default", {}),
        ("wildcard", {"secretName": "wildcard"}),
    ],
)
def test_tls_refers_to_a_certificate_and_copies_no_key(
    setting: str, tls: dict[str, str] | None
) -> None:
    found = ingress(ingress_tls=setting)["spec"]

    if tls is None:
        assert "tls" not in found
    else:
        assert found["tls"] == [{"hosts": [found["rules"][0]["host"]], **tls}]


def test_controllers_have_their_own_wishes() -> None:
    found = ingress(ingress_class="nginx", ingress_annotations={"example.org/x": "y"})

    assert found["spec"]["ingressClassName"] == "nginx"
    assert found["metadata"]["annotations"] == {"example.org/x": "y"}
