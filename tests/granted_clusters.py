"""Fake clusters whose account has the rights of the chart's role, all of which suffice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.fake_kubernetes import FakeCluster
from tests.unit.docker.conftest import SECRET, named, render


@contextmanager
def granted_cluster(*, force_finalize: bool = False, **behaviour: Any) -> Iterator[FakeCluster]:
    """Yield a cluster; fail at its end if the account was refused anything."""
    manifests = render({**SECRET, "lessons": {"forceFinalize": force_finalize}})
    with FakeCluster(rules=named(manifests, "ClusterRole")["rules"], **behaviour) as cluster:
        yield cluster
        assert cluster.refused == []
