"""What the suite puts on a real cluster for itself, tried on a fake one."""

import os
import re
import subprocess
import sys
from pathlib import Path

from scheduler.backends.kubernetes.client import Cluster, load_api
from syringe_project.kubernetes_environment import KubernetesEnvironment
from tests.contract.descriptions import environment
from tests.contract.real_cluster import bundle_service
from tests.fake_kubernetes import Behaviour, FakeCluster, image_missing
from tests.stack import ROOT
from tests.waiting import PATIENCE


def test_folders_are_served_before_any_lesson_asks_for_them(tmp_path: Path) -> None:
    with FakeCluster(behaviour=Behaviour(pull=0.3)) as fake:
        kubeconfig = str(fake.kubeconfig(tmp_path / "kubeconfig"))
        settings = KubernetesEnvironment(_env_file=None, kubeconfig=kubeconfig)  # type: ignore[call-arg]
        cluster = Cluster(lambda: load_api(settings, connections=1), timeout_seconds=5)

        with bundle_service(kubeconfig, environment()) as service:
            pod = cluster.read("Pod", "bundles", service.namespace)
            assert pod is not None
            standing = {one["type"]: one["status"] for one in pod["status"]["conditions"]}
            assert standing["Ready"] == "True"

        assert cluster.read("Namespace", service.namespace) is None


def test_the_suite_passes_on_a_cluster_that_takes_settings_of_its_own(tmp_path: Path) -> None:
    """As in CONTRIBUTING.md, on a cluster whose nodes have images from a mirror only."""
    settings = tmp_path / "settings.env"
    settings.write_text(
        "SYRINGE_KUBERNETES_IMAGE=mirror.test/pause:3.10\n"
        "SYRINGE_KUBERNETES_FETCH_IMAGE=mirror.test/busybox:1.37\n"
        "SYRINGE_KUBERNETES_CONFIGURATOR_IMAGE=mirror.test/python:3.12\n"
        'SYRINGE_KUBERNETES_NODE_SELECTOR={"pool": "lessons"}\n'
    )
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "cluster", "tests/contract"]
    with FakeCluster(node_labels={"pool": "lessons"}) as fake:
        for image in ("registry.k8s.io/*", "busybox*", "python*"):
            fake.kubelet.on(image, image_missing())
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider"],
            cwd=ROOT,
            env={
                **{name: text for name, text in os.environ.items() if "PYTEST" not in name},
                "KUBECONFIG": str(fake.kubeconfig(tmp_path / "kubeconfig")),
                "CLUSTER_SETTINGS": str(settings),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=4 * PATIENCE,
        )

    assert done.returncode == 0, done.stdout
    assert re.search(r"^1\d passed, \d+ deselected in", done.stdout, re.MULTILINE), done.stdout
