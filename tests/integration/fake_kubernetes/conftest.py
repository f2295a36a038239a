"""A cluster, the official client, and raw HTTP for what that client cannot say."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from kubernetes import client, config

from tests.fake_kubernetes import FakeCluster
from tests.fake_kubernetes.kinds import NAMESPACES
from tests.waiting import PATIENCE

Manifest = dict[str, Any]

APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"

PATHS = {
    "Namespace": "/api/v1/namespaces",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Service": "/api/v1/namespaces/{}/services",
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{}/secrets",
    "ConfigMap": "/api/v1/namespaces/{}/configmaps",
    "ResourceQuota": "/api/v1/namespaces/{}/resourcequotas",
    "LimitRange": "/api/v1/namespaces/{}/limitranges",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "Ingress": "/apis/networking.k8s.io/v1/namespaces/{}/ingresses",
    "RuntimeClass": "/apis/node.k8s.io/v1/runtimeclasses",
    "NetworkAttachmentDefinition": "/apis/k8s.cni.cncf.io/v1/namespaces/{}/"
    "network-attachment-definitions",
}


@dataclass(slots=True)
class Reply:
    """An answer, read to its end."""

    status: int
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> Manifest:
        value: Manifest = json.loads(self.text)
        return value


@dataclass(slots=True)
class Raw:
    """HTTP without any client's opinions; ``stack`` closes what stays open."""

    cluster: FakeCluster
    stack: ExitStack
    token: str = ""

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        kind: str = "application/json",
        headers: dict[str, str] | None = None,
        **query: object,
    ) -> http.client.HTTPResponse:
        """Send a request and return the answer, not yet read."""
        sent = {"Authorization": f"Bearer {self.token or self.cluster.token}", "Content-Type": kind}
        sent |= headers or {}
        target = f"{path}?{urlencode(query)}" if query else path
        data = body if isinstance(body, str | None) else json.dumps(body)
        connection = http.client.HTTPConnection(
            self.cluster.url.removeprefix("http://"), timeout=PATIENCE
        )
        self.stack.enter_context(closing(connection))
        connection.request(method, target, data, sent)
        return self.stack.enter_context(closing(connection.getresponse()))

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        """Send a request and read the answer."""
        response = self.send(method, path, body, **more)
        reply = Reply(response.status, response.read().decode(), dict(response.headers))
        if method in ("POST", "PATCH") and "/namespaces" in path:
            # A new namespace gets its default account a moment later.
            self.cluster.settle()
        return reply

    def apply(self, manifest: Manifest, *, manager: str = "syringe", **query: Any) -> Reply:
        """Apply an object as ``manager``."""
        path = f"{collection(manifest)}/{manifest['metadata']['name']}"
        return self.call("PATCH", path, manifest, kind=APPLY, fieldManager=manager, **query)

    def create(self, manifest: Manifest, **query: Any) -> Reply:
        """Create an object."""
        return self.call("POST", collection(manifest), manifest, **query)

    def get(self, manifest: Manifest) -> Manifest:
        """Return an object that exists."""
        reply = self.call("GET", f"{collection(manifest)}/{manifest['metadata']['name']}")
        assert reply.status == 200, reply.text
        return reply.body


def collection(manifest: Manifest) -> str:
    """Return where objects of a kind and a namespace are listed."""
    return PATHS[manifest["kind"]].format(manifest["metadata"].get("namespace", ""))


def namespace(name: str = "here", **labels: str) -> Manifest:
    """Return a namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod(name: str = "pod", where: str = "here", *, labels: Any = None, **spec: Any) -> Manifest:
    """Return a pod with one container."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": where, "labels": labels or {}},
        "spec": {"containers": [{"name": "main", "image": "example.com/image:1"}], **spec},
    }


def job(name: str = "job", where: str = "here", **spec: Any) -> Manifest:
    """Return a job that may fail once."""
    inner = {"containers": [{"name": "main", "image": "example.com/image:1"}]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": where},
        "spec": {
            "backoffLimit": 0,
            "template": {"spec": {"restartPolicy": "Never", **inner}},
            **spec,
        },
    }


Connect = Callable[..., Raw]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Return a factory of raw HTTP to a cluster, whose connections end before any cluster."""
    with ExitStack() as stack:
        yield lambda cluster, token="": Raw(cluster, stack, token)


@pytest.fixture
def make_cluster() -> Iterator[Callable[..., FakeCluster]]:
    """Return a factory of clusters with a namespace called ``here``."""
    with ExitStack() as stack:

        def make(**options: Any) -> FakeCluster:
            cluster = stack.enter_context(FakeCluster(**options))
            cluster.add(NAMESPACES, namespace())
            cluster.settle()
            return cluster

        yield make


@pytest.fixture
def cluster(make_cluster: Callable[..., FakeCluster]) -> FakeCluster:
    """Return a cluster in which everything is granted."""
    return make_cluster()


@pytest.fixture
def raw(cluster: FakeCluster, connect: Connect) -> Raw:
    """Return raw HTTP to the cluster."""
    return connect(cluster)


@pytest.fixture
def api(cluster: FakeCluster, tmp_path: Path) -> Iterator[client.ApiClient]:
    """Return the official client, from the cluster's kubeconfig."""
    path = cluster.kubeconfig(tmp_path / "kubeconfig")
    api = config.new_client_from_config(str(path))
    yield api
    api.close()
