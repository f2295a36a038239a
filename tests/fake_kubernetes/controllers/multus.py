"""Additional networks of pods: what keeps a pod's sandbox from being made.

https://github.com/k8snetworkplumbingwg/multus-cni/blob/master/docs/how-to-use.md
https://www.cni.dev/docs/spec/#section-1-network-configuration-format
"""

from __future__ import annotations

import json
from typing import Any

from tests.fake_kubernetes import kinds
from tests.fake_kubernetes.objects import Manifest
from tests.fake_kubernetes.store import Store

ANNOTATION = "k8s.v1.cni.cncf.io/networks"


def _selected(text: str, namespace: str) -> list[tuple[str, str]]:
    """Read the annotation, which is JSON or ``namespace/name@interface, ...``."""
    if text.lstrip().startswith("["):
        listed: list[dict[str, Any]] = json.loads(text)
        return [(one.get("namespace") or namespace, one["name"]) for one in listed]
    names = []
    for part in text.split(","):
        place, _, name = part.strip().partition("@")[0].rpartition("/")
        names.append((place or namespace, name))
    return names


def _is_network(config: str) -> bool:
    try:
        value = json.loads(config)
    except ValueError:
        return False
    return bool(value.get("cniVersion") and (value.get("type") or value.get("plugins")))


def problem(store: Store, pod: Manifest) -> str:
    """Say why a pod cannot get the networks that it asks for, or nothing."""
    text = (pod["metadata"].get("annotations") or {}).get(ANNOTATION, "")
    if not text:
        return ""
    try:
        selected = _selected(text, pod["metadata"]["namespace"])
    except (ValueError, KeyError, TypeError):
        return (
            f"parsePodNetworkAnnotation: failed to parse pod Network Attachment Selection: {text}"
        )
    for namespace, name in selected:
        network = store.get(kinds.NETWORK_ATTACHMENTS, (namespace, name))
        if network is None:
            return (
                f"cannot find a network-attachment-definition ({name}) in namespace ({namespace})"
            )
        if not _is_network((network.get("spec") or {}).get("config", "")):
            return f"network-attachment-definition ({name}) has no configuration of CNI"
    return ""
