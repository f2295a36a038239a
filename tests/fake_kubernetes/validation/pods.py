"""Pods, and jobs as their templates.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests.fake_kubernetes import quantities
from tests.fake_kubernetes.errors import (
    Cause,
    duplicate,
    forbidden_field,
    invalid_value,
    required,
    unsupported,
)
from tests.fake_kubernetes.naming import (
    check_annotations,
    check_labels,
    check_name,
    problem_of_port_name,
)
from tests.fake_kubernetes.objects import Manifest

_SYSCTL = re.compile(r"([a-z0-9][-_a-z0-9]*[./])*[a-z0-9][-_a-z0-9]*")


def one_of(field: str, value: object, allowed: tuple[str, ...]) -> list[Cause]:
    """Check a field that may be left out."""
    return [] if value is None or value in allowed else [unsupported(field, value, allowed)]


def _repeated(field: str, key: str, items: Iterable[Manifest]) -> list[Cause]:
    seen: set[object] = set()
    causes = []
    for place, item in enumerate(items):
        if item.get(key) in seen:
            causes.append(duplicate(f"{field}[{place}].{key}", item[key]))
        seen.add(item.get(key))
    return causes


def _is_container_resource(name: str) -> bool:
    standard = name in ("cpu", "memory", "ephemeral-storage")
    return standard or "/" in name or name.startswith("hugepages-")


# https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/
def _resources(field: str, resources: Manifest) -> list[Cause]:
    causes = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for part, amounts in (("limits", limits), ("requests", requests)):
        for name, value in amounts.items():
            if not quantities.is_quantity(value):
                causes.append(invalid_value(f"{field}.{part}.{name}", value, quantities.TEXT))
            elif not _is_container_resource(name):
                detail = "must be a standard resource for containers"
                causes.append(invalid_value(f"{field}.{part}[{name}]", name, detail))
    if causes:
        return causes
    return [
        invalid_value(
            f"{field}.requests", value, f"must be less than or equal to {name} limit of {limit}"
        )
        for name, value in requests.items()
        if (limit := limits.get(name)) is not None
        and quantities.amount(value) > quantities.amount(limit)
    ]


def _port(field: str, port: Manifest) -> list[Cause]:
    causes = []
    number = port.get("containerPort", 0)
    if not 0 < number < 65536:
        detail = "must be between 1 and 65535, inclusive"
        causes.append(invalid_value(f"{field}.containerPort", number, detail))
    if port.get("name") and (problem := problem_of_port_name(port["name"])):
        causes.append(invalid_value(f"{field}.name", port["name"], problem))
    return causes + one_of(f"{field}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))


# https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
def _environment(field: str, variables: list[Manifest]) -> list[Cause]:
    causes = []
    for place, variable in enumerate(variables):
        where = f"{field}[{place}]"
        if not re.fullmatch(r"[ -<>-~]+", variable.get("name", "")):
            detail = "a valid environment variable name must consist only of printable ASCII"
            causes.append(invalid_value(f"{where}.name", variable.get("name", ""), detail))
        source = variable.get("valueFrom")
        if source is not None and variable.get("value"):
            detail = "may not be specified when `value` is not empty"
            causes.append(invalid_value(f"{where}.valueFrom", "", detail))
        if source is not None and len(source) != 1:
            causes.append(invalid_value(f"{where}.valueFrom", "", "must specify exactly one of"))
    return causes


def _mounts(field: str, mounts: list[Manifest], volumes: set[str]) -> list[Cause]:
    causes = [
        Cause("FieldValueNotFound", f"{field}[{place}].name", f'Not found: "{mount["name"]}"')
        for place, mount in enumerate(mounts)
        if mount.get("name") not in volumes
    ]
    return causes + _repeated(field, "mountPath", mounts)


# https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
def _security(field: str, context: Manifest) -> list[Cause]:
    causes = []
    if context.get("allowPrivilegeEscalation") is False:
        added = (context.get("capabilities") or {}).get("add") or ()
        for holds, what in (
            (context.get("privileged"), "`privileged` is set to true"),
            ("CAP_SYS_ADMIN" in added, "`capabilities.Add` includes CAP_SYS_ADMIN"),
        ):
            if holds:
                detail = f"cannot set `allowPrivilegeEscalation` to false and {what}"
                causes.append(invalid_value(field, "", detail))
    if context.get("runAsUser", 0) < 0:
        detail = "must be between 0 and 2147483647, inclusive"
        causes.append(invalid_value(f"{field}.runAsUser", context["runAsUser"], detail))
    return causes + _seccomp(field, context)


# https://kubernetes.io/docs/tutorials/security/seccomp/
def _seccomp(field: str, context: Manifest) -> list[Cause]:
    profile = context.get("seccompProfile")
    if profile is None:
        return []
    allowed = ("Localhost", "RuntimeDefault", "Unconfined")
    return one_of(f"{field}.seccompProfile.type", profile.get("type", ""), allowed)


def _container(field: str, container: Manifest, volumes: set[str]) -> list[Cause]:
    causes = []
    if container.get("name"):
        causes += check_name(f"{field}.name", container["name"], "label")
    image = container.get("image", "")
    if not image:
        causes.append(required(f"{field}.image"))
    elif image.strip() != image:
        detail = "must not have leading or trailing whitespace"
        causes.append(invalid_value(f"{field}.image", image, detail))
    causes += one_of(
        f"{field}.imagePullPolicy",
        container.get("imagePullPolicy"),
        ("Always", "IfNotPresent", "Never"),
    )
    causes += one_of(
        f"{field}.terminationMessagePolicy",
        container.get("terminationMessagePolicy"),
        ("FallbackToLogsOnError", "File"),
    )
    for place, port in enumerate(container.get("ports") or ()):
        causes += _port(f"{field}.ports[{place}]", port)
    named = [port for port in container.get("ports") or () if port.get("name")]
    causes += _repeated(f"{field}.ports", "name", named)
    causes += _environment(f"{field}.env", container.get("env") or [])
    causes += _mounts(f"{field}.volumeMounts", container.get("volumeMounts") or [], volumes)
    causes += _resources(f"{field}.resources", container.get("resources") or {})
    return causes + _security(f"{field}.securityContext", container.get("securityContext") or {})


# https://kubernetes.io/docs/concepts/storage/volumes/
def _volume(field: str, volume: Manifest) -> list[Cause]:
    causes = check_name(f"{field}.name", volume.get("name", ""), "label")
    sources = [name for name in volume if name != "name" and volume[name] is not None]
    if not sources:
        causes.append(required(field, "must specify a volume type"))
    for extra in sources[1:]:
        detail = "may not specify more than 1 volume type"
        causes.append(forbidden_field(f"{field}.{extra}", detail))
    if (volume.get("secret") is not None) and not volume["secret"].get("secretName"):
        causes.append(required(f"{field}.secret.secretName"))
    size = (volume.get("emptyDir") or {}).get("sizeLimit")
    if size is not None and not quantities.is_quantity(size):
        causes.append(invalid_value(f"{field}.emptyDir.sizeLimit", size, quantities.TEXT))
    return causes


# https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/
def _sysctls(field: str, spec: Manifest) -> list[Cause]:
    sysctls = (spec.get("securityContext") or {}).get("sysctls") or []
    causes = _repeated(field, "name", sysctls)
    for place, sysctl in enumerate(sysctls):
        name = sysctl.get("name", "")
        if not _SYSCTL.fullmatch(name):
            detail = "must have at most 253 characters and match regex"
            causes.append(invalid_value(f"{field}[{place}].name", name, detail))
        elif spec.get("hostNetwork") and name.startswith("net."):
            detail = "may not be specified when 'hostNetwork' is true"
            causes.append(invalid_value(f"{field}[{place}].name", name, detail))
    return causes


# https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
def _toleration(field: str, toleration: Manifest) -> list[Cause]:
    causes = one_of(f"{field}.operator", toleration.get("operator"), ("Equal", "Exists"))
    effects = ("NoSchedule", "PreferNoSchedule", "NoExecute")
    causes += one_of(f"{field}.effect", toleration.get("effect") or None, effects)
    if not toleration.get("key") and toleration.get("operator") != "Exists":
        detail = 'operator must be Exists when `key` is empty, which means "match all values"'
        causes.append(invalid_value(f"{field}.operator", toleration.get("operator", ""), detail))
    return causes


def _affinity(field: str, affinity: Manifest) -> list[Cause]:
    """https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/"""
    causes = []
    for part in ("podAffinity", "podAntiAffinity"):
        terms = (affinity.get(part) or {}).get(
            "requiredDuringSchedulingIgnoredDuringExecution"
        ) or ()
        for place, term in enumerate(terms):
            where = f"{field}.{part}.requiredDuringSchedulingIgnoredDuringExecution[{place}]"
            if not term.get("topologyKey"):
                causes.append(required(f"{where}.topologyKey", "can not be empty"))
            causes += label_selector(f"{where}.labelSelector", term.get("labelSelector") or {})
    return causes


def label_selector(field: str, selector: Manifest) -> list[Cause]:
    """Check a LabelSelector."""
    causes = check_labels(f"{field}.matchLabels", selector.get("matchLabels") or {})
    operators = ("In", "NotIn", "Exists", "DoesNotExist")
    for place, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"{field}.matchExpressions[{place}]"
        operator, values = expression.get("operator"), expression.get("values")
        if operator not in operators:
            causes.append(
                invalid_value(f"{where}.operator", operator or "", "not a valid selector operator")
            )
        elif operator in ("In", "NotIn") and not values:
            detail = "must be specified when `operator` is 'In' or 'NotIn'"
            causes.append(required(f"{where}.values", detail))
        elif operator in ("Exists", "DoesNotExist") and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(forbidden_field(f"{where}.values", detail))
        causes += check_labels(f"{where}.key", {expression.get("key", ""): ""})
    return causes


def _spec(field: str, spec: Manifest) -> list[Cause]:
    volumes = spec.get("volumes") or []
    names = {volume.get("name", "") for volume in volumes}
    containers, inits = spec.get("containers") or [], spec.get("initContainers") or []
    causes = _repeated(f"{field}.volumes", "name", volumes)
    for place, volume in enumerate(volumes):
        causes += _volume(f"{field}.volumes[{place}]", volume)
    if not containers:
        causes.append(required(f"{field}.containers"))
    for part, listed in (("containers", containers), ("initContainers", inits)):
        for place, container in enumerate(listed):
            causes += _container(f"{field}.{part}[{place}]", container, names)
    causes += _repeated(f"{field}.containers", "name", [*inits, *containers])
    policies = ("Always", "Never", "OnFailure")
    causes += one_of(f"{field}.restartPolicy", spec.get("restartPolicy"), policies)
    dns = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
    causes += one_of(f"{field}.dnsPolicy", spec.get("dnsPolicy"), dns)
    causes += _sysctls(f"{field}.securityContext.sysctls", spec)
    causes += _seccomp(f"{field}.securityContext", spec.get("securityContext") or {})
    for place, toleration in enumerate(spec.get("tolerations") or ()):
        causes += _toleration(f"{field}.tolerations[{place}]", toleration)
    causes += _affinity(f"{field}.affinity", spec.get("affinity") or {})
    causes += check_labels(f"{field}.nodeSelector", spec.get("nodeSelector") or {})
    for key in ("hostname", "subdomain"):
        if spec.get(key):
            causes += check_name(f"{field}.{key}", spec[key], "label")
    if spec.get("serviceAccountName"):
        causes += check_name(f"{field}.serviceAccountName", spec["serviceAccountName"], "subdomain")
    if spec.get("activeDeadlineSeconds", 1) < 1:
        detail = "must be between 1 and 2147483647, inclusive"
        value = spec["activeDeadlineSeconds"]
        causes.append(invalid_value(f"{field}.activeDeadlineSeconds", value, detail))
    return causes


def pod(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with a pod."""
    return _spec("spec", manifest.get("spec") or {})


def job(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with a job, whose pods have to end one day."""
    spec = manifest.get("spec") or {}
    causes = [
        invalid_value(f"spec.{field}", spec[field], "must be greater than or equal to 0")
        for field in (
            "parallelism",
            "completions",
            "backoffLimit",
            "activeDeadlineSeconds",
            "ttlSecondsAfterFinished",
        )
        if spec.get(field) is not None and spec[field] < 0
    ]
    template = spec.get("template") or {}
    metadata, inner = template.get("metadata") or {}, template.get("spec") or {}
    causes += check_labels("spec.template.labels", metadata.get("labels") or {})
    causes += check_annotations("spec.template.annotations", metadata.get("annotations") or {})
    if inner.get("restartPolicy") not in ("Never", "OnFailure"):
        detail = 'Required value: valid values: "OnFailure", "Never"'
        causes.append(Cause("FieldValueRequired", "spec.template.spec.restartPolicy", detail))
    return causes + _spec("spec.template.spec", inner)
