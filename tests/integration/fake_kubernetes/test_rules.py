"""What is refused because of an object's own fields.

The addresses of the rules are beside their code, in ``tests/fake_kubernetes/validation``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fake_kubernetes import FakeCluster
from tests.integration.fake_kubernetes.conftest import (
    MERGE,
    Connect,
    Manifest,
    Raw,
    collection,
    job,
    namespace,
    pod,
)


def of(kind: str, spec: Any = None, *, name: str = "it", **more: Any) -> Manifest:
    versions = {
        "Job": "batch/v1",
        "NetworkPolicy": "networking.k8s.io/v1",
        "Ingress": "networking.k8s.io/v1",
    }
    manifest = {
        "apiVersion": versions.get(kind, "v1"),
        "kind": kind,
        "metadata": {"name": name, "namespace": "here"},
        **more,
    }
    return manifest if spec is None else {**manifest, "spec": spec}


def container(**fields: Any) -> Manifest:
    return pod(containers=[{"name": "main", "image": "i", **fields}])


def backend(**port: Any) -> Manifest:
    return {"service": {"name": "web", "port": port}}


def ingress(**rule: Any) -> Manifest:
    path = {"path": "/", "pathType": "Prefix", "backend": backend(number=80)}
    return of("Ingress", {"rules": [{"host": "a.example.com", "http": {"paths": [path | rule]}}]})


INVALID = [
    # https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
    (namespace("a.b"), "metadata.name"),
    (namespace("A"), "metadata.name"),
    (namespace("a" * 64), "metadata.name"),
    (namespace("-a"), "metadata.name"),
    (namespace(""), "metadata.name"),
    (pod("under_score"), "metadata.name"),
    (pod("a" * 254), "metadata.name"),
    (of("Service", {"clusterIP": "None"}, name="1st"), "metadata.name"),
    (of("Secret", name="a..b"), "metadata.name"),
    # https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
    (namespace(label="a b"), "metadata.labels"),
    (namespace(label="a" * 64), "metadata.labels"),
    (namespace(label="-a"), "metadata.labels"),
    (namespace(**{"a b": "c"}), "metadata.labels"),
    (namespace(**{"/a": "c"}), "metadata.labels"),
    (namespace(**{"A_/a": "c"}), "metadata.labels"),
    (namespace(**{"pod-security.kubernetes.io/enforce": "strict"}),
     "metadata.labels[pod-security.kubernetes.io/enforce]"),
    # https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
    (pod(containers=[]), "spec.containers"),
    (pod(containers=[{"image": "i"}]), "spec.containers[0].name"),
    (pod(containers=[{"name": "a"}]), "spec.containers[0].image"),
    (pod(containers=[{"name": "A", "image": "i"}]), "spec.containers[0].name"),
    (pod(containers=[{"name": "a", "image": "i"}] * 2), "spec.containers[1].name"),
    (container(image=" i"), "spec.containers[0].image"),
    (container(imagePullPolicy="Sometimes"), "spec.containers[0].imagePullPolicy"),
    (container(terminationMessagePolicy="Log"), "spec.containers[0].terminationMessagePolicy"),
    (container(ports=[{"containerPort": 70000}]), "spec.containers[0].ports[0].containerPort"),
    (container(ports=[{"containerPort": 1, "name": "a" * 16}]), "spec.containers[0].ports[0].name"),
    (container(env=[{"name": "a=b"}]), "spec.containers[0].env[0].name"),
    (container(volumeMounts=[{"name": "v", "mountPath": "/v"}]),
     "spec.containers[0].volumeMounts[0].name"),
    (container(resources={"limits": {"cpu": "much"}}), "spec.containers[0].resources.limits.cpu"),
    (container(resources={"limits": {"cpu": "1"}, "requests": {"cpu": "1500m"}}),
     "spec.containers[0].resources.requests"),
    (container(resources={"limits": {"gpu": 1}}), "spec.containers[0].resources.limits[gpu]"),
    (container(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
     "spec.containers[0].securityContext"),
    (pod(volumes=[{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]),
     "spec.volumes[0].secret"),
    (pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1 GB"}}]),
     "spec.volumes[0].emptyDir.sizeLimit"),
    (pod(restartPolicy="Maybe"), "spec.restartPolicy"),
    (pod(securityContext={"sysctls": [{"name": "A", "value": "1"}]}),
     "spec.securityContext.sysctls[0].name"),
    (pod(tolerations=[{"operator": "Equal"}]), "spec.tolerations[0].operator"),
    (pod(nodeSelector={"a b": "c"}), "spec.nodeSelector"),
    (pod(hostname="a.b"), "spec.hostname"),
    (pod(affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"labelSelector": {"matchLabels": {"a": "b"}}}]}}),
     "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey"),
    # https://kubernetes.io/docs/concepts/workloads/controllers/job/
    (job(template={"spec": pod()["spec"]}), "spec.template.spec.restartPolicy"),
    (job("j" * 64), "spec.template.labels"),
    (job(ttlSecondsAfterFinished=-1), "spec.ttlSecondsAfterFinished"),
    # https://kubernetes.io/docs/concepts/services-networking/service/
    (of("Service", {}), "spec.ports"),
    (of("Service", {"ports": [{"port": 1}, {"port": 2}]}), "spec.ports[0].name"),
    (of("Service", {"ports": [{"port": 0}]}), "spec.ports[0].port"),
    (of("Service", {"ports": [{"port": 1, "name": "a"}, {"port": 1, "name": "b"}]}),
     "spec.ports[1]"),
    # https://kubernetes.io/docs/concepts/services-networking/network-policies/
    (of("NetworkPolicy", {"podSelector": {}, "policyTypes": ["Both"]}), "spec.policyTypes[0]"),
    (of("NetworkPolicy", {"podSelector": {}, "egress": [{"to": [{}]}]}), "spec.egress[0].to[0]"),
    (of("NetworkPolicy", {"podSelector": {}, "egress": [{"to": [{"ipBlock": {
        "cidr": "10.0.0.1"}}]}]}),
     "spec.egress[0].to[0].ipBlock.cidr"),
    (of("NetworkPolicy", {"podSelector": {}, "egress": [{"to": [{"ipBlock": {
        "cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}}]}]}),
     "spec.egress[0].to[0].ipBlock.except[0]"),
    (of("NetworkPolicy", {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}),
     "spec.podSelector.matchExpressions[0].values"),
    # https://kubernetes.io/docs/concepts/services-networking/ingress/
    (of("Ingress", {}), "spec"),
    (ingress(pathType=None), "spec.rules[0].http.paths[0].pathType"),
    (ingress(path="a"), "spec.rules[0].http.paths[0].path"),
    (ingress(backend=backend()), "spec.rules[0].http.paths[0].backend.service.port"),
    (of("Ingress", {"rules": [{"host": "192.0.2.1"}]}), "spec.rules[0].host"),
    (of("Ingress", {"rules": [{"host": "a_b.example.com"}]}), "spec.rules[0].host"),
    # https://kubernetes.io/docs/concepts/configuration/secret/
    (of("Secret", data={"a b": ""}), "data[a b]"),
    (of("Secret", type="kubernetes.io/dockerconfigjson"), "data[.dockerconfigjson]"),
    (of("Secret", type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": "e30x"}),
     "data[.dockerconfigjson]"),
    # https://kubernetes.io/docs/concepts/policy/
    (of("ResourceQuota", {"hard": {"bananas": 1}}), "spec.hard[bananas]"),
    (of("ResourceQuota", {"hard": {"pods": "some"}}), "spec.hard[pods]"),
    (of("LimitRange", {"limits": [{"type": "Cup"}]}), "spec.limits[0].type"),
    (of("LimitRange", {"limits": [
        {"type": "Container", "default": {"cpu": 2}, "max": {"cpu": 1}}]}),
     "spec.limits[0].default[cpu]"),
]  # fmt: skip


@pytest.mark.parametrize(("manifest", "field"), INVALID, ids=lambda value: str(value)[-60:])
def test_invalid_objects_are_refused_with_their_field(
    raw: Raw, manifest: Manifest, field: str
) -> None:
    reply = raw.create(manifest)

    assert (reply.status, reply.body.get("reason")) == (422, "Invalid"), reply.text
    assert field in [cause["field"] for cause in reply.body["details"]["causes"]]
    if manifest["metadata"]["name"]:
        assert raw.apply(manifest).status == 422


def test_all_problems_come_at_once(raw: Raw) -> None:
    reply = raw.create(pod("A", containers=[{"name": "B"}]))

    fields = [cause["field"] for cause in reply.body["details"]["causes"]]
    assert fields == ["metadata.name", "spec.containers[0].name", "spec.containers[0].image"]
    assert reply.body["message"].startswith('Pod "A" is invalid: [metadata.name: Invalid value')


@pytest.mark.parametrize(
    ("manifest", "text"),
    [
        (pod("p", "there"), "namespace of the provided object does not match"),
        ({**pod(), "kind": "Job"}, "cannot be handled as a Pod"),
        ({**pod(), "apiVersion": "v2"}, "does not match the expected API version"),
        (pod(containers="x"), "cannot unmarshal string into Go struct field spec.containers"),
        ("[", "parse error"),
    ],
)
def test_what_is_no_such_object_at_all(raw: Raw, manifest: object, text: str) -> None:
    reply = raw.call("POST", "/api/v1/namespaces/here/pods", manifest)

    assert (reply.status, reply.body["reason"]) == (400, "BadRequest")
    assert text in reply.body["message"]


def test_bodies_have_to_be_of_a_known_type(raw: Raw) -> None:
    assert raw.call("POST", "/api/v1/namespaces", "x", kind="text/plain").status == 415
    assert raw.call("PUT", "/api/v1/namespaces", namespace()).status == 404
    assert raw.call("POST", "/api/v1/pods", pod()).status == 405


def test_unknown_fields(raw: Raw, cluster: FakeCluster) -> None:
    """https://kubernetes.io/docs/reference/using-api/api-concepts/#setting-the-field-validation-level"""
    manifest = container(imagePullSecret="x")

    strict = raw.create(manifest, fieldValidation="Strict")
    warned = raw.create(manifest)

    assert strict.status == 400
    assert strict.body["message"].endswith(
        'strict decoding error: unknown field "spec.containers[0].imagePullSecret"'
    )
    assert warned.status == 201
    assert "imagePullSecret" in warned.headers["Warning"]
    assert "imagePullSecret" not in warned.text
    assert cluster.calls.matching(verb="create")[-1].warnings


