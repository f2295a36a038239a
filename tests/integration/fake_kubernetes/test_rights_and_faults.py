"""Who may do what, what is recorded, and what goes wrong by script."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from kubernetes import client, config

from tests.fake_kubernetes import FakeCluster, Fault
from tests.integration.fake_kubernetes.conftest import APPLY, Connect, Raw, namespace, pod
from tests.waiting import PATIENCE, wait_until

ROLE = [
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"], "resourceNames": ["mine"]},
]


@pytest.fixture
def limited(make_cluster: Callable[..., FakeCluster], connect: Connect) -> Raw:
    """Return HTTP to a cluster with a narrow role."""
    rules = [{"apiGroups": [""], "resources": ["services"], "verbs": ["list"]}]
    return connect(make_cluster(rules=ROLE, namespace_rules={"here": rules}))


# https://kubernetes.io/docs/reference/access-authn-authz/rbac/
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/v1/pods", True),
        ("GET", "/api/v1/namespaces/here/pods/x", True),
        ("GET", "/api/v1/namespaces/here/pods/x/log", True),
        ("GET", "/api/v1/namespaces/here/pods/x/status", False),
        ("GET", "/api/v1/pods?watch=1", False),
        ("DELETE", "/api/v1/namespaces/here/pods/x", False),
        ("DELETE", "/apis/batch/v1/namespaces/here/jobs", True),
        ("GET", "/api/v1/namespaces/here/secrets/mine", True),
        ("GET", "/api/v1/namespaces/here/secrets/yours", False),
        ("GET", "/api/v1/namespaces/here/secrets", False),
        ("GET", "/api/v1/namespaces/here/services", True),
        ("GET", "/api/v1/namespaces/there/services", False),
        ("GET", "/api/v1/services", False),
        ("GET", "/version", True),
    ],
)
def test_only_what_is_granted(limited: Raw, method: str, path: str, allowed: bool) -> None:
    status = limited.call(method, path).status

    assert (status != 403) is allowed
    assert status in (200, 403, 404)


def test_refusals_say_what_is_missing(limited: Raw) -> None:
    one = limited.call("DELETE", "/api/v1/namespaces/here/pods/x")
    all_of_them = limited.call("GET", "/apis/networking.k8s.io/v1/ingresses")

    assert one.body["message"] == (
        'pods "x" is forbidden: User "system:serviceaccount:syringe:syringe" cannot delete '
        'resource "pods" in API group "" in the namespace "here"'
    )
    assert one.body["details"] == {"name": "x", "kind": "pods"}
    assert all_of_them.body["message"].endswith(
        'cannot list resource "ingresses" in API group "networking.k8s.io" at the cluster scope'
    )


# https://kubernetes.io/docs/reference/using-api/server-side-apply/
def test_an_apply_that_creates_needs_create_as_well(limited: Raw) -> None:
    assert limited.apply(namespace("new")).status == 403
    assert limited.apply(namespace("here", a="b")).status == 200


def test_rights_can_be_asked_for(limited: Raw) -> None:
    def allowed(verb: str, resource: str) -> bool:
        spec = {"resourceAttributes": {"verb": verb, "resource": resource}}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": spec,
        }
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        reply = limited.call("POST", path, review)
        assert reply.status == 201
        return bool(reply.body["status"]["allowed"])

    assert allowed("list", "pods")
    assert not allowed("delete", "pods")


def test_a_token_is_needed(raw: Raw, cluster: FakeCluster, connect: Connect) -> None:
    stranger = connect(cluster, "wrong")
    reader = connect(cluster, cluster.add_user(ROLE))

    assert stranger.call("GET", "/api/v1/pods").status == 401
    assert stranger.call("GET", "/readyz").body["reason"] == "Unauthorized"
    assert reader.call("GET", "/api/v1/pods").status == 200
    assert reader.create(pod()).status == 403


def test_calls_are_recorded(raw: Raw, cluster: FakeCluster) -> None:
    raw.apply(pod())
    raw.call("GET", "/apis/batch/v1/jobs", labelSelector="a=b")
    raw.call("GET", "/api/v1/namespaces/here/pods/none/log")

    apply, listing, log = cluster.calls
    assert (apply.verb, apply.resource, apply.namespace, apply.name) == (
        "patch",
        "pods",
        "here",
        "pod",
    )
    assert (apply.content_type, apply.status, apply.query["fieldManager"]) == (
        APPLY,
        201,
        "syringe",
    )
    assert (listing.verb, listing.group, listing.query) == (
        "list",
        "batch",
        {"labelSelector": "a=b"},
    )
    assert (log.subresource, log.status) == ("log", 404)
    assert cluster.calls.matching(status=404) == [log]
    cluster.calls.clear()
    assert len(cluster.calls) == 0


# https://kubernetes.io/docs/concepts/cluster-administration/flow-control/
def test_answers_by_script(raw: Raw, cluster: FakeCluster) -> None:
    cluster.faults.add(Fault(verb="list", resource="pods", status=429, retry_after=7))
    cluster.faults.add(Fault(verb="list", status=503, times=2))

    busy, jobs, pods, fine = (
        raw.call("GET", path)
        for path in ("/api/v1/pods", "/apis/batch/v1/jobs", "/api/v1/pods", "/api/v1/pods")
    )

    assert (busy.status, busy.headers["Retry-After"]) == (429, "7")
    assert busy.body["details"] == {"retryAfterSeconds": 7}
    assert [jobs.status, pods.status, fine.status] == [503, 503, 200]
    assert [call.status for call in cluster.calls] == [429, 503, 503, 200]


def test_connections_drop_before_and_in_the_middle(raw: Raw, cluster: FakeCluster) -> None:
    cluster.faults.add(Fault(verb="create", name="", drop="before"))
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        raw.create(namespace("a"))
    cluster.faults.add(Fault(verb="create", drop="middle"))
    with pytest.raises(http.client.IncompleteRead):
        raw.create(namespace("b"))

    assert raw.create(namespace("a")).status == 201
    assert raw.create(namespace("b")).status == 409


def test_watches_drop_in_the_middle_of_an_event(raw: Raw, cluster: FakeCluster) -> None:
    cluster.faults.add(Fault(verb="watch", drop="middle"))

    response = raw.send("GET", "/api/v1/namespaces", watch="true")

    with pytest.raises(http.client.IncompleteRead):
        response.read()


def test_slow_and_malformed_answers(raw: Raw, cluster: FakeCluster) -> None:
    cluster.faults.add(Fault(resource="pods", malformed=True, delay=0.2))

    begin = time.monotonic()
    reply = raw.call("GET", "/api/v1/pods")

    assert time.monotonic() - begin >= 0.2
    assert reply.status == 200
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        _ = reply.body


def test_faults_last_until_cleared(raw: Raw, cluster: FakeCluster) -> None:
    cluster.faults.add(Fault(namespace="here", status=500, times=None))

    assert {raw.call("GET", "/api/v1/namespaces/here/pods").status for _ in range(3)} == {500}
    cluster.faults.clear()
    assert raw.call("GET", "/api/v1/namespaces/here/pods").status == 200


def test_all_connections_end_at_once(raw: Raw, cluster: FakeCluster) -> None:
    response = raw.send("GET", "/api/v1/pods", watch="true")

    cluster.drop_connections()

    with pytest.raises(http.client.IncompleteRead):
        response.read()
    assert raw.call("GET", "/api/v1/pods").status == 200


def test_connections_are_kept(cluster: FakeCluster) -> None:
    connection = http.client.HTTPConnection(cluster.url.removeprefix("http://"), timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {cluster.token}"}
    ports = set()
    for _ in range(3):
        connection.request("GET", "/api/v1/pods", headers=headers)
        connection.getresponse().read()
        ports.add(connection.sock.getsockname()[1])
    connection.close()

    assert len(ports) == 1


def test_it_serves_other_processes(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    command = [sys.executable, "-m", "tests.fake_kubernetes", "--kubeconfig", str(kubeconfig)]
    with subprocess.Popen([*command, "--latency", "0", "--call-latency", "0.2"]) as process:
        try:
            wait_until(kubeconfig.exists, what="the kubeconfig")
            api = config.new_client_from_config(str(kubeconfig))
            began = time.monotonic()
            names = [one.metadata.name for one in client.CoreV1Api(api).list_namespace().items]
            seconds = time.monotonic() - began
            api.close()
        finally:
            process.send_signal(signal.SIGTERM)

    assert "kube-system" in names
    assert seconds > 0.2
    assert process.returncode == 0
