"""Fake clusters, and backends that use them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.backends.base import EnvironmentSpec
from scheduler.backends.kubernetes import KubernetesBackend
from tests.contract.descriptions import environment
from tests.fake_kubernetes import FakeCluster
from tests.granted_clusters import granted_cluster

Connect = Callable[..., KubernetesBackend]


@pytest.fixture
def cluster() -> Iterator[FakeCluster]:
    """Return an empty cluster, with no more rights than the chart grants."""
    with granted_cluster() as cluster:
        yield cluster


@pytest.fixture
def connect(settings: Any, tmp_path: Path) -> Connect:
    """Return a factory of backends: of a cluster, with settings of Kubernetes."""

    def make(cluster: FakeCluster, **changes: Any) -> KubernetesBackend:
        kubeconfig = cluster.kubeconfig(tmp_path / "kubeconfig")
        settings.SYRINGE_KUBERNETES = settings.SYRINGE_KUBERNETES.model_copy(
            update={"kubeconfig": str(kubeconfig), **changes}
        )
        return KubernetesBackend()

    return make


@pytest.fixture
def backend(cluster: FakeCluster, connect: Connect) -> KubernetesBackend:
    """Return a backend of the empty cluster."""
    return connect(cluster)


def lesson(*args: Any, **kwargs: Any) -> EnvironmentSpec:
    """Describe a new environment, with an address of its folder."""
    spec = environment(*args, **kwargs)
    return replace(spec, bundle_url="http://bundles.syringe:8002/bundles/one?signature=a-secret")