def test_defaults_are_filled_in(raw: Raw) -> None:
    stored = raw.create(container(ports=[{"containerPort": 22}], image="a/b")).body["spec"]
    policy = raw.apply(
        of("NetworkPolicy", {"podSelector": {}, "ingress": [{"ports": [{"port": 1}]}]})
    )
    headless = raw.apply(of("Service", {"clusterIP": "None"})).body["spec"]

    assert stored["restartPolicy"] == "Always"
    assert stored["containers"][0]["imagePullPolicy"] == "Always"
    assert stored["containers"][0]["ports"] == [{"containerPort": 22, "protocol": "TCP"}]
    assert policy.body["spec"]["policyTypes"] == ["Ingress"]
    assert policy.body["spec"]["ingress"][0]["ports"][0]["protocol"] == "TCP"
    assert headless["clusterIPs"] == ["None"]


def test_string_data_is_stored_as_data(raw: Raw) -> None:
    stored = raw.apply(of("Secret", stringData={"a": "b"})).body

    assert (stored["data"], "stringData" in stored, stored["type"]) == (
        {"a": "Yg=="},
        False,
        "Opaque",
    )


IMMUTABLE: list[tuple[Manifest, Manifest, str]] = [
    (pod(), {"spec": {"hostname": "other"}}, "spec"),
    (pod(), {"spec": {"containers": [{"name": "main", "image": "i", "command": ["x"]}]}}, "spec"),
    (job(), {"spec": {"template": {"spec": {"hostname": "other"}}}}, "spec.template"),
    (job(), {"spec": {"completions": 2}}, "spec.completions"),
    (of("Service", {"ports": [{"port": 1}]}), {"spec": {"clusterIP": "None"}},
     "spec.clusterIPs[0]"),
    (of("Secret", immutable=True), {"data": {"a": ""}}, "data"),
    (of("Secret"), {"type": "other"}, "type"),
]  # fmt: skip


