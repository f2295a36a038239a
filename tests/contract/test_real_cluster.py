"""What the suite puts on a real cluster for itself, tried on a fake one."""

from pathlib import Path

from scheduler.backends.kubernetes.client import Cluster, load_api
from syringe_project.kubernetes_environment import KubernetesEnvironment
from tests.contract.descriptions import environment
from tests.contract.real_cluster import bundle_service
from tests.fake_kubernetes import Behaviour, FakeCluster


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
