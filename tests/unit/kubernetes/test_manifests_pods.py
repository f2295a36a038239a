"""Pods: what they may do, what they get, where they run."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curriculum.loader import load_curriculum
from lessons.specs import GUIDE_ENDPOINT
from scheduler.backends.base import BackendRejected, ConnectionSpec, EndpointSpec, ResourceSpec
from scheduler.backends.kubernetes.manifests import environment_manifests
from scheduler.backends.kubernetes.manifests.amounts import amount, amount_text
from scheduler.backends.kubernetes.manifests.limits import resource_quota
from scheduler.backends.kubernetes.manifests.types import Manifest
from tests.curricula import REAL_CURRICULUM
from tests.unit.kubernetes.descriptions import (
    SHELL,
    WEB,
    endpoint,
    environment,
    image,
    made,
    of_kind,
    options,
    pods,
)

# https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
BASELINE_CAPABILITIES = {
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
}
GUIDE = EndpointSpec(
    GUIDE_ENDPOINT, image(slug="jupyter"), presentations=(replace(WEB, port=8888),)
)


def pod(found: EndpointSpec | None = None, **settings: Any) -> Manifest:
    [spec] = pods(found or endpoint(), **settings).values()
    return spec


def container(found: EndpointSpec | None = None, **settings: Any) -> Manifest:
    [only] = pod(found, **settings)["containers"]
    return only


def level(*flavors: str, **changes: Any) -> str:
    found = [
        endpoint(f"e{n}", image=image(flavor=flavor, **changes)) for n, flavor in enumerate(flavors)
    ]
    labels = made(environment(*found))[0]["metadata"]["labels"]
    return str(labels["pod-security.kubernetes.io/enforce"])


@pytest.mark.parametrize(
    ("flavors", "expected"),
    [
        (("untrusted",), "baseline"),
        (("untrusted", "untrusted"), "baseline"),
        (("legacy",), "privileged"),
        (("trusted",), "privileged"),
        (("untrusted", "trusted"), "privileged"),
    ],
)
def test_a_namespace_admits_what_its_images_need(flavors: tuple[str, ...], expected: str) -> None:
    assert level(*flavors) == expected


def test_forwarding_needs_a_namespace_that_admits_it() -> None:
    assert level("untrusted", enable_forwarding=True) == "privileged"


def test_untrusted_drops_all_but_what_an_ssh_server_needs() -> None:
    context = container()["securityContext"]

    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"]["add"]) <= BASELINE_CAPABILITIES
    assert {"SETUID", "SETGID", "SYS_CHROOT"} <= set(context["capabilities"]["add"])
    assert "privileged" not in context


def test_legacy_adds_networking_without_privilege() -> None:
    untrusted = container()["securityContext"]
    legacy = container(endpoint(flavor="legacy"))["securityContext"]

    added = set(legacy["capabilities"]["add"]) - set(untrusted["capabilities"]["add"])
    assert added == {"NET_ADMIN", "NET_RAW"}
    assert legacy["allowPrivilegeEscalation"] is False
    assert "privileged" not in legacy


def test_only_trusted_is_privileged() -> None:
    assert container(endpoint(flavor="trusted"))["securityContext"] == {"privileged": True}


def test_an_unknown_flavor_is_refused() -> None:
    with pytest.raises(BackendRejected, match="flavor"):
        pods(endpoint(flavor="harmless"))


@pytest.mark.parametrize("flavor", ["untrusted", "legacy", "trusted"])
def test_no_pod_gets_anything_of_its_host_or_of_the_api(flavor: str) -> None:
    spec = pod(endpoint(flavor=flavor))

    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not [key for key in spec if key.startswith("host")]
    assert [list(volume) for volume in spec["volumes"]] == [["name", "emptyDir"]]
    assert not [port for port in spec["containers"][0]["ports"] if "hostPort" in port]


def test_the_service_account_has_no_token() -> None:
    account = of_kind(made(), "ServiceAccount")["lesson"]

    assert account["automountServiceAccountToken"] is False
    assert pod()["serviceAccountName"] == "lesson"


def test_forwarding_is_a_matter_of_the_image() -> None:
    router = endpoint(image=image(enable_forwarding=True))

    assert _sysctls(pod()).keys() == {"net.ipv4.ping_group_range"}
    assert _sysctls(pod(router))["net.ipv4.ip_forward"] == "1"


def test_everybody_may_ping_without_rights() -> None:
    first, last = _sysctls(pod())["net.ipv4.ping_group_range"].split()

    assert int(first) == 0
    # The largest that kernels take.
    assert int(last) == 2**31 - 1


def _sysctls(spec: Manifest) -> dict[str, str]:
    return {one["name"]: one["value"] for one in spec["securityContext"]["sysctls"]}


def test_who_forwards_may_set_addresses_and_routes() -> None:
    router = container(endpoint(image=image(enable_forwarding=True)))["securityContext"]
    legacy = container(endpoint(image=image(flavor="legacy", enable_forwarding=True)))

    assert {"NET_ADMIN", "NET_RAW"} <= set(router["capabilities"]["add"])
    assert router["allowPrivilegeEscalation"] is False
    assert "privileged" not in router
    assert legacy["securityContext"] == router


def test_the_runtime_class_is_for_untrusted_images() -> None:
    found = pods(
        endpoint("a"), endpoint("b", "legacy"), endpoint("c", "trusted"), runtime_class="kata"
    )

    assert {name: spec.get("runtimeClassName") for name, spec in found.items()} == {
        "a": "kata",
        "b": None,
        "c": None,
    }
    assert "runtimeClassName" not in pod()


def test_a_lesson_is_on_one_node_only_where_it_has_connections() -> None:
    apart = environment(endpoint("a"), endpoint("b"))
    together = environment(endpoint("a"), endpoint("b"), connections=(ConnectionSpec("a", "b"),))

    for found in of_kind(made(apart), "Pod").values():
        assert "affinity" not in found["spec"]
    for found in of_kind(made(together), "Pod").values():
        [term] = found["spec"]["affinity"]["podAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]
        assert term["topologyKey"] == "kubernetes.io/hostname"
        wanted = term["labelSelector"]["matchLabels"].items()
        # The first pod of all is let through only if it satisfies its own term.
        assert wanted <= found["metadata"]["labels"].items()
        assert together.ref.live_lesson_id.hex in dict(wanted).values()


def test_where_pods_run_is_the_operators_to_choose() -> None:
    toleration = {"key": "lessons", "operator": "Exists", "effect": "NoSchedule"}
    spec = pod(node_selector={"pool": "lessons"}, tolerations=[toleration])

    assert spec["nodeSelector"] == {"pool": "lessons"}
    assert spec["tolerations"] == [toleration]
    assert not {"nodeSelector", "tolerations"} & set(pod())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "antidotelabs/utility:latest"),
        ({"image_tag": "v1.2"}, "antidotelabs/utility:v1.2"),
        (
            {"image": "registry.example.org:5000/x/{slug}-image:{tag}", "image_tag": "7"},
            "registry.example.org:5000/x/utility-image:7",
        ),
        ({"image": "one/for-all@sha256:abc"}, "one/for-all@sha256:abc"),
    ],
)
def test_images_come_from_a_template(settings: dict[str, Any], expected: str) -> None:
    assert container(**settings)["image"] == expected


def test_a_slug_is_no_template() -> None:
    assert container(endpoint(image=image(slug="{tag}")))["image"] == "antidotelabs/{tag}:latest"


def test_every_container_follows_the_pull_policy() -> None:
    spec = pod(image_pull_policy="Always")

    assert {c["imagePullPolicy"] for c in (*spec["containers"], *spec["initContainers"])} == {
        "Always"
    }


def test_a_pull_secret_exists_only_when_configured() -> None:
    assert "imagePullSecrets" not in pod()
    assert list(of_kind(made(), "Secret")) == ["lesson"]

    assert pod(pull_config="{}")["imagePullSecrets"] == [{"name": "registry"}]
    secret = of_kind(made(pull_config="{}"), "Secret")["registry"]
    assert secret["type"] == "kubernetes.io/dockerconfigjson"
    assert secret["data"] == {".dockerconfigjson": "e30="}


def test_ports_are_those_of_the_lesson_file() -> None:
    found = endpoint(presentations=(SHELL, WEB), additional_ports=(22, 9000))

    assert [port["containerPort"] for port in container(found)["ports"]] == [22, 8080, 9000]
    assert "ports" not in container(endpoint(presentations=()))


def test_logs_end_in_the_status() -> None:
    spec = pod()

    assert {
        c["terminationMessagePolicy"] for c in (*spec["containers"], *spec["initContainers"])
    } == {"FallbackToLogsOnError"}


def test_the_access_password_comes_from_the_secret() -> None:
    [variable] = container()["env"]

    assert variable == {
        "name": "SYRINGE_ACCESS_PASSWORD",
        "valueFrom": {"secretKeyRef": {"name": "lesson", "key": "access-password"}},
    }


def test_the_guide_is_ours_and_needs_no_rights() -> None:
    manifests = made(environment(endpoint(), GUIDE), jupyter_image="ours/jupyter:1")
    found = of_kind(manifests, "Pod")
    [only] = found[GUIDE_ENDPOINT]["spec"]["containers"]

    assert only["image"] == "ours/jupyter:1"
    assert only["securityContext"]["runAsNonRoot"] is True
    assert only["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert only["volumeMounts"][0]["mountPath"] == "/antidote"
    assert found[GUIDE_ENDPOINT]["metadata"]["labels"]["syringe.dev/role"] == "guide"
    assert found["linux1"]["metadata"]["labels"]["syringe.dev/role"] == "endpoint"
    service = of_kind(manifests, "Service")[GUIDE_ENDPOINT]["spec"]
    assert service["selector"].items() <= found[GUIDE_ENDPOINT]["metadata"]["labels"].items()


def test_only_pages_that_are_named_may_show_the_guide_in_a_frame() -> None:
    spec = environment(endpoint(), GUIDE)
    ours = replace(options(), page_origins="https://labs.example.org")

    found = of_kind(environment_manifests(spec, ours), "Pod")
    env = {
        name: {v["name"]: v.get("value") for v in pod["spec"]["containers"][0]["env"]}
        for name, pod in found.items()
    }

    assert env[GUIDE_ENDPOINT]["SYRINGE_FRAME_ANCESTORS"] == "https://labs.example.org"
    assert "SYRINGE_FRAME_ANCESTORS" not in env["linux1"]


def test_the_folder_is_fetched_first_by_nobody_special() -> None:
    spec = pod(folder_limit="64Mi", fetch_image="ours/fetch:1")
    [fetch] = spec["initContainers"]
    [volume] = spec["volumes"]
    [mount] = spec["containers"][0]["volumeMounts"]

    assert fetch["image"] == "ours/fetch:1"
    assert fetch["securityContext"]["runAsNonRoot"] is True
    assert fetch["securityContext"]["readOnlyRootFilesystem"] is True
    assert fetch["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert volume["emptyDir"] == {"sizeLimit": "64Mi"}
    assert mount["mountPath"] == "/antidote"
    assert {mount["name"], fetch["volumeMounts"][0]["name"]} == {volume["name"]}
    assert {v["name"]: v.get("value") for v in fetch["env"]} == {
        "BUNDLE_URL": None,
        "BUNDLE_SHA256": "0" * 64,
    }


def amounts(wanted: ResourceSpec | None = None, **settings: Any) -> tuple[Manifest, Manifest]:
    spec = pod(endpoint(image=image(resources=wanted or ResourceSpec())), **settings)
    [fetch], [only] = spec["initContainers"], spec["containers"]
    assert fetch["resources"] == only["resources"]
    return only["resources"]["requests"], only["resources"]["limits"]


def test_amounts_are_the_installations() -> None:
    requests, limits = amounts(
        cpu_request="50m",
        cpu_limit="2",
        memory_request="64Mi",
        memory_limit="2Gi",
        disk_limit="1Gi",
        folder_limit="512Mi",
    )

    assert requests == {"cpu": "50m", "memory": "64Mi", "ephemeral-storage": "512Mi"}
    assert limits == {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "1536Mi"}


def test_virtual_network_devices_get_more_unless_their_image_says_what() -> None:
    def limits(**changes: Any) -> Manifest:
        found: Manifest = container(endpoint(image=image(flavor="trusted", **changes)))
        return {**found["resources"]["limits"]}

    assert limits()["cpu"] == "2"
    assert limits()["memory"] == "4Gi"
    assert limits(resources=ResourceSpec(memory_limit="512Mi"))["memory"] == "512Mi"
    quota = of_kind(made(environment(endpoint(flavor="trusted"))), "ResourceQuota")["lesson"]
    assert quota["spec"]["hard"]["limits.memory"] == "4096Mi"


@pytest.mark.skipif(not REAL_CURRICULUM.is_dir(), reason=f"no {REAL_CURRICULUM.name} beside it")
def test_the_devices_of_real_lessons_have_room_to_boot() -> None:
    devices = {
        unit.slug: image(slug=unit.slug, flavor=unit.definition.flavor)
        for unit in load_curriculum(REAL_CURRICULUM).images
        if unit.definition is not None and unit.definition.flavor == "trusted"
    }

    limits = [container(endpoint(image=one))["resources"]["limits"] for one in devices.values()]

    assert {"vqfx-snap1", "vqfx-snap2", "vqfx-snap3", "cvx"} <= devices.keys()
    assert min(amount(one["memory"]) for one in limits) >= amount("4Gi")
    assert min(amount(one["cpu"]) for one in limits) >= 2


def test_an_image_may_need_more() -> None:
    requests, limits = amounts(ResourceSpec("2", "4", "4Gi", "8Gi"))

    assert (requests["cpu"], limits["cpu"]) == ("2", "4")
    assert (requests["memory"], limits["memory"]) == ("4Gi", "8Gi")


@pytest.mark.parametrize(
    ("wanted", "cpu", "memory"),
    [
        (ResourceSpec(cpu_limit="50m"), ("50m", "50m"), ("128Mi", "1Gi")),
        (ResourceSpec(cpu_limit="3"), ("100m", "3"), ("128Mi", "1Gi")),
        (ResourceSpec(memory_request="4Gi"), ("100m", "1"), ("4Gi", "4Gi")),
        (ResourceSpec(memory_request="64Mi"), ("100m", "1"), ("64Mi", "1Gi")),
    ],
)
def test_half_a_pair_takes_the_other_along(
    wanted: ResourceSpec, cpu: tuple[str, str], memory: tuple[str, str]
) -> None:
    requests, limits = amounts(wanted)

    assert (requests["cpu"], limits["cpu"]) == cpu
    assert (requests["memory"], limits["memory"]) == memory


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("250m", "0.25"),
        ("1.5", "1.5"),
        (".5Gi", str(2**29)),
        ("3k", "3000"),
        ("2Ki", "2048"),
        ("1G", "1000000000"),
        ("1Ti", str(2**40)),
        ("5u", "0.000005"),
    ],
)
def test_amounts_are_read_as_kubernetes_does(text: str, value: str) -> None:
    assert amount(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "1 Gi", "-1", "1gi", "Gi", "1KB", "NaN", "1\n", "1٣"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(BackendRejected):
        amount(text)


@given(
    st.lists(st.integers(0, 10**13), min_size=1, max_size=5),
    st.sampled_from(["cpu", "memory"]),
    st.sampled_from(["", "m"]),
)
def test_sums_never_fall_short(numbers: list[int], resource: str, unit: str) -> None:
    value = sum(amount(f"{number}{unit}") for number in numbers)
    written = amount(amount_text(resource, Decimal(value)))

    assert 0 <= written - value < 1


def quota(*endpoints: EndpointSpec, **settings: Any) -> dict[str, str]:
    found = of_kind(made(environment(*endpoints), **settings), "ResourceQuota")
    hard: dict[str, str] = found["lesson"]["spec"]["hard"]
    return hard


def test_the_quota_is_the_sum_of_endpoints_and_jobs() -> None:
    hard = quota(
        endpoint("a", configuration_type="python"),
        endpoint("b", image=image(resources=ResourceSpec("2", "4", "4Gi", "8Gi"))),
    )

    assert {key: hard[key] for key in hard if not key.startswith("services.")} == {
        "pods": "3",
        "services": "2",
        "persistentvolumeclaims": "0",
        "requests.cpu": "2200m",
        "limits.cpu": "6000m",
        "requests.memory": "4352Mi",
        "limits.memory": "10240Mi",
        "requests.ephemeral-storage": "768Mi",
        "limits.ephemeral-storage": "6912Mi",
    }


def test_the_quota_forbids_what_leads_outside() -> None:
    assert quota(endpoint())["services.loadbalancers"] == "0"
    assert quota(endpoint())["services.nodeports"] == "0"


def test_the_quota_leaves_room_for_the_overhead_of_each_pod_of_a_runtime_class() -> None:
    spec = environment(endpoint("a", configuration_type="python"), endpoint("b", flavor="trusted"))
    overhead = {"cpu": "250m", "memory": "160Mi", "example.com/device": "1"}

    def hard(overhead: dict[str, str]) -> dict[str, str]:
        made = resource_quota(spec, replace(options(runtime_class="kata"), overhead=overhead))
        return made["spec"]["hard"]  # type: ignore[no-any-return]

    more = {
        key: amount(text) - amount(hard({})[key])
        for key, text in hard(overhead).items()
        if text != hard({})[key]
    }

    # That of the untrusted endpoint and that of its job.
    assert more == {
        "requests.cpu": amount("500m"),
        "limits.cpu": amount("500m"),
        "requests.memory": amount("320Mi"),
        "limits.memory": amount("320Mi"),
    }


def test_what_names_no_resources_gets_the_usual_ones() -> None:
    [limit] = of_kind(made(), "LimitRange")["lesson"]["spec"]["limits"]
    requests, limits = amounts()

    assert limit == {"type": "Container", "default": limits, "defaultRequest": requests}
