"""An API server in trouble: nothing but the errors of the contract, and nothing of secrets."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from scheduler.backends.base import (
    BackendRejected,
    BackendUnavailable,
    EnvironmentSpec,
    Phase,
    ReasonCode,
)
from scheduler.backends.kubernetes import KubernetesBackend
from scheduler.backends.kubernetes import backend as backend_module
from scheduler.backends.kubernetes.resources import RESOURCES
from tests.contract.descriptions import UTILITY, end, endpoint, observe, start
from tests.fake_kubernetes import FakeCluster, Fault, kinds
from tests.fake_kubernetes.admission import limits
from tests.fake_kubernetes.quantities import amount
from tests.fake_kubernetes.store import Store
from tests.integration.kubernetes.conftest import Connect, lesson
from tests.waiting import FOR_EVER, PATIENCE

Call = Callable[[KubernetesBackend, EnvironmentSpec], object]

CALLS: dict[str, Call] = {
    "ensure": lambda backend, spec: backend.ensure(spec),
    "observe": observe,
    "configure": lambda backend, spec: backend.configure(spec, stage=0, endpoint="linux1", run=1),
    "destroy": lambda backend, spec: backend.destroy(spec.ref),
    "owned": lambda backend, spec: list(backend.owned()),
}
TEMPORARY = [
    Fault(status=401),
    Fault(status=408),
    Fault(status=409),
    Fault(status=410),
    Fault(status=429, retry_after=7),
    Fault(status=500),
    Fault(status=503, retry_after=7),
    Fault(status=504),
    Fault(drop="before"),
    Fault(drop="middle"),
    Fault(malformed=True),
]


def configured() -> EnvironmentSpec:
    return lesson(
        endpoint("linux1", configuration_type="python"),
        stages=[{"linux1": "stage0/configs/linux1.py"}],
    )


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", TEMPORARY, ids=lambda fault: f"{fault.status}{fault.drop}")
def test_what_may_pass_is_unavailable_and_passes(
    cluster: FakeCluster, backend: KubernetesBackend, call: str, fault: Fault
) -> None:
    spec = configured()
    if call != "ensure":
        start(backend, spec)
    again = Fault(
        status=fault.status,
        drop=fault.drop,
        malformed=fault.malformed,
        retry_after=fault.retry_after,
    )
    cluster.faults.add(again)

    with pytest.raises(BackendUnavailable) as raised:
        CALLS[call](backend, spec)

    if fault.retry_after:
        assert "after 7 s" in str(raised.value)
    assert raised.value.retry_after == (fault.retry_after or 0)
    CALLS[call](backend, spec)


STEPS = (
    "namespaces",
    "networkpolicies",
    "resourcequotas",
    "limitranges",
    "serviceaccounts",
    "secrets",
    "services",
    "pods",
)


@pytest.mark.parametrize("resource", STEPS)
@pytest.mark.parametrize("drop", ["before", "middle"])
def test_a_start_goes_on_after_any_lost_connection(
    cluster: FakeCluster, backend: KubernetesBackend, resource: str, drop: Any
) -> None:
    spec = lesson(endpoint("linux1"), endpoint("linux2"))
    cluster.faults.add(Fault(resource=resource, drop=drop))

    with pytest.raises(BackendUnavailable):
        backend.ensure(spec)

    assert start(backend, spec).phase == Phase.RUNNING
    assert end(backend, spec.ref)


@pytest.mark.parametrize("resource", STEPS)
@pytest.mark.parametrize("status", [403, 422, 500, 503])
def test_errors_say_nothing_of_secrets(
    cluster: FakeCluster,
    backend: KubernetesBackend,
    caplog: pytest.LogCaptureFixture,
    resource: str,
    status: int,
) -> None:
    spec = configured()
    cluster.faults.add(Fault(resource=resource, status=status))

    with pytest.raises((BackendUnavailable, BackendRejected)) as raised:
        backend.ensure(spec)

    shown = f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r} {caplog.text}"
    secrets = [spec.access_password, UTILITY.ssh_password, "signature", cluster.token]
    assert not [secret for secret in secrets if secret in shown]
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


@pytest.mark.parametrize("call", CALLS)
def test_a_slow_answer_is_waited_for_until_the_time_limit(
    cluster: FakeCluster, connect: Connect, call: str
) -> None:
    spec = configured()
    if call != "ensure":
        start(connect(cluster), spec)
    backend = connect(cluster, timeout_seconds=0.3)
    cluster.faults.add(Fault(delay=FOR_EVER))

    with pytest.raises(BackendUnavailable, match="timed out"):
        CALLS[call](backend, spec)


def test_a_start_ends_although_every_call_is_slow(
    cluster: FakeCluster, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No call by itself is too slow, so that a busy machine's may be slower yet.
    backend = connect(cluster, timeout_seconds=PATIENCE)
    monkeypatch.setattr(backend_module, "_ENSURE_TIMEOUTS", 2 / PATIENCE)
    cluster.faults.add(Fault(delay=0.3, times=None))

    with pytest.raises(BackendUnavailable, match="whole start"):
        backend.ensure(lesson(*(endpoint(f"linux{number}") for number in range(40))))


@pytest.mark.parametrize("call", CALLS)
def test_nobody_listens(cluster: FakeCluster, backend: KubernetesBackend, call: str) -> None:
    spec = configured()
    cluster._server.stop()

    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        CALLS[call](backend, spec)


def test_a_quota_of_somebody_else_is_a_lack_of_room(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson()
    cluster.faults.add(Fault(verb="create", resource="pods", status=503))
    with pytest.raises(BackendUnavailable):
        backend.ensure(spec)
    (namespace,) = {call.namespace for call in cluster.calls.matching(resource="secrets")}
    quota = {
        "metadata": {"name": "strict", "namespace": namespace},
        "spec": {"hard": {"pods": "0"}},
    }
    cluster.add(kinds.RESOURCE_QUOTAS, quota)

    with pytest.raises(BackendRejected, match="exceeded quota") as raised:
        backend.ensure(spec)

    assert raised.value.reason_code == ReasonCode.NO_CAPACITY
    assert "exceeded quota" in raised.value.detail
    assert raised.value.told == ""


def test_a_quota_of_ours_that_was_charged_twice_is_only_for_now_a_lack_of_room(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson(endpoint("linux1"), endpoint("linux2"))
    cluster.faults.add(Fault(verb="create", resource="pods", drop="middle"))
    with pytest.raises(BackendUnavailable):
        backend.ensure(spec)
    (key,) = cluster.store.all(kinds.RESOURCE_QUOTAS)
    cluster.store.edit(
        kinds.RESOURCE_QUOTAS, key, lambda quota: quota["status"]["used"].update(pods="2")
    )

    with pytest.raises(BackendUnavailable, match="exceeded quota: lesson"):
        backend.ensure(spec)
    cluster.recount()

    assert start(backend, spec).phase == Phase.RUNNING


def test_a_pod_that_never_fits_into_our_quota_is_refused_at_once(
    cluster: FakeCluster, backend: KubernetesBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_in = limits.fill_in

    def add_sidecar(store: Store, pod: dict[str, Any]) -> None:
        pod["spec"]["containers"].append({"name": "sidecar", "image": "mesh"})
        fill_in(store, pod)

    monkeypatch.setattr(limits, "fill_in", add_sidecar)

    with pytest.raises(BackendRejected, match="exceeded quota: lesson") as raised:
        backend.ensure(lesson())

    assert raised.value.reason_code == ReasonCode.REJECTED
    assert "sidecar" in raised.value.detail
    assert raised.value.told == ""


def test_the_overhead_of_the_clusters_runtime_class_fits_into_the_quota(
    cluster: FakeCluster, connect: Connect
) -> None:
    kata = {
        "metadata": {"name": "kata"},
        "handler": "kata",
        "overhead": {"podFixed": {"cpu": "3", "memory": "3Gi"}},
    }
    cluster.add(kinds.RUNTIME_CLASSES, kata)
    backend = connect(cluster, runtime_class="kata")
    spec = lesson(endpoint("linux1"), endpoint("linux2"))

    assert start(backend, spec).phase == Phase.RUNNING

    [quota] = cluster.store.all(kinds.RESOURCE_QUOTAS).values()
    used, hard = quota["status"]["used"], quota["spec"]["hard"]
    assert amount(used["limits.cpu"]) == amount(hard["limits.cpu"])


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("namespaces", 'cannot create resource "namespaces"'),
        ("networkpolicies", 'cannot patch resource "networkpolicies"'),
        # Nothing that a server says about a Secret is passed on.
        ("secrets", "applying Secret lesson: HTTP 403: Forbidden"),
        ("pods", 'cannot create resource "pods"'),
    ],
)
def test_a_missing_right_is_named(connect: Connect, missing: str, words: str) -> None:
    rules = [
        {"apiGroups": [resource.group], "resources": [resource.plural], "verbs": resource.verbs}
        for resource in RESOURCES.values()
        if resource.verbs and resource.plural != missing
    ]
    with FakeCluster(rules=rules) as cluster:
        backend = connect(cluster)

        with pytest.raises(BackendRejected, match=words) as raised:
            backend.ensure(lesson())

        assert words in raised.value.detail
        assert raised.value.told == ""


def test_the_rights_of_the_table_are_enough(connect: Connect) -> None:
    rules = [
        {"apiGroups": [resource.group], "resources": [resource.plural], "verbs": resource.verbs}
        for resource in RESOURCES.values()
        if resource.verbs
    ]
    with FakeCluster(rules=rules) as cluster:
        backend = connect(cluster)
        spec = configured()
        for call in ("ensure", "ensure", "observe", "configure", "owned"):
            CALLS[call](backend, spec)
        assert list(backend.preflight()) == []
        assert end(backend, spec.ref)

        assert not cluster.calls.matching(status=403)
