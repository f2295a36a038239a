"""What the namespace and the cluster refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fake_kubernetes import FakeCluster, kinds
from tests.integration.fake_kubernetes.conftest import Connect, Manifest, Raw, namespace, pod

BASELINE = {"pod-security.kubernetes.io/enforce": "baseline"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def in_here(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "here"},
        "spec": spec,
    }


def sized(name: str = "pod", **resources: Any) -> Manifest:
    return pod(name, containers=[{"name": "main", "image": "i", "resources": resources}])


def secured(context: Manifest | None = None, **spec: Any) -> Manifest:
    main = {"name": "main", "image": "i", "securityContext": context or {}}
    return pod(where="guarded", **{"containers": [main], **spec})


# https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
def test_objects_need_a_namespace_that_lives(raw: Raw, cluster: FakeCluster) -> None:
    cluster.holds.hold("dying")
    raw.create(namespace("dying"))
    raw.call("DELETE", "/api/v1/namespaces/dying")

    for write in (raw.create, raw.apply):
        missing, dying = write(pod(where="nowhere")), write(pod(where="dying"))
        assert (missing.status, dying.status) == (404, 403)
        assert missing.body["message"] == 'namespaces "nowhere" not found'
        assert dying.body["details"]["causes"][0]["reason"] == "NamespaceTerminating"
        assert "because it is being terminated" in dying.body["message"]


# https://kubernetes.io/docs/concepts/policy/resource-quotas/
def test_quotas_count_objects(raw: Raw) -> None:
    raw.create(in_here("ResourceQuota", "few", {"hard": {"pods": "1", "count/services": "0"}}))

    first, second, again = raw.create(pod("a")), raw.create(pod("b")), raw.create(pod("a"))
    service = raw.apply(in_here("Service", "web", {"clusterIP": "None"}))

    assert (first.status, second.status) == (201, 403)
    assert second.body["message"] == (
        'pods "b" is forbidden: exceeded quota: few, requested: pods=1, used: pods=1, '
        "limited: pods=1"
    )
    # https://github.com/kubernetes/kubernetes/issues/70563: not 409, though the name is taken.
    assert again.status == 403
    assert service.status == 403
    assert raw.apply(pod("a")).status == 200


def test_quotas_of_resources_need_figures(raw: Raw) -> None:
    hard = {"requests.cpu": "1", "limits.memory": "1Gi"}
    quota = raw.create(in_here("ResourceQuota", "sum", {"hard": hard})).body
    small = {"requests": {"cpu": "600m"}, "limits": {"memory": "512Mi"}}

    none = raw.create(pod("none"))
    first, second = raw.create(sized("a", **small)), raw.create(sized("b", **small))

    assert none.status == 403
    assert (
        "failed quota: sum: must specify limits.memory for: main; requests.cpu for: main"
        in (none.body["message"])
    )
    assert (first.status, second.status) == (201, 403)
    assert (
        "requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
        in (second.body["message"])
    )
    assert raw.get(quota)["status"]["used"] == {
        "requests.cpu": "600m",
        "limits.memory": "536870912",
    }


# https://github.com/kubernetes/kubernetes/issues/70563
def test_quotas_charge_what_exists_already_until_something_is_given_back(raw: Raw) -> None:
    quota = raw.create(in_here("ResourceQuota", "few", {"hard": {"pods": "2"}})).body

    statuses = [raw.create(pod("a")).status for _ in range(3)]

    assert statuses == [201, 409, 403]
    assert raw.get(quota)["status"]["used"] == {"pods": "2"}
    assert raw.create(pod("b")).status == 403
    raw.call("DELETE", "/api/v1/namespaces/here/pods/a", {"gracePeriodSeconds": 0})
    assert [raw.create(pod(name)).status for name in ("b", "c", "d")] == [201, 201, 403]


def test_a_dry_run_is_not_charged(raw: Raw) -> None:
    raw.create(in_here("ResourceQuota", "few", {"hard": {"pods": "1"}}))

    assert raw.create(pod("a"), dryRun="All").status == 201
    assert raw.create(pod("a")).status == 201


def test_a_new_quota_keeps_nothing_until_its_controller_came_by(
    make_cluster: Callable[..., FakeCluster], connect: Connect
) -> None:
    raw = connect(make_cluster(quota_seconds=3600))
    raw.create(in_here("ResourceQuota", "late", {"hard": {"pods": "0"}}))

    assert raw.create(pod()).status == 201


def test_a_quota_with_limits_but_no_figures_refuses(
    make_cluster: Callable[..., FakeCluster], connect: Connect
) -> None:
    """https://github.com/okd-project/okd/issues/1121"""
    cluster = make_cluster(quota_seconds=3600)
    raw = connect(cluster)
    raw.create(in_here("ResourceQuota", "late", {"hard": {"pods": "9"}}))
    cluster.store.edit(
        kinds.RESOURCE_QUOTAS,
        ("here", "late"),
        lambda quota: quota["status"].update(hard={"pods": "9"}),
    )

    reply = raw.create(pod())

    assert reply.status == 403
    assert "status unknown for quota: late, resources: pods" in reply.body["message"]


