"""Ends of environments that somebody else holds up, and those that are none of ours."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from scheduler.backends.base import BackendUnavailable, Phase
from scheduler.backends.kubernetes import KubernetesBackend, deletion
from tests.contract.descriptions import end, observe, start, wait_until
from tests.fake_kubernetes import FakeCluster, kinds
from tests.granted_clusters import granted_cluster
from tests.integration.kubernetes.conftest import Connect, lesson

HOLD = "example.com/never-removed"


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Return an empty cluster, whose account may force namespaces to go."""
    with granted_cluster(force_finalize=True) as cluster:
        yield cluster


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a namespace hang as soon as it is Terminating."""
    monkeypatch.setattr(deletion, "PATIENCE", timedelta(seconds=-2))


def test_a_deletion_is_in_the_foreground_and_of_exactly_what_was_seen(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson()
    start(backend, spec)

    assert end(backend, spec.ref)

    (call,) = cluster.calls.matching(verb="delete")
    assert call.resource == "namespaces"
    assert {key[1] for key in cluster.store.all(kinds.NAMESPACES)} == {
        "default",
        "kube-node-lease",
        "kube-public",
        "kube-system",
    }


def test_a_namespace_that_took_the_place_of_ours_is_not_deleted(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    spec = lesson()
    start(backend, spec)
    (key,) = (key for key, found in cluster.store.all(kinds.NAMESPACES).items() if is_ours(found))
    client = backend._cluster()

    with pytest.raises(BackendUnavailable):
        client.delete("Namespace", key[1], uid="00000000-0000-0000-0000-000000000000")

    assert observe(backend, spec).phase == Phase.RUNNING


def is_ours(namespace: dict[str, Any]) -> bool:
    return "syringe.dev/instance" in namespace["metadata"]["labels"]


def test_a_namespace_that_hangs_is_reported_once_with_what_holds_it(
    cluster: FakeCluster,
    backend: KubernetesBackend,
    impatient: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster.holds.hold("*", HOLD)
    spec = lesson()
    start(backend, spec)
    backend.destroy(spec.ref)

    assert wait_until(lambda: HOLD in observe(backend, spec).message)
    with caplog.at_level(logging.WARNING):
        observe(backend, spec)
        backend.destroy(spec.ref)

    assert observe(backend, spec).phase == Phase.DELETING
    assert not cluster.calls.matching(verb="update", subresource="finalize")
    hanging = [record for record in caplog.records if "hangs" in record.message]
    assert len(hanging) == 1
    assert list(backend.owned()) == [spec.ref]


def test_a_namespace_on_its_way_out_is_not_reported_at_once(
    cluster: FakeCluster, backend: KubernetesBackend
) -> None:
    cluster.holds.hold("*", HOLD)
    spec = lesson()
    start(backend, spec)
    backend.destroy(spec.ref)

    assert observe(backend, spec).phase == Phase.DELETING
    assert observe(backend, spec).message == ""


@pytest.mark.parametrize("labelled", [True, False], ids=["ours", "theirs"])
def test_a_namespace_with_pods_left_is_not_forced(
    cluster: FakeCluster, connect: Connect, impatient: None, labelled: bool
) -> None:
    """Its pods would run on in a namespace that nobody lists any more."""
    backend = connect(cluster, force_finalize=True)
    cluster.holds.hold("*", HOLD)
    spec = lesson()
    start(backend, spec)
    (key,) = cluster.store.all(kinds.PODS)

    def keep(pod: dict[str, Any]) -> None:
        pod["metadata"]["finalizers"] = [HOLD]
        if not labelled:
            pod["metadata"]["labels"] = {}

    cluster.store.edit(kinds.PODS, key, keep)
    backend.destroy(spec.ref)

    assert wait_until(lambda: "pods" in observe(backend, spec).message)
    backend.destroy(spec.ref)

    assert not cluster.calls.matching(verb="update", subresource="finalize")
    assert list(backend.owned()) == [spec.ref]


def test_what_nobody_has_reported_on_may_have_pods() -> None:
    """Its controller may be away, and there may be pods that are not ours."""
    gone = {"type": "NamespaceContentRemaining", "status": "False", "message": "All is removed"}
    left = {**gone, "status": "True", "message": "pods. has 1 resource instances"}

    assert deletion.may_have_pods({"status": {"phase": "Terminating"}})
    assert deletion.may_have_pods({"status": {"phase": "Terminating", "conditions": [left]}})
    assert not deletion.may_have_pods({"status": {"phase": "Terminating", "conditions": [gone]}})


@pytest.mark.parametrize("by", ["observe", "destroy"])
def test_a_namespace_that_hangs_is_forced_where_that_is_wished(
    cluster: FakeCluster, connect: Connect, impatient: None, by: str
) -> None:
    backend = connect(cluster, force_finalize=True)
    cluster.holds.hold("*", HOLD)
    cluster.add(kinds.NAMESPACES, {"metadata": {"name": "others"}})
    spec = lesson()
    start(backend, spec)
    backend.destroy(spec.ref)
    calls = {
        "observe": lambda: observe(backend, spec),
        "destroy": lambda: backend.destroy(spec.ref),
    }

    def is_gone() -> bool:
        calls[by]()
        return list(backend.owned()) == []

    assert wait_until(is_gone)
    forced = cluster.calls.matching(verb="update", subresource="finalize")
    assert {call.name for call in forced} == {
        call.name for call in cluster.calls.matching(verb="delete")
    }
    assert ("", "others") in cluster.store.all(kinds.NAMESPACES)
