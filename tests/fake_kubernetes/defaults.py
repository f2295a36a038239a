"""The values that a server fills in, so that what it stores is more than what it was sent.

https://kubernetes.io/docs/reference/kubernetes-api/ names the default of each field.
"""

from __future__ import annotations

import base64
import itertools
from collections.abc import Callable
from typing import Any

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.objects import Manifest

_addresses = itertools.count(2)


def _fill(holder: Manifest, **values: Any) -> None:
    for key, value in values.items():
        if holder.get(key) is None:
            holder[key] = value


def _tag_is_latest(image: str) -> bool:
    tag = image.rpartition("/")[2].partition(":")[2]
    return "@" not in image and tag in ("", "latest")


# https://kubernetes.io/docs/concepts/containers/images/#imagepullpolicy-defaulting
def _container(container: Manifest) -> None:
    latest = _tag_is_latest(container.get("image") or "")
    _fill(
        container,
        imagePullPolicy="Always" if latest else "IfNotPresent",
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
    )
    # https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
    limits = container["resources"].get("limits") or {}
    if limits:
        requests = container["resources"].setdefault("requests", {})
        for resource, amount in limits.items():
            requests.setdefault(resource, amount)
    for port in container.get("ports") or ():
        _fill(port, protocol="TCP")
    for variable in container.get("env") or ():
        reference = (variable.get("valueFrom") or {}).get("fieldRef")
        if reference:
            _fill(reference, apiVersion="v1")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(probe):
            _fill(
                container[probe],
                timeoutSeconds=1,
                periodSeconds=10,
                successThreshold=1,
                failureThreshold=3,
            )


def _volume(volume: Manifest) -> None:
    if set(volume) == {"name"}:
        volume["emptyDir"] = {}
    for source in ("secret", "configMap", "downwardAPI", "projected"):
        if volume.get(source) is not None:
            _fill(volume[source], defaultMode=420)
    if volume.get("hostPath") is not None:
        _fill(volume["hostPath"], type="")


def pod_spec(spec: Manifest) -> None:
    """Fill in what the spec of a pod or of a pod template leaves out."""
    _fill(
        spec,
        dnsPolicy="ClusterFirst",
        restartPolicy="Always",
        schedulerName="default-scheduler",
        securityContext={},
        terminationGracePeriodSeconds=30,
    )
    if spec.get("serviceAccountName"):
        _fill(spec, serviceAccount=spec["serviceAccountName"])
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        _container(container)
    for volume in spec.get("volumes") or ():
        _volume(volume)


def _pod(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    pod_spec(spec)
    _fill(spec, enableServiceLinks=True, priority=0, preemptionPolicy="PreemptLowerPriority")
    # https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    tolerations = spec.setdefault("tolerations", [])
    for taint in ("not-ready", "unreachable"):
        key = f"node.kubernetes.io/{taint}"
        if not any(one.get("key") in (key, None) for one in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 300,
                }
            )
    manifest.setdefault("status", {"phase": "Pending", "qosClass": "Burstable"})


# https://kubernetes.io/docs/concepts/workloads/controllers/job/
def _job(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    _fill(
        spec,
        backoffLimit=6,
        completionMode="NonIndexed",
        completions=1,
        parallelism=1,
        manualSelector=False,
        podReplacementPolicy="TerminatingOrFailed",
        suspend=False,
    )
    template = spec.setdefault("template", {})
    pod_spec(template.setdefault("spec", {}))
    uid = manifest["metadata"]["uid"]
    if not spec["manualSelector"] and spec.get("selector") is None:
        spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
        labels = template.setdefault("metadata", {}).setdefault("labels", {})
        for prefix in ("batch.kubernetes.io/", ""):
            labels[f"{prefix}controller-uid"] = uid
            labels[f"{prefix}job-name"] = manifest["metadata"]["name"]
    manifest.setdefault("status", {})


# https://kubernetes.io/docs/concepts/services-networking/service/
def _service(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    _fill(spec, type="ClusterIP", sessionAffinity="None")
    for port in spec.get("ports") or ():
        _fill(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] != "ExternalName":
        number = next(_addresses) if not spec.get("clusterIP") else 0
        _fill(
            spec,
            clusterIP=f"10.96.{number // 250 % 250}.{number % 250 + 1}",
            internalTrafficPolicy="Cluster",
            ipFamilies=["IPv4"],
            ipFamilyPolicy="SingleStack",
        )
        _fill(spec, clusterIPs=[spec["clusterIP"]])
    manifest.setdefault("status", {"loadBalancer": {}})


# https://kubernetes.io/docs/concepts/services-networking/network-policies/
def _network_policy(manifest: Manifest) -> None:
    spec = manifest.setdefault("spec", {})
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]
    for rule in (*(spec.get("ingress") or ()), *(spec.get("egress") or ())):
        for port in rule.get("ports") or ():
            _fill(port, protocol="TCP")


def _namespace(manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    # https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/#automatic-labelling
    metadata.setdefault("labels", {})["kubernetes.io/metadata.name"] = metadata["name"]
    spec = manifest.setdefault("spec", {})
    if "kubernetes" not in spec.setdefault("finalizers", []):
        spec["finalizers"].append("kubernetes")
    manifest.setdefault("status", {"phase": "Active"})


# https://kubernetes.io/docs/concepts/configuration/secret/
def _secret(manifest: Manifest) -> None:
    _fill(manifest, type="Opaque")
    plain = manifest.pop("stringData", None) or {}
    for key, value in plain.items():
        data = manifest.setdefault("data", {})
        data[key] = base64.b64encode(str(value).encode()).decode()


# https://kubernetes.io/docs/concepts/policy/limit-range/
def _limit_range(manifest: Manifest) -> None:
    for limit in (manifest.get("spec") or {}).get("limits") or ():
        if limit.get("type") != "Container":
            continue
        defaults = limit.setdefault("default", {})
        for resource, amount in (limit.get("max") or {}).items():
            defaults.setdefault(resource, amount)
        requests = limit.setdefault("defaultRequest", {})
        for source in (limit.get("default"), limit.get("min")):
            for resource, amount in (source or {}).items():
                requests.setdefault(resource, amount)


def _ingress(manifest: Manifest) -> None:
    manifest.setdefault("status", {"loadBalancer": {}})


def _empty_status(manifest: Manifest) -> None:
    manifest.setdefault("status", {})


_DEFAULTS: dict[Kind, Callable[[Manifest], None]] = {
    kinds.PODS: _pod,
    kinds.JOBS: _job,
    kinds.SERVICES: _service,
    kinds.NETWORK_POLICIES: _network_policy,
    kinds.NAMESPACES: _namespace,
    kinds.SECRETS: _secret,
    kinds.LIMIT_RANGES: _limit_range,
    kinds.INGRESSES: _ingress,
    kinds.RESOURCE_QUOTAS: _empty_status,
}


def fill_in(kind: Kind, manifest: Manifest) -> None:
    """Add the defaults of a kind; the object has its uid and name already."""
    default = _DEFAULTS.get(kind)
    if default is not None:
        default(manifest)
