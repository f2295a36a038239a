"""What every object of an environment says of itself."""

from collections.abc import Mapping

from scheduler.backends.base import EnvironmentSpec
from scheduler.backends.kubernetes.labels import environment_labels
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.backends.kubernetes.options import Options


def metadata(
    name: str,
    spec: EnvironmentSpec,
    options: Options,
    *,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Manifest:
    """Return the metadata of an object in the environment's namespace."""
    data: Manifest = {
        "name": name,
        "namespace": namespace_name(options.instance, spec.ref),
        "labels": {**environment_labels(options.instance, spec), **(labels or {})},
    }
    if annotations:
        data["annotations"] = dict(annotations)
    return data
