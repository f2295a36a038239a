"""What every module here passes around: plain JSON objects, and the time as they have it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

Manifest = dict[str, Any]


def copy_of(value: Any) -> Any:
    """Return a deep copy of JSON; stored objects are never changed in place."""
    return json.loads(json.dumps(value))


def without_nulls(value: Any) -> Any:
    """Return a deep copy in which fields that are null are left out, as decoding does."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def now(seconds_ahead: float = 0) -> str:
    """Return the time in RFC 3339 with whole seconds, like metav1.Time."""
    moment = datetime.fromtimestamp(datetime.now(UTC).timestamp() + seconds_ahead, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def labels_of(manifest: Manifest) -> dict[str, str]:
    """Return the object's labels, empty where it has none."""
    return manifest["metadata"].get("labels") or {}


def controller_of(manifest: Manifest) -> str:
    """Return the uid of the controller that owns the object, or nothing."""
    for owner in manifest["metadata"].get("ownerReferences") or ():
        if owner.get("controller"):
            return str(owner["uid"])
    return ""
