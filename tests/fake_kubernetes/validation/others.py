"""Namespaces, secrets, quotas and limits."""

from __future__ import annotations

import base64
import binascii
import json
import re
from itertools import pairwise

from tests.fake_kubernetes import quantities
from tests.fake_kubernetes.errors import Cause, invalid_value, required, unsupported
from tests.fake_kubernetes.naming import problem_of_key
from tests.fake_kubernetes.objects import Manifest, labels_of

LEVELS = ("privileged", "baseline", "restricted")


# https://kubernetes.io/docs/concepts/security/pod-security-admission/#pod-security-admission-labels-for-namespaces
def namespace(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with the Pod Security labels of a namespace."""
    causes = []
    for mode in ("enforce", "audit", "warn"):
        label = f"pod-security.kubernetes.io/{mode}"
        level = labels_of(manifest).get(label)
        if level is not None and level not in LEVELS:
            detail = f"must be one of {', '.join(LEVELS)}"
            causes.append(invalid_value(f"metadata.labels[{label}]", level, detail))
        version = labels_of(manifest).get(f"{label}-version", "latest")
        if version != "latest" and not re.fullmatch(r"v1\.[0-9]+", version):
            detail = 'must be "latest" or "v1.x"'
            causes.append(invalid_value(f"metadata.labels[{label}-version]", version, detail))
    return causes


# https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
def secret(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with a secret; no message has any of its data."""
    causes = []
    data = manifest.get("data") or {}
    size = 0
    for key, value in data.items():
        if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", key) or key in (".", ".."):
            detail = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
            causes.append(invalid_value(f"data[{key}]", key, detail))
        size += len(value or "") * 3 // 4
    if size > 1024 * 1024:
        causes.append(Cause("FieldValueTooLong", "data", "Too long: may not be more than 1048576"))
    if manifest.get("type") == "kubernetes.io/dockerconfigjson":
        causes += _pull_secret(data)
    if manifest.get("type") == "kubernetes.io/tls":
        causes += [required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data]
    return causes


def _pull_secret(data: Manifest) -> list[Cause]:
    field = "data[.dockerconfigjson]"
    if ".dockerconfigjson" not in data:
        return [required(field)]
    try:
        json.loads(base64.b64decode(data[".dockerconfigjson"], validate=True))
    except (ValueError, binascii.Error):
        return [invalid_value(field, "<secret contents redacted>", "invalid character")]
    return []


# https://kubernetes.io/docs/concepts/policy/resource-quotas/#types-of-resource-quota
_COUNTED = frozenset(
    (
        "configmaps",
        "cpu",
        "ephemeral-storage",
        "limits.cpu",
        "limits.ephemeral-storage",
        "limits.memory",
        "memory",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "requests.cpu",
        "requests.ephemeral-storage",
        "requests.memory",
        "requests.storage",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
    )
)


def resource_quota(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with a quota."""
    causes = []
    for name, value in ((manifest.get("spec") or {}).get("hard") or {}).items():
        field = f"spec.hard[{name}]"
        if "/" not in name and name not in _COUNTED:
            detail = "must be a standard resource for quota"
            causes.append(invalid_value(field, name, detail))
        elif problem := problem_of_key(name):
            causes.append(invalid_value(field, name, problem))
        if not quantities.is_quantity(value):
            causes.append(invalid_value(field, value, quantities.TEXT))
    return causes


# https://kubernetes.io/docs/concepts/policy/limit-range/
def limit_range(manifest: Manifest) -> list[Cause]:
    """Return what is wrong with limits: min <= defaultRequest <= default <= max."""
    causes = []
    for place, limit in enumerate((manifest.get("spec") or {}).get("limits") or ()):
        field = f"spec.limits[{place}]"
        if limit.get("type") not in ("Container", "Pod", "PersistentVolumeClaim"):
            allowed = ("Container", "PersistentVolumeClaim", "Pod")
            causes.append(unsupported(f"{field}.type", limit.get("type", ""), allowed))
        parts = ("min", "defaultRequest", "default", "max")
        bad = [
            (part, name, value)
            for part in parts
            for name, value in (limit.get(part) or {}).items()
            if not quantities.is_quantity(value)
        ]
        causes += [
            invalid_value(f"{field}.{part}[{name}]", value, quantities.TEXT)
            for part, name, value in bad
        ]
        if not bad:
            causes += _order(field, limit, parts)
    return causes


def _order(field: str, limit: Manifest, parts: tuple[str, ...]) -> list[Cause]:
    causes = []
    for name in {name for part in parts for name in limit.get(part) or {}}:
        known = [(p, limit[p][name]) for p in parts if name in (limit.get(p) or {})]
        for (lower, low), (upper, high) in pairwise(known):
            if quantities.amount(low) > quantities.amount(high):
                detail = f"{lower} value {low} is greater than {upper} value {high}"
                causes.append(invalid_value(f"{field}.{lower}[{name}]", low, detail))
    return causes
