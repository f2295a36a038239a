"""The namespace: an environment's border, and what goes away with it."""

from scheduler.backends.base import EnvironmentSpec
from scheduler.backends.kubernetes.labels import ENDPOINTS, environment_labels
from scheduler.backends.kubernetes.manifests.privileges import pod_security_level
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import namespace_name
from scheduler.backends.kubernetes.options import Options


def namespace(spec: EnvironmentSpec, options: Options) -> Manifest:
    """Return the namespace, which admits no pod beyond what the lesson's images need."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace_name(options.instance, spec.ref),
            "labels": {
                **environment_labels(options.instance, spec),
                "pod-security.kubernetes.io/enforce": pod_security_level(spec.lesson),
            },
            "annotations": {ENDPOINTS: ",".join(e.name for e in spec.lesson.endpoints)},
        },
    }
