"""What an operator is told before the first lesson, with the way out in each sentence."""

from __future__ import annotations

from typing import Any

import pytest

from scheduler.backends.kubernetes.resources import RESOURCES
from tests.fake_kubernetes import FakeCluster, kinds
from tests.granted_clusters import granted_cluster
from tests.integration.kubernetes.conftest import Connect

INGRESS_CLASS = {"metadata": {"name": "nginx"}, "spec": {"controller": "example.com/nginx"}}
RUNTIME_CLASS = {"metadata": {"name": "gvisor"}, "handler": "runsc"}


def rules(*without: tuple[str, str]) -> list[dict[str, Any]]:
    """Return the rules of a role with everything that the backend needs, except these."""
    return [
        {
            "apiGroups": [resource.group],
            "resources": [resource.plural],
            "verbs": [verb for verb in resource.verbs if (resource.plural, verb) not in without],
        }
        for resource in RESOURCES.values()
    ]


@pytest.mark.parametrize("forced", [False, True])
def test_a_good_cluster_has_no_problem(connect: Connect, *, forced: bool) -> None:
    with granted_cluster(force_finalize=forced) as cluster:
        cluster.add(kinds.INGRESS_CLASSES, INGRESS_CLASS)
        cluster.add(kinds.RUNTIME_CLASSES, RUNTIME_CLASS)
        backend = connect(
            cluster, ingress_class="nginx", runtime_class="gvisor", force_finalize=forced
        )

        assert list(backend.preflight()) == []


@pytest.mark.parametrize(("version", "is_old"), [("1.28", True), ("1.29", False)])
def test_an_old_cluster_is_to_be_upgraded(connect: Connect, version: str, *, is_old: bool) -> None:
    with granted_cluster(version=version) as cluster:
        problems = list(connect(cluster).preflight())

    assert [f"{version}: upgrade it to 1.29" in problem for problem in problems] == [True] * is_old


def test_a_cluster_that_is_not_there(cluster: FakeCluster, connect: Connect) -> None:
    backend = connect(cluster)
    cluster._server.stop()

    (problem,) = backend.preflight()

    assert "cannot be reached" in problem
    assert "SYRINGE_KUBERNETES_KUBECONFIG" in problem


def test_missing_rights_are_all_named(connect: Connect) -> None:
    missing = [("pods", "create"), ("namespaces", "delete"), ("ingresses", "patch")]
    with FakeCluster(rules=rules(*missing)) as cluster:
        (problem,) = connect(cluster, force_finalize=True).preflight()

    for resource, verb in (*missing, ("namespaces/finalize", "update")):
        assert f"{verb} {resource}" in problem
    assert "list pods" not in problem
    assert "ClusterRole" in problem


def test_classes_that_are_not_used_need_no_rights(connect: Connect) -> None:
    missing = [("runtimeclasses", "get"), ("ingressclasses", "get")]
    with FakeCluster(rules=rules(*missing)) as cluster:
        assert list(connect(cluster).preflight()) == []


def test_classes_that_are_missing_are_named(cluster: FakeCluster, connect: Connect) -> None:
    backend = connect(cluster, ingress_class="nginx", runtime_class="gvisor")

    runtime, ingress = backend.preflight()

    assert "no RuntimeClass gvisor" in runtime
    assert "SYRINGE_KUBERNETES_RUNTIME_CLASS" in runtime
    assert "no IngressClass nginx" in ingress
    assert "SYRINGE_KUBERNETES_INGRESS_CLASS" in ingress
