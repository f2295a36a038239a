"""What the backend asks of an API server: how often, in which order, and with which rights."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from threading import Event
from typing import Any
from uuid import UUID

import pytest

from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    ConnectionSpec,
    EnvironmentRef,
    Phase,
    PresentationSpec,
    ReasonCode,
)
from scheduler.backends.kubernetes import KubernetesBackend, client
from scheduler.backends.kubernetes.manifests import environment_manifests
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.backends.kubernetes.options import current_options
from scheduler.backends.kubernetes.resources import RESOURCES
from tests.contract.descriptions import SHELL, end, endpoint, observe, start, wait_until
from tests.fake_kubernetes import FakeCluster, Fault, defaults, kinds
from tests.integration.kubernetes.conftest import Connect, lesson
from tests.waiting import PATIENCE

WEB = PresentationSpec(name="web", port=8080, type="http")
SPARE_CALLS = 3
"""Of the twelve for a start, those that are left to observing."""


def contents(cluster: FakeCluster) -> dict[tuple[str, str], Any]:
    """Return everything in the cluster but what its controllers add to a namespace."""
    return {
        (kind.plural, "/".join(key)): manifest
        for kind in kinds.BUILT_IN
        if kind not in {kinds.CONFIG_MAPS, kinds.SERVICE_ACCOUNTS}
        for key, manifest in objects(cluster, kind).items()
    }


def objects(cluster: FakeCluster, kind: kinds.Kind) -> dict[tuple[str, str], Any]:
    """Return the objects of a kind, read past the API."""
    return cluster.store.all(kind)


@pytest.mark.parametrize("endpoints", [1, 3])
@pytest.mark.parametrize("connections", [0, 2])
def test_a_start_keeps_to_its_budget(
    cluster: FakeCluster, connect: Connect, endpoints: int, connections: int
) -> None:
    backend = connect(
        cluster, ingress_domain="lessons.test", egress="internet", configuration_egress="internet"
    )
    names = [f"linux{number}" for number in range(1, endpoints + 1)]
    spec = lesson(
        *(endpoint(name, presentations=(SHELL, WEB)) for name in names),
        connections=[ConnectionSpec(names[0], names[-1])] * connections,
    )
    cluster.calls.clear()

    backend.ensure(spec)

    pages = endpoints
    assert len(cluster.calls) <= 12 + 2 * endpoints + connections + pages - SPARE_CALLS


def test_all_that_a_lesson_may_have_is_within_the_rights_of_the_chart(
    cluster: FakeCluster, connect: Connect, tmp_path: Path
) -> None:
    pull_config = tmp_path / "registry.json"
    pull_config.write_text('{"auths": {"registry.test": {"auth": "c29tZWJvZHk6c2VjcmV0"}}}')
    cluster.add(kinds.RUNTIME_CLASSES, {"metadata": {"name": "gvisor"}, "handler": "runsc"})
    backend = connect(
        cluster,
        ingress_domain="lessons.test",
        pull_config_file=pull_config,
        runtime_class="gvisor",
        egress="internet",
    )
    spec = lesson(
        endpoint("linux1", presentations=(SHELL, WEB), configuration_type="python"),
        endpoint("linux2"),
        connections=[ConnectionSpec("linux1", "linux2")],
        stages=[{"linux1": "stage0/configs/linux1.py"}],
        hidden=("stage0/checks/one.py",),
    )

    start(backend, spec)
    backend.configure(spec, stage=0, endpoint="linux1", run=1)
    backend.run_check(
        spec,
        stage=0,
        slug="one",
        endpoint="linux1",
        path="stage0/checks/one.py",
        language="python",
        environment={},
        timeout_seconds=5,
        run=1,
    )

    assert wait_until(lambda: observe(backend, spec).jobs["linux1", 1].phase == Phase.SUCCEEDED)
    assert end(backend, spec.ref)
    written = {call.resource for call in cluster.calls if call.verb in {"create", "patch"}}
    assert written == {
        resource.plural for resource in RESOURCES.values() if "create" in resource.verbs
    }
    assert len(cluster.calls.matching(verb="patch", resource="secrets")) == 2
    for call in cluster.calls:
        if call.verb in {"create", "patch"}:
            # What is ours among an object's fields is told by this name alone.
            assert call.query["fieldManager"] == "syringe"
            assert call.query["fieldValidation"] == "Strict"
    assert cluster.refused == []


def test_an_observation_costs_three_calls_for_one_or_a_hundred(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    specs = [lesson(), lesson()]
    for spec in specs:
        start(backend, spec)
    strangers = [replace(spec.ref, attempt=n) for spec in specs for n in range(2, 51)]

    for refs in ([specs[0].ref], [spec.ref for spec in specs] + strangers):
        cluster.calls.clear()
        seen = backend.observe(refs)
        assert [call.verb for call in cluster.calls] == ["list"] * 3
        # A job looks at least as old as its pod, whose end tells more.
        others = [call.resource for call in cluster.calls if call.resource != "namespaces"]
        assert others == ["jobs", "pods"]
        assert set(seen) == set(refs)


def test_any_number_costs_the_same(cluster: FakeCluster, backend: KubernetesBackend) -> None:
    first, last = lesson(), lesson()
    start(backend, first)
    start(backend, last)
    strangers = [lesson().ref for _ in range(200)]
    cluster.calls.clear()

    seen = backend.observe([*strangers, last.ref])

    assert len(cluster.calls) == 3
    assert set(seen) == {*strangers, last.ref}
    assert seen[last.ref].phase == Phase.RUNNING


def test_a_thousand_livelessons_are_listed_in_pages(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    one = lesson()
    refs = [EnvironmentRef(UUID(int=number), 1) for number in range(1, 1001)]
    for ref in refs:
        manifest, *_ = environment_manifests(replace(one, ref=ref), current_options())
        cluster.add(kinds.NAMESPACES, manifest)
    stop, woken = Event(), SimpleQueue[Collection[UUID]]()
    cluster.calls.clear()

    assert set(backend.owned()) == set(refs)
    assert len(cluster.calls) == 2
    assert {seen.phase for seen in backend.observe(refs).values()} == {Phase.FAILED}
    assert len(cluster.calls) == 2 + 4
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(backend.watch, woken.put, stop)
        try:
            wait_until(lambda: len(cluster.calls.matching(verb="watch", resource="namespaces")) > 0)
            backend.destroy(refs[-1])
            assert refs[-1].live_lesson_id in woken.get(timeout=PATIENCE)
        finally:
            stop.set()
            cluster.drop_connections()
        watching.result(timeout=PATIENCE)


def test_pages_that_came_too_late_are_begun_again(
    cluster: FakeCluster, backend: KubernetesBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "PAGE_SIZE", 1)
    for _ in range(3):
        backend.ensure(lesson())
    cluster.faults.add(Fault(verb="list", resource="namespaces", delay=0.01))
    cluster.faults.add(Fault(verb="list", resource="namespaces", status=410))

    with pytest.raises(BackendUnavailable):
        backend.owned()

    assert len(list(backend.owned())) == 3


def test_lists_are_consistent_and_by_label(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson()
    backend.ensure(spec)
    cluster.calls.clear()

    # Whoever has just ensured sees it: anything else would look like a vanished environment.
    assert observe(backend, spec).phase in {Phase.STARTING, Phase.RUNNING}
    list(backend.owned())

    for call in cluster.calls:
        assert not call.query.get("resourceVersion")
        assert "app.kubernetes.io/managed-by=syringe" in call.query["labelSelector"]
        assert "syringe.dev/instance=" in call.query["labelSelector"]


def test_ensure_again_writes_nothing(cluster: FakeCluster, backend: KubernetesBackend) -> None:
    spec = lesson(endpoint("linux1"), endpoint("linux2"))
    start(backend, spec)
    before = contents(cluster)

    backend.ensure(spec)

    assert contents(cluster) == before
    assert not cluster.calls.matching(verb="update")


def test_ensure_goes_on_where_another_process_stopped(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson(endpoint("linux1"), endpoint("linux2"))
    cluster.faults.add(Fault(verb="create", resource="pods", status=503))
    with pytest.raises(BackendUnavailable):
        backend.ensure(spec)

    assert start(backend, spec).phase == Phase.RUNNING


def test_a_start_that_goes_on_asks_for_no_pod_twice(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    """Asked for twice, a pod would be charged twice, and leave no room for the others."""
    spec = lesson(endpoint("linux1"), endpoint("linux2"), endpoint("linux3"))
    for _ in range(2):
        cluster.faults.add(Fault(verb="create", resource="pods", drop="middle"))
        with pytest.raises(BackendUnavailable):
            backend.ensure(spec)

    assert start(backend, spec).phase == Phase.RUNNING
    assert len(cluster.calls.matching(verb="create", resource="pods")) == 3


def test_processes_that_start_the_same_at_once_end_up_with_the_same(
    cluster: FakeCluster, connect: Connect
) -> None:
    """What both asked for is charged twice at first, so some may have to come again."""
    spec = lesson(endpoint("linux1"), endpoint("linux2"))
    backends = [connect(cluster) for _ in range(4)]

    def ensure(backend: KubernetesBackend) -> None:
        with suppress(BackendUnavailable):
            backend.ensure(spec)

    with ThreadPoolExecutor(len(backends)) as pool:
        list(pool.map(ensure, backends))
    cluster.recount()
    backends[0].ensure(spec)

    assert len(objects(cluster, kinds.PODS)) == 2
    assert start(backends[0], spec).phase == Phase.RUNNING


def test_everything_is_in_place_before_the_first_pod(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    backend.ensure(lesson(endpoint("linux1"), endpoint("linux2")))

    written = [call.resource for call in cluster.calls if call.verb in {"create", "patch"}]
    assert written[0] == "namespaces"
    assert "networkpolicies" in written
    assert written[-2:] == ["pods", "pods"]
    assert "pods" not in written[:-2]


def without_egress(policy: dict[str, Any]) -> None:
    policy["spec"].pop("egress")
    policy["spec"]["policyTypes"] = ["Ingress"]


def with_the_world(policy: dict[str, Any]) -> None:
    policy["spec"]["ingress"].append({})


def empty(policy: dict[str, Any]) -> None:
    policy["spec"] = {"podSelector": {}, "policyTypes": ["Ingress"]}


@pytest.mark.parametrize("meddle", [without_egress, with_the_world, empty])
def test_no_pod_is_created_where_a_policy_does_not_stay_as_it_is(
    cluster: FakeCluster, backend: KubernetesBackend, monkeypatch: pytest.MonkeyPatch, meddle: Any
) -> None:
    monkeypatch.setitem(defaults._DEFAULTS, kinds.NETWORK_POLICIES, meddle)

    with pytest.raises(BackendRejected, match="NetworkPolicy"):
        backend.ensure(lesson())

    assert not cluster.calls.matching(verb="create", resource="pods")


def test_a_namespace_of_somebody_else_is_left_alone(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = lesson()
    name = namespace_name(settings.SYRINGE_INSTANCE, spec.ref)
    cluster.add(kinds.NAMESPACES, {"metadata": {"name": name, "labels": {"team": "others"}}})
    before = contents(cluster)

    with pytest.raises(BackendRejected, match="not ours"):
        backend.ensure(spec)
    backend.destroy(spec.ref)

    assert contents(cluster) == before
    assert observe(backend, spec).phase == Phase.ABSENT
    assert list(backend.owned()) == []


def test_labels_on_a_foreign_namespace_do_not_make_it_ours(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson()
    start(backend, spec)
    name = ("", namespace_name_of(cluster))
    labels = objects(cluster, kinds.NAMESPACES)[name]["metadata"]["labels"]
    cluster.add(kinds.NAMESPACES, {"metadata": {"name": "copied", "labels": dict(labels)}})

    assert list(backend.owned()) == [spec.ref]
    assert observe(backend, spec).phase == Phase.RUNNING
    backend.destroy(spec.ref)

    assert [call.name for call in cluster.calls.matching(verb="delete")] == [name[1]]


def namespace_name_of(cluster: FakeCluster) -> str:
    """Return the name of the only namespace that we made."""
    (call,) = cluster.calls.matching(verb="create", resource="namespaces")
    (name,) = {
        key[1]
        for key, manifest in objects(cluster, kinds.NAMESPACES).items()
        if "syringe.dev/instance" in manifest["metadata"]["labels"]
    }
    assert call.status == 201
    return name


def test_a_lesson_without_connections_needs_no_multus(connect: Connect) -> None:
    with FakeCluster(multus=False) as cluster:
        backend = connect(cluster)

        assert start(backend, lesson()).phase == Phase.RUNNING


def test_a_lesson_with_connections_is_refused_without_multus(connect: Connect) -> None:
    with FakeCluster(multus=False) as cluster:
        backend = connect(cluster)
        spec = lesson(
            endpoint("linux1"),
            endpoint("linux2"),
            connections=[ConnectionSpec("linux1", "linux2")],
        )

        with pytest.raises(BackendRejected, match="install Multus") as raised:
            backend.ensure(spec)

        assert raised.value.told.endswith("the machines here cannot connect endpoints")
        assert list(backend.owned()) == []
        assert not cluster.calls.matching(verb="create")


def test_configure_is_one_call_and_twice_the_same_job(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson(
        endpoint(configuration_type="python"), stages=[{"linux1": "stage0/configs/linux1.py"}]
    )
    start(backend, spec)
    cluster.calls.clear()

    backend.configure(spec, stage=0, endpoint="linux1", run=1)
    backend.configure(spec, stage=0, endpoint="linux1", run=1)

    assert [(call.verb, call.resource, call.status) for call in cluster.calls] == [
        ("create", "jobs", 201),
        ("create", "jobs", 409),
    ]


def test_a_job_is_done_when_its_pod_is(connect: Connect) -> None:
    """The Job itself says so about a second later."""
    spec = lesson(
        endpoint(configuration_type="python"), stages=[{"linux1": "stage0/configs/linux1.py"}]
    )
    with FakeCluster(job_seconds=120) as cluster:
        backend = connect(cluster)
        start(backend, spec)
        backend.configure(spec, stage=0, endpoint="linux1", run=1)

        assert wait_until(lambda: observe(backend, spec).jobs["linux1", 1].phase == Phase.SUCCEEDED)

        [job] = objects(cluster, kinds.JOBS).values()
        assert "conditions" not in job["status"]


def test_a_start_in_a_namespace_on_its_way_out_is_refused(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    cluster.holds.hold("*")
    spec = lesson(
        endpoint(configuration_type="python"), stages=[{"linux1": "stage0/configs/linux1.py"}]
    )
    start(backend, spec)
    backend.destroy(spec.ref)

    with pytest.raises(BackendRejected) as ensuring:
        backend.ensure(spec)
    with pytest.raises(BackendRejected) as configuring:
        backend.configure(spec, stage=0, endpoint="linux1", run=1)

    assert ensuring.value.reason_code == ReasonCode.VANISHED
    assert configuring.value.reason_code == ReasonCode.VANISHED


def test_two_instances_on_one_cluster_never_meet(
    cluster: FakeCluster, backend: KubernetesBackend, settings: Any
) -> None:
    spec = lesson()
    home = settings.SYRINGE_INSTANCE
    start(backend, spec)
    settings.SYRINGE_INSTANCE = f"{home}-2"
    start(backend, spec)
    backend.destroy(spec.ref)
    settings.SYRINGE_INSTANCE = home

    assert observe(backend, spec).phase == Phase.RUNNING
    assert list(backend.owned()) == [spec.ref]
    assert {call.name for call in cluster.calls.matching(verb="delete")} == {
        namespace_name(f"{home}-2", spec.ref)
    }


def test_a_login_of_an_endpoint_that_is_not_there(backend: KubernetesBackend) -> None:
    with pytest.raises(BackendRejected, match="linux9"):
        backend.login(lesson(), "linux9")


def test_what_was_never_there_is_absent_at_no_harm(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    ref = EnvironmentRef(lesson().ref.live_lesson_id, 0)

    backend.destroy(ref)

    assert backend.observe([ref])[ref].phase == Phase.ABSENT
    assert not backend.observe([])
    assert not cluster.calls.matching(verb="delete")