# https://kubernetes.io/docs/concepts/policy/limit-range/
def test_limit_ranges_fill_in_and_refuse(raw: Raw) -> None:
    limit = {"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}}
    raw.create(in_here("LimitRange", "sizes", {"limits": [limit]}))

    filled = raw.create(pod("a")).body["spec"]["containers"][0]["resources"]
    greedy = raw.create(sized("b", limits={"cpu": "2"}))

    assert filled == {"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}
    assert greedy.status == 403
    assert "maximum cpu usage per Container is 1, but limit is 2" in greedy.body["message"]


# https://kubernetes.io/docs/concepts/security/pod-security-standards/#baseline
@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (secured({"privileged": True}), "privileged (container"),
        (secured({"capabilities": {"add": ["NET_ADMIN"]}}), 'must not include "NET_ADMIN"'),
        (secured({"seccompProfile": {"type": "Unconfined"}}), "seccompProfile"),
        (secured({"procMount": "Unmasked"}), "procMount"),
        (secured(hostNetwork=True, hostPID=True), "host namespaces (hostNetwork=true, hostPID="),
        (
            secured(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
            'hostPath volumes (volume "v',
        ),
        (
            secured(
                containers=[
                    {"name": "a", "image": "i", "ports": [{"containerPort": 1, "hostPort": 1}]}
                ]
            ),
            "hostPort",
        ),
        (
            secured(securityContext={"sysctls": [{"name": "net.ipv4.ip_forward", "value": "1"}]}),
            "forbidden sysctls (net.ipv4.ip_forward)",
        ),
    ],
)
def test_baseline(raw: Raw, manifest: Manifest, said: str) -> None:
    raw.create(namespace("guarded", **BASELINE))

    refused = raw.create(manifest)

    assert (refused.status, refused.body["reason"]) == (403, "Forbidden")
    assert refused.body["message"].startswith(
        'pods "pod" is forbidden: violates PodSecurity "baseline:latest": '
    )
    assert said in refused.body["message"]
    raw.apply(namespace("guarded", **{"pod-security.kubernetes.io/enforce": "privileged"}))
    assert raw.create(manifest).status == 201


def test_baseline_lets_harmless_things_pass(raw: Raw) -> None:
    raw.create(namespace("guarded", **BASELINE))
    sysctl = {"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}

    reply = raw.create(
        secured(
            {"capabilities": {"drop": ["ALL"], "add": ["SETUID", "SYS_CHROOT"]}},
            securityContext={"sysctls": [sysctl], "seccompProfile": {"type": "RuntimeDefault"}},
        )
    )

    assert reply.status == 201


# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
def test_restricted(raw: Raw) -> None:
    raw.create(namespace("guarded", **RESTRICTED))
    good = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }

    message = raw.create(secured()).body["message"]
    good_reply = raw.create(secured(good))

    for said in ("allowPrivilegeEscalation", "unrestricted cap", "runAsNonRoot", "seccompProfile"):
        assert said in message
    assert good_reply.status == 201


# https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/
def test_pods_have_accounts_and_tokens_unless_refused(raw: Raw) -> None:
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "quiet", "namespace": "here"},
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "pull"}],
    }
    missing = raw.create(pod(serviceAccountName="quiet"))
    raw.create(account)

    quiet = raw.create(pod("a", serviceAccountName="quiet")).body["spec"]
    loud = raw.create(pod("b")).body["spec"]

    assert missing.status == 403
    assert 'serviceaccount "quiet" not found' in missing.body["message"]
    assert ("volumes" in quiet, quiet["imagePullSecrets"]) == (False, [{"name": "pull"}])
    assert loud["volumes"][0]["name"].startswith("kube-api-access-")
    assert loud["serviceAccountName"] == "default"


# https://kubernetes.io/docs/concepts/containers/runtime-class/
def test_runtime_classes_have_to_exist(raw: Raw) -> None:
    runtime = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "kata"},
        "handler": "kata",
    }
    refused = raw.create(pod(runtimeClassName="kata"))
    raw.create(runtime)

    assert refused.status == 403
    assert 'RuntimeClass "kata" not found' in refused.body["message"]
    assert raw.create(pod(runtimeClassName="kata")).status == 201
