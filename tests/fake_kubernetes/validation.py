"""Rules on the fields of one object."""

from __future__ import annotations

from tests.fake_kubernetes.errors import Cause, required
from tests.fake_kubernetes.kinds import Kind
from tests.fake_kubernetes.naming import check_annotations, check_labels, check_name
from tests.fake_kubernetes.objects import Manifest


def _metadata(kind: Kind, manifest: Manifest) -> list[Cause]:
    metadata = manifest["metadata"]
    name = metadata.get("name", "")
    if not name:
        return [required("metadata.name", "name or generateName is required")]
    causes = check_name("metadata.name", name, kind.name_rule)
    causes += check_labels("metadata.labels", metadata.get("labels") or {})
    causes += check_annotations("metadata.annotations", metadata.get("annotations") or {})
    return causes


def problems(kind: Kind, manifest: Manifest) -> list[Cause]:
    """Return what is wrong with an object that is created or changed."""
    return _metadata(kind, manifest)


def problems_of_update(kind: Kind, new: Manifest, old: Manifest) -> list[Cause]:
    """Return what may not change and did."""
    return []
