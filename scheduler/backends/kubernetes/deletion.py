"""Ending environments: only our own, and not without saying what holds them up."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from scheduler.backends.base import EnvironmentRef
from scheduler.backends.kubernetes.labels import INSTANCE, MANAGED_BY, MANAGER, ref_of
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.phases import parse_time

PATIENCE = timedelta(seconds=90)
"""A namespace that takes longer to go is held up by something."""

# The resource's group follows the point, and that of pods is empty.
_PODS = re.compile(r"\bpods\.? has [0-9]+ resource instances")


def is_ours(namespace: Manifest, instance: str, ref: EnvironmentRef) -> bool:
    """Say whether a namespace carries our labels for exactly this environment."""
    labels: Mapping[str, str] = namespace["metadata"].get("labels") or {}
    return (
        labels.get(MANAGED_BY) == MANAGER
        and labels.get(INSTANCE) == instance
        and ref_of(labels) == ref
    )


def is_terminating(namespace: Manifest) -> bool:
    """Say whether a namespace is on its way out."""
    return bool(namespace["metadata"].get("deletionTimestamp"))


def is_stuck(namespace: Manifest, now: datetime) -> bool:
    """Say whether a namespace has been on its way out for too long."""
    since = namespace["metadata"].get("deletionTimestamp")
    return since is not None and now - parse_time(since) > PATIENCE


def may_have_pods(namespace: Manifest) -> bool:
    """Say whether pods are among what has not been deleted, or nobody has reported on it yet."""
    conditions = (namespace.get("status") or {}).get("conditions")
    if not conditions:
        return True
    return any(
        condition.get("status") == "True" and _PODS.search(str(condition.get("message")))
        for condition in conditions
    )


def obstacles(namespace: Manifest, now: datetime) -> str:
    """Name what holds up a stuck namespace; empty where it is none."""
    if not is_stuck(namespace, now):
        return ""
    since = parse_time(namespace["metadata"]["deletionTimestamp"])
    # Each condition that is true is something that has not been deleted.
    conditions = (namespace.get("status") or {}).get("conditions") or ()
    causes = [
        str(condition.get("message") or condition.get("type"))
        for condition in conditions
        if condition.get("status") == "True"
    ]
    if finalizers := namespace["metadata"].get("finalizers"):
        causes.append(f"Finalizers of the namespace: {', '.join(finalizers)}")
    named = "; ".join(causes) or "the cluster does not say why"
    return f"Terminating since {since:%Y-%m-%d %H:%M:%S} UTC: {named}"
