"""The set of objects as a whole: order, labels, number, secrets, names."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from scheduler.backends.base import BackendRejected, ConnectionSpec, StageSpec
from scheduler.backends.kubernetes.labels import (
    environments_selector,
    instance_selector,
    ref_of,
)
from scheduler.backends.kubernetes.manifests import configuration_job, environment_manifests
from scheduler.backends.kubernetes.names import is_dns_label
from tests.unit.kubernetes.descriptions import (
    ACCESS_PASSWORD,
    BUNDLE_URL,
    CONFIGURATION_PASSWORD,
    IMAGE_PASSWORD,
    SHELL,
    WEB,
    endpoint,
    environment,
    image,
    made,
    of_kind,
    options,
)

ORDER = (
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "ServiceAccount",
    "Secret",
    "NetworkAttachmentDefinition",
    "Service",
    "Ingress",
    "Pod",
)
EVERYTHING = {
    "ingress_domain": "pages.example.org",
    "egress": "internet",
    "configuration_egress": "none",
    "pull_config": '{"auths": {}}',
}
LARGE = environment(
    endpoint("vqfx-1", "trusted", presentations=(SHELL, WEB), configuration_type="napalm"),
    endpoint("linux1", presentations=(WEB, replace(WEB, name="other", port=80))),
    endpoint("linux2", presentations=(), additional_ports=(443,)),
    connections=(ConnectionSpec("vqfx-1", "linux1"), ConnectionSpec("linux1", "linux2")),
    stages=(StageSpec(configurations={"vqfx-1": "stage0/configs/vqfx-1-junos.txt"}),),
)
JOB = configuration_job(LARGE, stage=0, endpoint="vqfx-1", run=3, options=options())


def texts(value: Any) -> Iterator[str]:
    """Yield every text in a manifest, keys included."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def test_what_fences_comes_before_what_runs() -> None:
    kinds = [found["kind"] for found in made(LARGE, **EVERYTHING)]

    assert tuple(dict.fromkeys(kinds)) == ORDER
    assert kinds == sorted(kinds, key=ORDER.index)


def test_the_same_description_gives_the_same_objects() -> None:
    assert made(LARGE, **EVERYTHING) == made(LARGE, **EVERYTHING)
    assert json.loads(json.dumps(made(LARGE, **EVERYTHING))) == made(LARGE, **EVERYTHING)


@pytest.mark.parametrize("found", [*made(LARGE, **EVERYTHING), JOB], ids=lambda m: m["kind"])
def test_every_object_says_whose_it_is(found: Any) -> None:
    labels = found["metadata"]["labels"]

    assert labels["app.kubernetes.io/managed-by"] == "syringe"
    assert labels["syringe.dev/instance"] == "test"
    assert labels["syringe.dev/session"] == LARGE.session_id.hex
    assert labels["syringe.dev/lesson"] == "a-lesson"
    assert ref_of(labels) == LARGE.ref


def test_only_the_namespace_is_outside_of_it() -> None:
    namespace, *others = [*made(LARGE, **EVERYTHING), JOB]

    assert "namespace" not in namespace["metadata"]
    assert {found["metadata"]["namespace"] for found in others} == {namespace["metadata"]["name"]}


def test_names_are_unique_within_a_kind() -> None:
    keys = [(found["kind"], found["metadata"]["name"]) for found in made(LARGE, **EVERYTHING)]

    assert len(set(keys)) == len(keys)


def test_two_attempts_and_two_instances_share_nothing() -> None:
    spaces = {
        environment_manifests(spec, options(instance=instance))[0]["metadata"]["name"]
        for instance in ("one", "two")
        for spec in (LARGE, replace(LARGE, ref=replace(LARGE.ref, attempt=3)))
    }

    assert len(spaces) == 4


@pytest.mark.parametrize("settings", [{}, EVERYTHING])
@pytest.mark.parametrize("spec", [environment(), LARGE])
def test_a_start_stays_within_the_budget_of_calls(spec: Any, settings: Any) -> None:
    presentations = [p for e in spec.lesson.endpoints for p in e.presentations if p.type == "http"]
    observation = 3
    budget = (
        12
        - observation
        + 2 * len(spec.lesson.endpoints)
        + len(spec.lesson.connections)
        + len(presentations)
    )

    assert len(made(spec, **settings)) <= budget


