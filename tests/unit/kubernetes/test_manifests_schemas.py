"""Every object of every lesson there is, against Kubernetes' own schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from ipaddress import ip_interface
from pathlib import Path
from typing import Any
from uuid import UUID

import kubernetes_validate
import pytest

from curriculum.rows import lesson_spec as lesson_dict
from curriculum.validation import check_curriculum
from lessons.specs import with_guide_endpoint
from scheduler.backends.base import ConnectionSpec, EnvironmentRef, EnvironmentSpec, ResourceSpec
from scheduler.backends.kubernetes.manifests import (
    check_job,
    configuration_job,
    environment_manifests,
)
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import is_dns_label
from scheduler.specs import lesson_spec
from tests.curricula import REAL_CURRICULUM, SAMPLE
from tests.unit.kubernetes.descriptions import (
    BUNDLE_URL,
    SHELL,
    WEB,
    endpoint,
    environment,
    image,
    options,
)
from tests.unit.kubernetes_schemas import NEWEST, OLDEST, validate

VERSIONS = (OLDEST, NEWEST)
NETWORKS = "k8s.v1.cni.cncf.io/networks"
# https://github.com/k8snetworkplumbingwg/multus-cni has no schema of its objects anywhere here.
BY_HAND = "NetworkAttachmentDefinition"

USUAL: dict[str, Any] = {}
EVERYTHING: dict[str, Any] = {
    "pull_config": '{"auths": {}}',
    "node_selector": {"pool": "lessons"},
    "tolerations": [{"key": "lessons", "operator": "Exists", "effect": "NoSchedule"}],
    "runtime_class": "kata",
    "egress": "internet",
    "configuration_egress": "internet",
    "access_peers": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.0/28"]}}],
    "ingress_domain": "pages.example.org",
    "ingress_class": "nginx",
    "ingress_tls": "wildcard",
    "ingress_annotations": {"example.org/x": "y"},
}
# What no lesson has yet.
DEMANDING = environment(
    endpoint("router", image=image(enable_forwarding=True, network_interfaces=("ge1", "ge2"))),
    endpoint(
        "vqfx-1",
        image=image(flavor="legacy", resources=ResourceSpec("1500m", "2", "1Gi", "4Gi")),
        presentations=(SHELL, WEB),
        additional_ports=(830,),
    ),
    endpoint("silent", presentations=()),
    slug="x" * 100,
    connections=(
        ConnectionSpec("router", "vqfx-1", "10.1.0.0/30"),
        ConnectionSpec("router", "silent", "fd00::/64"),
        ConnectionSpec("vqfx-1", "silent"),
    ),
)


def lessons_of(folder: Path) -> Iterator[EnvironmentSpec]:
    """Describe an environment of each lesson, also of those that lack images or prerequisites."""
    loaded = check_curriculum(folder)
    images = {unit.slug: unit.definition for unit in loaded.images if unit.definition}
    for unit in loaded.lessons:
        assert unit.definition is not None
        data = lesson_dict(unit, images, digest="d", bundle_sha256="0" * 64)
        yield EnvironmentSpec(
            ref=EnvironmentRef(UUID(int=7), 1),
            session_id=UUID(int=8),
            lesson=lesson_spec(with_guide_endpoint(data)),
            access_password="a-secret-access-password",
            read_bundle=lambda: b"",
            bundle_url=BUNDLE_URL,
        )


def everything_of(spec: EnvironmentSpec, settings: dict[str, Any]) -> list[Manifest]:
    """Return an environment's objects with the jobs of every stage, and checks of endpoints."""
    chosen = options(**settings)
    jobs = [
        configuration_job(spec, stage=number, endpoint=found.name, run=number, options=chosen)
        for number, stage in enumerate(spec.lesson.stages)
        for found in spec.lesson.endpoints
        if found.configuration_type and found.name in stage.configurations
    ]
    checks = [
        check_job(
            spec,
            stage=number,
            slug=f"judge-{found.name}-by-{language}",
            endpoint=found.name,
            path="stage0/checks/one",
            language=language,
            environment={"EXPECTED": "$(HOME) 7"},
            timeout_seconds=2.5,
            run=1,
            options=chosen,
        )
        for number, language in enumerate(("python", "ansible"))
        for found in spec.lesson.endpoints
    ]
    return [*environment_manifests(spec, chosen), *jobs, *checks]


