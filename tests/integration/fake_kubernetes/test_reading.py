"""Lists, pages and watches."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from itertools import islice
from typing import Any

import pytest
from kubernetes import client, watch

from tests.fake_kubernetes import FakeCluster, Fault, unschedulable
from tests.integration.fake_kubernetes.conftest import MERGE, Connect, Manifest, Raw, namespace, pod


def lines(response: HTTPResponse) -> Iterator[Manifest]:
    """Yield the events of a watch."""
    while line := response.readline():
        yield json.loads(line)


def seen(events: Iterator[Manifest], count: int) -> list[tuple[str, str]]:
    """Return the next events as type and name."""
    return [(e["type"], e["object"]["metadata"]["name"]) for e in islice(events, count)]


@pytest.fixture
def still(cluster: FakeCluster) -> FakeCluster:
    """Return a cluster in which pods do nothing after they were refused a node."""
    cluster.kubelet.default = unschedulable()
    return cluster


def test_lists_are_of_a_namespace_or_of_the_cluster(raw: Raw, api: client.ApiClient) -> None:
    raw.create(namespace("there"))
    for where in ("here", "there"):
        raw.create(pod("one", where, labels={"where": where}))
    core = client.CoreV1Api(api)

    assert len(core.list_pod_for_all_namespaces().items) == 2
    assert len(core.list_namespaced_pod("here").items) == 1
    selected = core.list_pod_for_all_namespaces(label_selector="where in (there)")
    assert [item.metadata.namespace for item in selected.items] == ["there"]


def test_items_of_built_in_lists_have_no_kind(raw: Raw) -> None:
    """https://github.com/kubernetes/kubernetes/issues/3030"""
    attachment = {
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": "link", "namespace": "here"},
        "spec": {"config": "{}"},
    }
    raw.create(pod())
    assert raw.create(attachment).status == 201

    pods = raw.call("GET", "/api/v1/pods").body
    custom = raw.call("GET", "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions").body

    assert (pods["kind"], "kind" in pods["items"][0]) == ("PodList", False)
    assert custom["items"][0]["kind"] == "NetworkAttachmentDefinition"


