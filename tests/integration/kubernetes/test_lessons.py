"""Lessons on a cluster by all of Syringe's processes, with no more rights than the chart grants."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_kubernetes import FakeCluster, Fault, image_missing
from tests.fake_kubernetes.kinds import NAMESPACES, PODS
from tests.granted_clusters import granted_cluster
from tests.load.bench.learners import Learner, RequestRefused
from tests.stack import KUBERNETES, Stack
from tests.waiting import wait_until

pytestmark = pytest.mark.xdist_group("kubernetes-stack")

_LESSON = """---
name: {slug}
slug: {slug}
category: fundamentals
tier: prod
description: Two machines.
shortDescription: Two machines
authors: []
endpoints:
  - name: web
    image: page
    configurationType: python
    presentations:
      - {{name: page, port: 8080, type: http}}
  - name: shell-1
    image: {image}
    presentations:
      - {{name: cli, port: 2222, type: ssh}}
connections:
  - {{a: web, b: shell-1, subnet: 10.7.0.0/24}}
stages:
  - {{description: Look, guideType: markdown}}
  - {{description: Look again, guideType: markdown}}
"""


def write_curriculum(root: Path, *slugs: str) -> Path:
    (root / "images" / "page").mkdir(parents=True)
    (root / "images" / "page" / "image.meta.yaml").write_text(
        "slug: page\ndescription: A machine\nflavor: untrusted\n"
        "sshUser: learner\nsshPassword: open-sesame\n"
        "configUser: learner\nconfigPassword: open-sesame\n"
    )
    (root / "images" / "router").mkdir()
    (root / "images" / "router" / "image.meta.yaml").write_text(
        "slug: router\ndescription: A router\nflavor: untrusted\nenableForwarding: true\n"
        "sshUser: learner\nsshPassword: open-sesame\n"
    )
    (root / "curriculum.meta.yaml").write_text("name: Tests\ndescription: Tested.\n")
    for slug in slugs:
        folder = root / "lessons" / slug
        for stage in ("stage0", "stage1"):
            (folder / stage / "configs").mkdir(parents=True)
            (folder / stage / "guide.md").write_text("# Look\n")
            (folder / stage / "configs" / "web.py").write_text("print('configured')\n")
        image = "router" if slug == "routed" else "page"
        (folder / "lesson.meta.yaml").write_text(_LESSON.format(slug=slug, image=image))
    return root


@pytest.fixture(scope="module")
def cluster() -> Iterator[FakeCluster]:
    with granted_cluster(listen=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def stack(cluster: FakeCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("kubernetes")
    env = {
        "SYRINGE_KUBERNETES_KUBECONFIG": str(cluster.kubeconfig(folder / "kubeconfig")),
        "SYRINGE_KUBERNETES_TIMEOUT_SECONDS": "1.5",
        "SYRINGE_SESSIONS_PER_ADDRESS": "0",
        # What a killed worker held is free again within the test.
        "SYRINGE_LEASE_SECONDS": "6",
    }
    with Stack(backend=KUBERNETES, watcher=True, without=("gateway", "gc"), env=env) as stack:
        curriculum = write_curriculum(folder / "curriculum", "pair", "routed")
        stack.manage("import_curriculum", str(curriculum))
        yield stack


@pytest.fixture
def learner(cluster: FakeCluster, stack: Stack) -> Iterator[Learner]:
    """Return a learner with a session of their own; what they started is gone afterwards."""
    with Learner(stack) as learner:
        learner.open_session()
        cluster.calls.clear()
        yield learner
        cluster.faults.clear()
        cluster.kubelet.clear()
        for live_lesson in learner.request("GET", "/api/v1/livelessons")["livelessons"]:
            learner.end(live_lesson["id"])
        wait_until(lambda: not namespaces(cluster), what="an empty cluster")


def namespaces(cluster: FakeCluster) -> list[str]:
    """Name the namespaces of lessons."""
    return [name for _, name in cluster.store.all(NAMESPACES) if name.startswith("stack-")]


def state(learner: Learner, live_lesson_id: object) -> str:
    return str(learner.request("GET", f"/api/v1/livelessons/{live_lesson_id}")["state"])


def wait_for(learner: Learner, live_lesson_id: object, wanted: str) -> None:
    wait_until(
        lambda: state(learner, live_lesson_id) == wanted,
        what=f"{wanted}, have {learner.request('GET', f'/api/v1/livelessons/{live_lesson_id}')}",
    )


def test_a_lesson_lives_moves_and_leaves_nothing(cluster: FakeCluster, learner: Learner) -> None:
    live_lesson = learner.start("pair")
    wait_for(learner, live_lesson, "READY")

    [namespace] = namespaces(cluster)
    created = [call for call in cluster.calls if call.namespace == namespace or call.name]
    kinds = [call.resource for call in created if call.verb in ("create", "patch")]
    assert kinds.index("pods") > max(
        place for place, kind in enumerate(kinds) if kind == "networkpolicies"
    )
    assert {pod["metadata"]["name"] for pod in cluster.store.in_namespace(PODS, namespace)} > {
        "web",
        "shell-1",
    }

    learner.request("POST", f"/api/v1/livelessons/{live_lesson}/stage", {"stage": 1})
    wait_until(
        lambda: len(cluster.calls.matching(verb="create", resource="jobs")) == 2,
        what="the second stage's configuration",
    )
    wait_for(learner, live_lesson, "READY")
    learner.end(live_lesson)
    wait_for(learner, live_lesson, "DELETED")

    assert namespaces(cluster) == []
    assert [call for call in cluster.calls if call.status in (401, 403)] == []


def test_a_worker_killed_in_the_middle_of_a_start_leaves_one_environment(
    cluster: FakeCluster, stack: Stack, learner: Learner
) -> None:
    cluster.faults.add(Fault(verb="create", resource="pods", delay=1))

    live_lesson = learner.start("pair")
    wait_until(lambda: cluster.calls.matching(verb="create", resource="pods"), what="a pod")
    stack.kill("worker-1", signal.SIGKILL)
    stack.start("worker-1")

    wait_for(learner, live_lesson, "READY")
    assert len(namespaces(cluster)) == 1


def test_an_api_server_that_is_away_for_a_while_delays_a_start(
    cluster: FakeCluster, learner: Learner
) -> None:
    cluster.faults.add(Fault(status=503, times=None))

    live_lesson = learner.start("pair")
    wait_until(
        lambda: len([call for call in cluster.calls if call.status == 503]) > 3,
        what="some tries",
    )
    assert state(learner, live_lesson) == "INITIALIZED"
    cluster.faults.clear()

    wait_for(learner, live_lesson, "READY")


def test_without_its_policy_nothing_runs(cluster: FakeCluster, learner: Learner) -> None:
    cluster.faults.add(Fault(resource="networkpolicies", status=403, times=None))

    live_lesson = learner.start("pair")
    wait_for(learner, live_lesson, "FAILED")

    assert cluster.calls.matching(verb="create", resource="pods") == []
    wait_until(lambda: not namespaces(cluster), what="the namespace's end")
    # What the API server said is for operators.
    reason = learner.request("GET", f"/api/v1/livelessons/{live_lesson}")["reason"]
    assert reason == {"code": "rejected", "text": "This lesson cannot run here."}


def test_a_router_that_no_node_lets_forward_packets_is_tried_once(
    cluster: FakeCluster, learner: Learner
) -> None:
    live_lesson = learner.start("routed")
    wait_for(learner, live_lesson, "FAILED")

    reason = learner.request("GET", f"/api/v1/livelessons/{live_lesson}")["reason"]
    assert reason["text"] == "The cluster does not let shell-1 forward packets."
    assert len(cluster.calls.matching(verb="create", resource="namespaces")) == 1


def test_a_learner_reads_why_it_failed(cluster: FakeCluster, learner: Learner) -> None:
    cluster.kubelet.on("shell-1", image_missing())

    live_lesson = learner.start("pair")
    wait_for(learner, live_lesson, "FAILED")

    reason = learner.request("GET", f"/api/v1/livelessons/{live_lesson}")["reason"]
    assert reason["code"] == "image_missing"
    assert "shell-1" in reason["text"]


def test_a_pod_that_is_taken_away_is_seen_at_once_and_replaced(
    cluster: FakeCluster, learner: Learner
) -> None:
    live_lesson = learner.start("pair")
    wait_for(learner, live_lesson, "READY")
    [first] = namespaces(cluster)
    [pod] = [
        one for one in cluster.store.in_namespace(PODS, first) if one["metadata"]["name"] == "web"
    ]

    cluster.store.remove(PODS, (first, pod["metadata"]["name"]))

    # The row says READY for a moment after its environment went, so wait for the next one.
    wait_until(lambda: set(namespaces(cluster)) - {first}, what="another environment")
    wait_for(learner, live_lesson, "READY")
    [second] = namespaces(cluster)
    assert second != first


def test_another_learners_lesson_is_not_found(stack: Stack, learner: Learner) -> None:
    live_lesson = learner.start("pair")

    with Learner(stack) as other:
        other.open_session()
        with pytest.raises(RequestRefused, match="404"):
            other.request("GET", f"/api/v1/livelessons/{live_lesson}")


def test_a_worker_says_what_its_cluster_lacks(stack: Stack) -> None:
    assert "The backend kubernetes can run lessons" in stack.manage("check_backend")
    stack.start("worker-2", env={"SYRINGE_KUBERNETES_RUNTIME_CLASS": "nowhere"})

    log = stack.logs_folder / "worker-2.log"
    wait_until(lambda: "RuntimeClass nowhere" in log.read_text(), what="a sentence")
    stack.kill("worker-2")
