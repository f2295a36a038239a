"""What the suite needs on a real cluster: images that anybody can pull, and a bundle service."""

import base64
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from scheduler.backends.base import EnvironmentSpec
from scheduler.backends.kubernetes.client import Cluster, load_api
from scheduler.backends.kubernetes.manifests.types import Manifest
from syringe_project.kubernetes_environment import KubernetesEnvironment
from tests.contract.descriptions import wait_until

_PORT = 8080
_USUAL: dict[str, Any] = {
    # Runs until it is told to end, which is all that this suite asks of an endpoint.
    "image": "registry.k8s.io/pause:3.10",
    "configurator_image": "python:3.12-alpine",
    "timeout_seconds": 10.0,
}


def kubeconfig_of_run(config: pytest.Config) -> str:
    """Return the kubeconfig of the cluster that was asked for; skip the test where none was."""
    if "cluster" not in (config.option.markexpr or ""):
        pytest.skip("runs only by `-m cluster`")
    kubeconfig = os.environ.get("KUBECONFIG", "")
    if not kubeconfig:
        pytest.skip("KUBECONFIG names no cluster")
    return kubeconfig


def settings_of_run(kubeconfig: str) -> KubernetesEnvironment:
    """Return settings for the cluster: the usual ones, and what a file says that differs there."""
    given = KubernetesEnvironment(_env_file=os.environ.get("CLUSTER_SETTINGS"))  # type: ignore[call-arg]
    usual = {name: value for name, value in _USUAL.items() if name not in given.model_fields_set}
    return given.model_copy(update={**usual, "kubeconfig": kubeconfig})


@dataclass(frozen=True)
class BundleService:
    """Serves lessons' folders in a namespace of its own."""

    usual: KubernetesEnvironment
    namespace: str

    @property
    def url(self) -> str:
        """Where the folders are, each named by its SHA-256."""
        return f"http://bundles.{self.namespace}:{_PORT}"

    @property
    def settings(self) -> KubernetesEnvironment:
        """Settings for the cluster, with this as the bundle service."""
        label = {"kubernetes.io/metadata.name": self.namespace}
        peers = [{"namespaceSelector": {"matchLabels": label}}]
        return self.usual.model_copy(update={"bundle_peers": peers})


@contextmanager
def bundle_service(kubeconfig: str, *specs: EnvironmentSpec) -> Iterator[BundleService]:
    """Serve the folders of these lessons until the end, then remove the namespace."""
    settings = settings_of_run(kubeconfig)
    service = BundleService(settings, f"syringe-contract-{uuid4().hex[:8]}")
    cluster = Cluster(
        lambda: load_api(settings, connections=1), timeout_seconds=settings.timeout_seconds
    )
    # Whatever the cluster's own level is, this one is admitted.
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    created = cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": service.namespace, "labels": labels},
        }
    )
    assert created is not None
    try:
        for manifest in _contents(service, specs):
            cluster.create(manifest)
        # A node that has never seen the image pulls it first, and lessons ask only for so long.
        assert wait_until(lambda: _is_ready(cluster, service.namespace), 180), "httpd is not Ready"
        yield service
    finally:
        cluster.delete("Namespace", service.namespace, uid=created["metadata"]["uid"])
        assert wait_until(lambda: cluster.read("Namespace", service.namespace) is None, 180)


def _is_ready(cluster: Cluster, namespace: str) -> bool:
    pod = cluster.read("Pod", "bundles", namespace) or {}
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _contents(service: BundleService, specs: Sequence[EnvironmentSpec]) -> list[Manifest]:
    metadata = {"name": "bundles", "namespace": service.namespace, "labels": {"app": "bundles"}}
    folders = {
        spec.lesson.bundle_sha256: base64.b64encode(spec.read_bundle()).decode() for spec in specs
    }
    return [
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": folders},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": "bundles"}, "ports": [{"port": _PORT}]},
        },
        # Its own, as the namespace's default one takes a moment to come.
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata,
            "spec": {
                "serviceAccountName": "bundles",
                "automountServiceAccountToken": False,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 65534,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [
                    {
                        "name": "httpd",
                        # That of the fetch is a busybox, too.
                        "image": service.usual.fetch_image,
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                        "readinessProbe": {"tcpSocket": {"port": _PORT}, "periodSeconds": 1},
                        "command": ["httpd", "-f", "-p", str(_PORT), "-h", "/bundles"],
                        "volumeMounts": [{"name": "bundles", "mountPath": "/bundles"}],
                    }
                ],
                "nodeSelector": service.usual.node_selector,
                "tolerations": service.usual.tolerations,
                "volumes": [{"name": "bundles", "secret": {"secretName": "bundles"}}],
            },
        },
    ]