def test_a_terminal_needs_no_object_of_its_own() -> None:
    plain = made(environment(endpoint(presentations=())), **EVERYTHING)

    assert len(made(environment(endpoint(presentations=(SHELL,))), **EVERYTHING)) == len(plain)
    assert len(made(environment(endpoint(presentations=(WEB,))), **EVERYTHING)) == len(plain) + 2


def test_secrets_are_in_secret_objects_only() -> None:
    keeper = image(
        ssh_user="antidote", ssh_password=IMAGE_PASSWORD, config_password=CONFIGURATION_PASSWORD
    )
    spec = environment(
        endpoint("a", image=keeper, configuration_type="python"),
        endpoint("b", configuration_type="ansible"),
        stages=(StageSpec(configurations={"a": "a.py", "b": "b.yml"}),),
    )
    pull_config = '{"auths": {"registry": {"auth": "a-secret-token"}}}'
    manifests = [
        *made(spec, pull_config=pull_config),
        *(
            configuration_job(spec, stage=0, endpoint=name, run=1, options=options())
            for name in "ab"
        ),
    ]
    values = (
        ACCESS_PASSWORD,
        IMAGE_PASSWORD,
        CONFIGURATION_PASSWORD,
        BUNDLE_URL,
        "a-secret-signature",
        pull_config,
        "a-secret-token",
    )
    secret = [*values, *(base64.b64encode(value.encode()).decode() for value in values)]

    for found in manifests:
        if found["kind"] != "Secret":
            leaked = [s for s in secret for text in texts(found) if s in text]
            assert not leaked, found["kind"]
    data = of_kind(manifests, "Secret")["lesson"]["data"]
    assert {key: base64.b64decode(text).decode() for key, text in data.items()} == {
        "bundle-url": BUNDLE_URL,
        "access-password": ACCESS_PASSWORD,
        "configuration-password.a": CONFIGURATION_PASSWORD,
        "configuration-password.b": ACCESS_PASSWORD,
    }


def test_options_do_not_show_their_secrets() -> None:
    shown = repr(options(pull_config="a-secret"))

    assert "a-secret" not in shown
    assert "only tests" not in shown


@pytest.mark.parametrize("name", ["Linux", "linux_1", "x" * 64, "", "-a", "ü"])
def test_an_endpoint_that_cannot_be_a_host_is_refused(name: str) -> None:
    with pytest.raises(BackendRejected, match="host name"):
        made(environment(endpoint(name)))


def test_two_endpoints_of_one_name_are_refused() -> None:
    with pytest.raises(BackendRejected, match="same name"):
        made(environment(endpoint("a"), endpoint("a")))


def test_a_long_slug_fits_into_a_label() -> None:
    one, other = (
        made(environment(slug="a-lesson" * 12 + end))[0]["metadata"]["labels"]["syringe.dev/lesson"]
        for end in "xy"
    )

    assert one != other
    assert all(map(is_dns_label, (one, other)))


def test_selectors_name_the_instance_and_the_livelessons() -> None:
    later = replace(LARGE.ref, attempt=9)

    assert instance_selector("a") == "app.kubernetes.io/managed-by=syringe,syringe.dev/instance=a"
    assert (
        environments_selector("a", [LARGE.ref, later])
        == f"{instance_selector('a')},syringe.dev/livelesson in ({LARGE.ref.live_lesson_id.hex})"
    )


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"syringe.dev/livelesson": "x", "syringe.dev/attempt": "1"},
        {"syringe.dev/livelesson": LARGE.ref.live_lesson_id.hex},
        {"syringe.dev/livelesson": LARGE.ref.live_lesson_id.hex, "syringe.dev/attempt": "-1"},
    ],
)
def test_what_is_not_ours_has_no_ref(labels: dict[str, str]) -> None:
    assert ref_of(labels) is None
