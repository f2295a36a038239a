"""Grace, finalizers, dependents and namespaces that go."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fake_kubernetes import Behaviour, FakeCluster, unschedulable
from tests.integration.fake_kubernetes.conftest import (
    MERGE,
    Manifest,
    Raw,
    collection,
    job,
    namespace,
    pod,
)
from tests.waiting import wait_until

HERE = "/api/v1/namespaces/here"


def gone(raw: Raw, path: str) -> None:
    wait_until(lambda: raw.call("GET", path).status == 404, what=f"end of {path}")


def conditions(manifest: Manifest) -> dict[str, str]:
    return {one["type"]: one["status"] for one in manifest["status"].get("conditions", [])}


def running(raw: Raw, manifest: Manifest) -> None:
    wait_until(lambda: raw.get(manifest)["status"]["phase"] == "Running", what="the pod")


# https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
def test_a_running_pod_gets_its_grace(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.default = Behaviour(stop=0.2)
    raw.create(pod())
    running(raw, pod())

    reply = raw.call("DELETE", f"{HERE}/pods/pod")

    assert reply.status == 200
    assert reply.body["metadata"]["deletionGracePeriodSeconds"] == 30
    assert "deletionTimestamp" in raw.get(pod())["metadata"]
    assert raw.create(pod()).status == 409
    gone(raw, f"{HERE}/pods/pod")
    assert raw.call("DELETE", f"{HERE}/pods/pod").status == 404


def test_no_grace_means_at_once(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.default = Behaviour(stop=3600)
    raw.create(pod())
    running(raw, pod())

    raw.call("DELETE", f"{HERE}/pods/pod", {"gracePeriodSeconds": 0})

    assert raw.call("GET", f"{HERE}/pods/pod").status == 404


def test_preconditions(raw: Raw) -> None:
    uid = raw.create(namespace("mine")).body["metadata"]["uid"]

    refused = raw.call("DELETE", "/api/v1/namespaces/mine", {"preconditions": {"uid": "other"}})
    accepted = raw.call("DELETE", "/api/v1/namespaces/mine", {"preconditions": {"uid": uid}})

    assert (refused.status, accepted.status) == (409, 200)


# https://kubernetes.io/docs/concepts/overview/working-with-objects/finalizers/
def test_finalizers_hold_objects(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.default = unschedulable()
    held = pod()
    held["metadata"]["finalizers"] = ["example.com/hold"]
    raw.create(held)

    reply = raw.call("DELETE", f"{HERE}/pods/pod")
    more = {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}}
    refused = raw.call("PATCH", f"{HERE}/pods/pod", more, kind=MERGE)

    assert "deletionTimestamp" in reply.body["metadata"]
    assert refused.status == 422
    raw.call("PATCH", f"{HERE}/pods/pod", {"metadata": {"finalizers": None}}, kind=MERGE)
    assert raw.call("GET", f"{HERE}/pods/pod").status == 404


def pods_of(raw: Raw) -> list[Manifest]:
    items: list[Manifest] = raw.call("GET", f"{HERE}/pods").body["items"]
    return items


def started(raw: Raw) -> None:
    raw.create(job())
    wait_until(lambda: pods_of(raw), what="the job's pod")


# https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_dependents_go_with_their_owner(raw: Raw, cluster: FakeCluster, policy: str) -> None:
    cluster.kubelet.default = Behaviour(job=3600, stop=0.3)
    started(raw)
    wait_until(lambda: pods_of(raw)[0]["status"]["phase"] == "Running", what="the job's pod")

    raw.call("DELETE", f"{collection(job())}/job", {"propagationPolicy": policy})

    waiting = raw.call("GET", f"{collection(job())}/job")
    assert waiting.status == (200 if policy == "Foreground" else 404)
    wait_until(lambda: not pods_of(raw), what="the end of the job's pod")
    gone(raw, f"{collection(job())}/job")


def test_jobs_leave_their_pods_unless_told_otherwise(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.default = Behaviour(job=3600)
    started(raw)

    raw.call("DELETE", f"{collection(job())}/job")

    gone(raw, f"{collection(job())}/job")
    assert pods_of(raw)[0]["metadata"]["ownerReferences"] == []
    unknown = raw.call("DELETE", f"{HERE}/pods/x", {"propagationPolicy": "Sideways"})
    assert unknown.status == 404


def test_whole_collections(raw: Raw, cluster: FakeCluster) -> None:
    cluster.kubelet.default = unschedulable()
    for name, label in (("a", "x"), ("b", "x"), ("c", "y")):
        raw.create(pod(name, labels={"k": label}))

    raw.call("DELETE", f"{HERE}/pods", labelSelector="k=x")

    assert [item["metadata"]["name"] for item in pods_of(raw)] == ["c"]
    assert raw.call("DELETE", "/api/v1/namespaces").status == 405


# https://kubernetes.io/docs/tasks/administer-cluster/namespaces/#deleting-a-namespace
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_a_namespace_goes_after_its_content(raw: Raw, cluster: FakeCluster, policy: str) -> None:
    cluster.kubelet.default = Behaviour(stop=0.3)
    raw.create(pod())
    running(raw, pod())

    reply = raw.call("DELETE", HERE, {"propagationPolicy": policy})
    again = raw.call("DELETE", HERE, {"propagationPolicy": policy})

    assert (reply.status, reply.body["status"]["phase"]) == (200, "Terminating")
    assert (
        again.body["metadata"]["deletionTimestamp"] == reply.body["metadata"]["deletionTimestamp"]
    )
    wait_until(
        lambda: conditions(raw.get(namespace())).get("NamespaceContentRemaining") == "True",
        what="the report of what remains",
    )
    gone(raw, HERE)
    assert pods_of(raw) == []
    assert raw.create(namespace()).status == 201


def terminating(raw: Raw) -> Any:
    def reported() -> bool:
        return conditions(raw.get(namespace())).get("NamespaceFinalizersRemaining") == "True"

    wait_until(reported, what="the report of finalizers")
    return {c["type"]: c["message"] for c in raw.get(namespace())["status"]["conditions"]}


def test_a_finalizer_inside_holds_the_namespace(raw: Raw, cluster: FakeCluster) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "here", "finalizers": ["example.com/hold"]},
    }
    raw.create(secret)
    raw.call("DELETE", HERE)

    messages = terminating(raw)

    assert messages["NamespaceContentRemaining"] == (
        "Some resources are remaining: secrets has 1 resource instances"
    )
    assert messages["NamespaceFinalizersRemaining"] == (
        "Some content in the namespace has finalizers remaining: "
        "example.com/hold in 1 resource instances"
    )
    raw.call("PATCH", f"{HERE}/secrets/s", {"metadata": {"finalizers": []}}, kind=MERGE)
    gone(raw, HERE)


def test_namespaces_hang_by_script_until_released(raw: Raw, cluster: FakeCluster) -> None:
    cluster.holds.hold("he*", "example.com/stuck")
    raw.call("DELETE", HERE)

    assert "example.com/stuck" in terminating(raw)["NamespaceFinalizersRemaining"]
    cluster.holds.release("he*")
    gone(raw, HERE)


def test_a_hanging_namespace_can_be_forced(raw: Raw, cluster: FakeCluster) -> None:
    cluster.holds.hold("here")
    raw.call("DELETE", HERE)
    terminating(raw)

    stuck = raw.get(namespace())
    reply = raw.call("PUT", f"{HERE}/finalize", {**stuck, "spec": {"finalizers": []}})

    assert reply.status == 200, reply.text
    assert raw.call("GET", HERE).status == 404
