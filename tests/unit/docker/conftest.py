"""The Helm chart, rendered by Helm itself."""

import functools
import json

import helm_python
import pytest
import yaml

from tests.unit.docker.containerfiles import DOCKER

CHART = DOCKER / "kubernetes"
SECRET = {"existingSecret": "syringe-secrets"}

VALUE_SETS = {
    "least": SECRET,
    "trial": {**SECRET, "embedded": {"enabled": True}, "flower": {"enabled": True}},
    "production": {
        **SECRET,
        "image": {
            "repository": "registry.example.org/labs/syringe",
            "tag": "2026.11.1",
            "pullSecrets": ["registry"],
        },
        "publicUrl": "https://labs.example.org",
        "instance": "labs-eu",
        "trustedProxies": ["10.42.0.0/16", "fd00:42::/56"],
        "settings": {
            "SYRINGE_KUBERNETES_INGRESS_DOMAIN": "pages.example.org",
            "SYRINGE_BOOT_TIMEOUT_SECONDS": 900,
            "SYRINGE_DEBUG": False,
        },
        "gateway": {"replicas": 3},
        "workers": {
            "lifecycle": {"replicas": 4, "concurrency": 16},
            "objectives": {"replicas": 2, "concurrency": 4, "resources": {}},
        },
        "lessons": {"pullSecret": "lesson-images", "forceFinalize": True},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "annotations": {"nginx.ingress.kubernetes.io/affinity": "cookie"},
            "tlsSecret": "labs-tls",
        },
        "networkPolicy": {
            "gatewayPeers": [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}
            ],
            "dataPeers": [{"ipBlock": {"cidr": "10.9.0.0/24"}}],
            "extraEgress": [{"ports": [{"protocol": "TCP", "port": 443}]}],
        },
        "nodeSelector": {"pool": "services"},
        "tolerations": [{"key": "services", "operator": "Exists"}],
        "podAnnotations": {"example.org/team": "labs"},
        "serviceAccountAnnotations": {"example.org/team": "labs"},
        "priorityClassName": "services",
    },
    "open": {
        **SECRET,
        "networkPolicy": {"enabled": False},
        "watcher": {"enabled": False},
        "ingress": {"enabled": True},
    },
}


@functools.cache
def _render(values, name, namespace):
    files = helm_python.Chart.load(str(CHART)).render(
        json.loads(values), name=name, namespace=namespace
    )
    manifests = [
        manifest
        for path, text in sorted(files.items())
        if not path.endswith("NOTES.txt")
        for manifest in yaml.load_all(text, Loader=yaml.CSafeLoader)
        if manifest
    ]
    notes = next(text for path, text in files.items() if path.endswith("NOTES.txt"))
    return manifests, notes


def render(values, name="syringe", namespace="labs"):
    """Return a release's manifests."""
    return _render(json.dumps(values, sort_keys=True), name, namespace)[0]


def notes(values, name="syringe", namespace="labs"):
    """Return what Helm says after an install."""
    return _render(json.dumps(values, sort_keys=True), name, namespace)[1]


def named(manifests, kind, name=None):
    """Return the one manifest of a kind, or of a kind and a name."""
    found = [
        manifest
        for manifest in manifests
        if manifest["kind"] == kind and name in {None, manifest["metadata"]["name"]}
    ]
    assert len(found) == 1, [manifest["metadata"]["name"] for manifest in found]
    return found[0]


def pod_templates(manifests):
    """Return every pod's template, by the component it is."""
    templates = {}
    for manifest in manifests:
        if manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
            template = manifest["spec"]["template"]
            templates[manifest["metadata"]["name"]] = template
    return templates


@pytest.fixture(params=VALUE_SETS)
def values(request):
    return VALUE_SETS[request.param]


@pytest.fixture
def manifests(values):
    return render(values)
