"""The kubelet and the controller of jobs, as clients see them."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.fake_kubernetes import (
    Behaviour,
    FakeCluster,
    crash_loop,
    evicted,
    image_missing,
    init_failure,
    job_failure,
    registry_unreachable,
    unschedulable,
)
from tests.integration.fake_kubernetes.conftest import Connect, Manifest, Raw, collection, job, pod
from tests.waiting import wait_until

LOGGING: Manifest = {
    "name": "main",
    "image": "i:1",
    "terminationMessagePolicy": "FallbackToLogsOnError",
}


def until(raw: Raw, manifest: Manifest, test: Callable[[Manifest], Any]) -> Manifest:
    """Return the object once it passes a test."""
    state: Manifest = {}

    def passed() -> bool:
        state.update(raw.get(manifest))
        return bool(test(state["status"]))

    wait_until(passed, what="the state")
    return state


def condition(status: Manifest, kind: str) -> Manifest:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {"status": ""})


def waits(reason: str, part: str = "containerStatuses") -> Callable[[Manifest], bool]:
    def test(status: Manifest) -> bool:
        state = (status.get(part) or [{"state": {}}])[0]["state"]
        return bool(state.get("waiting", {}).get("reason") == reason)

    return test


def test_a_pod_becomes_ready_after_its_init_containers(raw: Raw) -> None:
    manifest = pod(initContainers=[{"name": "one", "image": "i"}, {"name": "two", "image": "i"}])
    raw.create(manifest)

    ready = until(raw, manifest, lambda status: condition(status, "Ready")["status"] == "True")

    status = ready["status"]
    assert status["phase"] == "Running"
    assert ready["spec"]["nodeName"] == "node-1"
    assert status["podIP"].startswith("127.")
    assert [s["state"]["terminated"]["exitCode"] for s in status["initContainerStatuses"]] == [0, 0]


def test_every_pod_has_an_address_of_its_own(raw: Raw) -> None:
    pods = [pod(f"p{number}") for number in range(3)]
    for manifest in pods:
        raw.create(manifest)

    addresses = {until(raw, one, lambda s: s.get("podIP"))["status"]["podIP"] for one in pods}

    assert len(addresses) == 3


# https://kubernetes.io/docs/concepts/containers/images/#imagepullbackoff
@pytest.mark.parametrize(
    ("behaviour", "said"),
    [(image_missing("i:1"), "not found"), (registry_unreachable(), "timeout")],
)
def test_images_that_cannot_be_pulled(
    raw: Raw, cluster: FakeCluster, behaviour: Behaviour, said: str
) -> None:
    cluster.kubelet.on("i:*", behaviour)
    raw.create(pod(containers=[LOGGING]))

    failed = until(raw, pod(), waits("ErrImagePull"))
    until(raw, pod(), waits("ImagePullBackOff"))

    assert said in failed["status"]["containerStatuses"][0]["state"]["waiting"]["message"]
    assert failed["status"]["phase"] == "Pending"


@pytest.mark.parametrize("by_selector", [True, False])
def test_pods_without_a_node(raw: Raw, cluster: FakeCluster, by_selector: bool) -> None:
    if not by_selector:
        cluster.kubelet.on("here/pod", unschedulable("1 Insufficient cpu"))
    raw.create(pod(**({"nodeSelector": {"disk": "ssd"}} if by_selector else {})))

    status = until(raw, pod(), lambda s: condition(s, "PodScheduled")["status"] == "False")[
        "status"
    ]

    refused = condition(status, "PodScheduled")
    assert refused["reason"] == "Unschedulable"
    wanted = "didn't match Pod's node affinity/selector" if by_selector else "Insufficient cpu"
    assert wanted in refused["message"]


@pytest.mark.parametrize("policy", ["FallbackToLogsOnError", "File"])
def test_crash_loops_have_the_end_of_the_log_where_asked_for(
    raw: Raw, cluster: FakeCluster, policy: str
) -> None:
    cluster.kubelet.on("pod", crash_loop("no such file\n", exit_code=3))
    raw.create(pod(containers=[{**LOGGING, "terminationMessagePolicy": policy}]))

    state = until(raw, pod(), waits("CrashLoopBackOff"))["status"]["containerStatuses"][0]

    last = state["lastState"]["terminated"]
    assert (last["exitCode"], last.get("message")) == (
        3,
        "no such file\n" if policy != "File" else None,
    )
    assert state["restartCount"] >= 1
    assert raw.call("GET", "/api/v1/namespaces/here/pods/pod/log").text == "no such file\n"


@pytest.mark.parametrize("policy", ["Always", "Never"])
def test_init_containers_that_fail(raw: Raw, cluster: FakeCluster, policy: str) -> None:
    cluster.kubelet.on("pod", init_failure("404\n"))
    raw.create(pod(restartPolicy=policy, initContainers=[{**LOGGING, "name": "fetch"}]))

    if policy == "Always":
        status = until(raw, pod(), waits("CrashLoopBackOff", "initContainerStatuses"))["status"]
        ended = status["initContainerStatuses"][0]["lastState"]
    else:
        status = until(raw, pod(), lambda s: s["phase"] == "Failed")["status"]
        ended = status["initContainerStatuses"][0]["state"]

    assert ended["terminated"]["message"] == "404\n"
    assert condition(status, "Initialized")["status"] == "False"


def test_evicted_pods(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.on("pod", evicted(0.05))
    raw.create(pod())

    status = until(raw, pod(), lambda s: s["phase"] == "Failed")["status"]

    assert status["reason"] == "Evicted"


# https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
@pytest.mark.parametrize("allowed", [True, False])
def test_unsafe_sysctls_need_a_node_that_allows_them(
    make_cluster: Callable[..., FakeCluster], connect: Connect, allowed: bool
) -> None:
    raw = connect(make_cluster(unsafe_sysctls=["net.ipv4.ip_forward"] if allowed else []))
    sysctl = {"name": "net.ipv4.ip_forward", "value": "1"}
    raw.create(pod(securityContext={"sysctls": [sysctl]}))

    status = until(raw, pod(), lambda s: s["phase"] != "Pending")["status"]

    assert status["phase"] == ("Running" if allowed else "Failed")
    assert status.get("reason") == (None if allowed else "SysctlForbidden")


# https://github.com/k8snetworkplumbingwg/multus-cni/blob/master/docs/how-to-use.md
def test_pods_wait_for_their_networks(raw: Raw) -> None:
    wired = pod()
    wired["metadata"]["annotations"] = {
        "k8s.v1.cni.cncf.io/networks": json.dumps([{"name": "link", "interface": "net1"}])
    }
    network = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "link", "namespace": "here"},
        "spec": {"config": json.dumps({"cniVersion": "1.0.0", "type": "bridge"})},
    }
    raw.create(wired)
    until(raw, wired, waits("ContainerCreating"))

    assert raw.apply(network).status == 201

    until(raw, wired, lambda status: status["phase"] == "Running")


def test_logs_of_what_has_none_yet(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.on("late", Behaviour(pull=3600))
    cluster.kubelet.on("pod", Behaviour(log="one\ntwo\n"))
    raw.create(pod())
    raw.create(pod("late"))
    until(raw, pod(), lambda status: status["phase"] == "Running")
    until(raw, pod("late"), waits("ContainerCreating"))

    logs = "/api/v1/namespaces/here/pods/{}/log"
    assert raw.call("GET", logs.format("pod"), tailLines=1).text == "two\n"
    assert raw.call("GET", logs.format("late")).status == 400
    assert raw.call("GET", logs.format("pod"), container="none").status == 400
    assert raw.call("GET", logs.format("none")).status == 404


def ended(kind: str) -> Callable[[Manifest], bool]:
    return lambda status: condition(status, kind)["status"] == "True"


# https://kubernetes.io/docs/concepts/workloads/controllers/job/
@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_jobs_complete(
    make_cluster: Callable[..., FakeCluster], connect: Connect, version: str
) -> None:
    raw = connect(make_cluster(version=version))
    raw.create(job())

    done = until(raw, job(), ended("Complete"))

    assert done["status"]["succeeded"] == 1
    types = [one["type"] for one in done["status"]["conditions"]]
    assert types == (["Complete"] if version == "1.29" else ["SuccessCriteriaMet", "Complete"])
    (item,) = raw.call("GET", "/api/v1/pods", labelSelector="job-name=job").body["items"]
    assert item["status"]["phase"] == "Succeeded"
    assert item["metadata"]["ownerReferences"][0]["uid"] == done["metadata"]["uid"]


def test_jobs_fail_after_their_retries(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.on("job-*", job_failure("no\n"))
    raw.create(job(backoffLimit=1))

    failed = until(raw, job(), ended("Failed"))

    assert condition(failed["status"], "Failed")["reason"] == "BackoffLimitExceeded"
    assert failed["status"]["failed"] == 2
    items = raw.call("GET", "/api/v1/pods", labelSelector="job-name=job").body["items"]
    assert [item["status"]["phase"] for item in items] == ["Failed", "Failed"]


def test_jobs_have_deadlines(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.on("job-*", Behaviour(job=3600))
    raw.create(job(activeDeadlineSeconds=1))

    failed = until(raw, job(), ended("Failed"))

    assert condition(failed["status"], "Failed")["reason"] == "DeadlineExceeded"
    gone = lambda: not raw.call("GET", "/api/v1/pods").body["items"]  # noqa: E731
    wait_until(gone, what="the end of the job's pod")


# https://kubernetes.io/docs/concepts/workloads/controllers/ttlafterfinished/
def test_finished_jobs_go_in_time(raw: Raw) -> None:
    raw.create(job(ttlSecondsAfterFinished=0))

    def gone() -> bool:
        return raw.call("GET", f"{collection(job())}/job").status == 404

    wait_until(gone, what="the end of the job")


def test_pods_answer_on_their_ports(
    make_cluster: Callable[..., FakeCluster], connect: Connect
) -> None:
    raw = connect(make_cluster(listen=True))
    ports = [{"containerPort": 2222}, {"containerPort": 8080, "name": "http-web"}]
    raw.create(pod(containers=[{"name": "main", "image": "i", "ports": ports}]))
    address = until(raw, pod(), lambda s: s["phase"] == "Running")["status"]["podIP"]

    with socket.create_connection((address, 2222), 5) as connection:
        assert connection.recv(8) == b"SSH-2.0-"
    with urllib.request.urlopen(f"http://{address}:8080/", timeout=5) as page:
        assert page.status == 200
    raw.call("DELETE", "/api/v1/namespaces/here/pods/pod", gracePeriodSeconds=0)

    def closed() -> bool:
        with socket.socket() as client:
            return client.connect_ex((address, 2222)) != 0

    wait_until(closed, what="the end of the port")