def test_pages_show_one_moment(raw: Raw, cluster: FakeCluster) -> None:
    for number in range(5):
        raw.create(pod(f"pod-{number}"))

    first = raw.call("GET", "/api/v1/pods", limit=2).body
    raw.call("DELETE", "/api/v1/namespaces/here/pods/pod-4", gracePeriodSeconds=0)
    token = first["metadata"]["continue"]
    second = raw.call("GET", "/api/v1/pods", limit=2, **{"continue": token}).body
    last = raw.call("GET", "/api/v1/pods", **{"continue": second["metadata"]["continue"]}).body

    assert first["metadata"]["remainingItemCount"] == 3
    names = [p["metadata"]["name"] for page in (first, second, last) for p in page["items"]]
    assert names == [f"pod-{number}" for number in range(5)]
    assert "continue" not in last["metadata"]
    assert last["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    cluster.compact()
    assert raw.call("GET", "/api/v1/pods", **{"continue": token}).status == 410


def test_a_watch_sees_what_comes_changes_and_goes(raw: Raw, still: FakeCluster) -> None:
    version = raw.call("GET", "/api/v1/pods").body["metadata"]["resourceVersion"]
    path = "/api/v1/namespaces/here/pods"
    events = lines(
        raw.send("GET", "/api/v1/pods", watch="true", resourceVersion=version, labelSelector="on=1")
    )

    raw.create(pod("other"))
    raw.create(pod("mine", labels={"on": "1"}))
    assert seen(events, 1) == [("ADDED", "mine")]
    assert seen(events, 1) == [("MODIFIED", "mine")]  # refused a node
    raw.call("PATCH", f"{path}/mine", {"metadata": {"labels": {"on": "0"}}}, kind=MERGE)
    left = next(events)
    raw.call("PATCH", f"{path}/other", {"metadata": {"labels": {"on": "1"}}}, kind=MERGE)
    joined = next(events)
    raw.call("DELETE", f"{path}/other")
    gone = next(events)

    assert (left["type"], left["object"]["metadata"]["labels"]) == ("DELETED", {"on": "1"})
    assert (joined["type"], joined["object"]["metadata"]["name"]) == ("ADDED", "other")
    assert gone["type"] == "DELETED"
    versions = [int(e["object"]["metadata"]["resourceVersion"]) for e in (left, joined, gone)]
    assert versions == sorted(versions)
    assert gone["object"]["kind"] == "Pod"


def test_a_watch_without_a_version_begins_with_what_there_is(raw: Raw, still: FakeCluster) -> None:
    raw.create(pod())

    events = lines(raw.send("GET", "/api/v1/pods", watch="1", timeoutSeconds=1))

    assert seen(events, 1) == [("ADDED", "pod")]


def test_a_watch_ends_in_time_with_a_bookmark(raw: Raw, still: FakeCluster) -> None:
    version = raw.call("GET", "/api/v1/pods").body["metadata"]["resourceVersion"]
    response = raw.send(
        "GET",
        "/api/v1/pods",
        watch="true",
        resourceVersion=version,
        allowWatchBookmarks="true",
        timeoutSeconds=1,
    )
    raw.create(namespace("elsewhere"))

    events = list(lines(response))

    assert [event["type"] for event in events] == ["BOOKMARK"]
    assert int(events[0]["object"]["metadata"]["resourceVersion"]) > int(version)


def test_bookmarks_come_between_events(
    make_cluster: Callable[..., FakeCluster], connect: Connect
) -> None:
    raw = connect(make_cluster(bookmark_seconds=0.1))
    response = raw.send("GET", "/api/v1/pods", watch="true", allowWatchBookmarks="true")

    assert next(lines(response))["type"] == "BOOKMARK"


def test_a_forgotten_version_expires(raw: Raw, cluster: FakeCluster, api: client.ApiClient) -> None:
    """https://kubernetes.io/docs/reference/using-api/api-concepts/#410-gone-responses"""
    version = raw.call("GET", "/api/v1/pods").body["metadata"]["resourceVersion"]
    raw.create(namespace("more"))
    cluster.compact()

    events = list(lines(raw.send("GET", "/api/v1/pods", watch="true", resourceVersion=version)))

    assert [(e["type"], e["object"]["code"]) for e in events] == [("ERROR", 410)]
    assert events[0]["object"]["reason"] == "Expired"
    with pytest.raises(client.ApiException) as problem:
        list(
            watch.Watch().stream(
                client.CoreV1Api(api).list_pod_for_all_namespaces, resource_version=version
            )
        )
    assert problem.value.status == 410


def test_a_watch_may_expire_by_script(raw: Raw, cluster: FakeCluster) -> None:
    cluster.faults.add(Fault(verb="watch", expire=True))
    cluster.faults.add(Fault(verb="watch", status=410))

    events = list(lines(raw.send("GET", "/api/v1/pods", watch="true")))

    assert [(e["type"], e["object"]["code"]) for e in events] == [("ERROR", 410)]
    assert raw.call("GET", "/api/v1/pods", watch="true").status == 410


def test_the_official_watch_follows_a_pod(raw: Raw, api: client.ApiClient) -> None:
    core = client.CoreV1Api(api)
    phases: list[Any] = []
    timer = threading.Timer(0.05, lambda: raw.create(pod()))
    timer.start()

    watcher = watch.Watch()
    for event in watcher.stream(core.list_namespaced_pod, "here", timeout_seconds=20):
        phases.append(event["object"].status.phase)
        if phases[-1] == "Running":
            watcher.stop()
    timer.join()

    assert phases[0] == "Pending"
    assert event["object"].status.pod_ip.startswith("127.")
    assert event["object"].status.container_statuses[0].ready


def test_what_is_not_there(
    raw: Raw, make_cluster: Callable[..., FakeCluster], connect: Connect
) -> None:
    missing = raw.call("GET", "/api/v1/namespaces/here/pods/none")
    bare = connect(make_cluster(multus=False))
    unknown = bare.call("GET", "/apis/k8s.cni.cncf.io/v1/network-attachment-definitions")

    assert (missing.status, missing.body["message"]) == (404, 'pods "none" not found')
    assert missing.body["details"] == {"name": "none", "kind": "pods"}
    assert (unknown.status, unknown.text) == (404, "404 page not found\n")


def test_version_health_and_discovery(
    make_cluster: Callable[..., FakeCluster], connect: Connect
) -> None:
    raw = connect(make_cluster(version="1.29"))

    assert raw.call("GET", "/version").body["gitVersion"] == "v1.29.0"
    assert raw.call("GET", "/readyz").text == "ok"
    groups = [group["name"] for group in raw.call("GET", "/apis").body["groups"]]
    assert "networking.k8s.io" in groups
    resources = raw.call("GET", "/apis/batch/v1").body["resources"]
    assert [one["name"] for one in resources] == ["jobs"]
    assert raw.call("GET", "/apis/nobody/v1").status == 404