def check(manifests: list[Manifest]) -> None:
    for found in manifests:
        # The schemas know no rule of names: https://kubernetes.io/docs/concepts/overview/
        # working-with-objects/names/ and .../labels/.
        assert is_dns_label(found["metadata"]["name"])
        for value in found["metadata"]["labels"].values():
            assert len(value) <= 63
            assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", value)
        if found["kind"] == BY_HAND:
            check_network(found)
            continue
        for version in VERSIONS:
            validate(found, version)
        if found["kind"] == "Pod":
            check_attachments(found, manifests)


def check_network(found: Manifest) -> None:
    """https://www.cni.dev/docs/spec/#configuration-format and .../plugins/current/main/bridge/."""
    assert found["apiVersion"] == "k8s.cni.cncf.io/v1"
    assert set(found) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(found["spec"]) == {"config"}
    config = json.loads(found["spec"]["config"])
    assert set(config) == {"cniVersion", "name", "plugins"}
    assert config["name"] == found["metadata"]["name"]
    [plugin] = config["plugins"]
    assert set(plugin) <= {"type", "bridge", "ipam", "capabilities"}
    assert plugin["type"] == "bridge"
    assert re.fullmatch(r"[a-z0-9]{1,15}", plugin["bridge"])


def check_attachments(pod: Manifest, manifests: list[Manifest]) -> None:
    """https://github.com/k8snetworkplumbingwg/multi-net-spec (Network Attachment Selection)."""
    networks = {f["metadata"]["name"] for f in manifests if f["kind"] == BY_HAND}
    selections = json.loads(pod["metadata"].get("annotations", {}).get(NETWORKS, "[]"))
    interfaces = [selection["interface"] for selection in selections]
    assert len(set(interfaces)) == len(interfaces)
    for selection in selections:
        assert set(selection) <= {"name", "interface", "ips"}
        assert selection["name"] in networks
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,15}", selection["interface"])
        for address in selection.get("ips", ()):
            assert ip_interface(address).network.prefixlen < ip_interface(address).max_prefixlen


@pytest.mark.parametrize("settings", [USUAL, EVERYTHING], ids=["usual", "everything"])
@pytest.mark.parametrize("folder", [SAMPLE, REAL_CURRICULUM], ids=["sample", "nrelabs"])
def test_every_lesson_of_a_curriculum(folder: Path, settings: dict[str, Any]) -> None:
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    specs = list(lessons_of(folder))

    assert len(specs) >= 3
    for spec in specs:
        check(everything_of(spec, settings))


@pytest.mark.parametrize("tls", ["default", "none", "wildcard"])
@pytest.mark.parametrize("settings", [USUAL, EVERYTHING], ids=["usual", "everything"])
def test_a_demanding_lesson(settings: dict[str, Any], tls: str) -> None:
    check(everything_of(DEMANDING, {**settings, "ingress_tls": tls}))


def test_the_real_curriculum_shows_guides_and_configures_by_every_means() -> None:
    if not REAL_CURRICULUM.is_dir():
        pytest.skip(f"{REAL_CURRICULUM} is not there")
    found = [o for spec in lessons_of(REAL_CURRICULUM) for o in everything_of(spec, EVERYTHING)]

    assert {o["kind"] for o in found} >= {"Job", "Ingress", BY_HAND}
    assert "guide" in {o["metadata"]["labels"].get("syringe.dev/role") for o in found}


@pytest.mark.parametrize("version", VERSIONS)
def test_the_schemas_would_notice(version: str) -> None:
    pod = next(o for o in everything_of(DEMANDING, USUAL) if o["kind"] == "Pod")
    pod["spec"]["containers"][0]["privileges"] = True

    with pytest.raises(kubernetes_validate.ValidationError):
        validate(pod, version)