@pytest.mark.parametrize(("manifest", "change", "field"), IMMUTABLE)
def test_immutable_fields(raw: Raw, manifest: Manifest, change: Manifest, field: str) -> None:
    path = f"{collection(manifest)}/{manifest['metadata']['name']}"
    assert raw.create(manifest).status == 201

    reply = raw.call("PATCH", path, change, kind=MERGE)

    assert (reply.status, reply.body["reason"]) == (422, "Invalid"), reply.text
    assert field in [cause["field"] for cause in reply.body["details"]["causes"]]


def test_names_are_taken_once_and_made_up_on_demand(raw: Raw) -> None:
    first, second = raw.create(pod()), raw.create(pod())
    generated = {**pod(), "metadata": {"generateName": "pod-", "namespace": "here"}}
    names = {
        raw.call("POST", collection(generated), generated).body["metadata"]["name"] for _ in "ab"
    }

    assert (first.status, second.status) == (201, 409)
    assert second.body["reason"] == "AlreadyExists"
    assert second.body["message"] == 'pods "pod" already exists'
    assert len(names) == 2
    assert all(len(name) == len("pod-") + 5 for name in names)


@pytest.mark.parametrize("version", ["1.29", "1.37"])
def test_every_version_has_its_schemas(
    make_cluster: Callable[..., FakeCluster], connect: Connect, version: str
) -> None:
    raw = connect(make_cluster(version=version))
    newer = container(restartPolicyRules=[])

    assert raw.create(job()).status == 201
    assert raw.create(newer, fieldValidation="Strict").status == (400 if version == "1.29" else 201)
