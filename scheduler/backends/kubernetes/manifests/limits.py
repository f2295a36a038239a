"""Quota and limits: an environment gets what its endpoints and jobs need, and no more."""

from scheduler.backends.base import EnvironmentSpec, ResourceSpec
from scheduler.backends.kubernetes.manifests.amounts import (
    container_resources,
    endpoint_resources,
    total,
)
from scheduler.backends.kubernetes.manifests.metadata import metadata
from scheduler.backends.kubernetes.manifests.privileges import runtime_class
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.options import Options

_CHECKS_AT_ONCE = 3
_COUNTED = {"cpu", "memory", "ephemeral-storage"}

QUOTA = "lesson"
"""Its name."""


def resource_quota(spec: EnvironmentSpec, options: Options) -> Manifest:
    """Return the quota: the sum of all pods, each configuration job running once at a time.

    Checks of files run a few at a time, too; one that finds no room waits for it.
    """
    endpoints = [
        endpoint_resources(endpoint.image, options.settings) for endpoint in spec.lesson.endpoints
    ]
    jobs = [
        container_resources(ResourceSpec(), options.settings)
        for endpoint in spec.lesson.endpoints
        if endpoint.configuration_type
    ]
    jobs += [container_resources(ResourceSpec(), options.settings)] * min(
        _CHECKS_AT_ONCE, len(spec.lesson.hidden)
    )
    flavors = [endpoint.image.flavor for endpoint in spec.lesson.endpoints]
    flavors += ["untrusted"] * len(jobs)
    overheads = [_overhead(options) for flavor in flavors if runtime_class(flavor, options)]
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": metadata(QUOTA, spec, options),
        "spec": {
            "hard": {
                **total([*endpoints, *jobs, *overheads]),
                "persistentvolumeclaims": "0",
                "pods": str(len(flavors)),
                "services": str(len(endpoints)),
                "services.loadbalancers": "0",
                "services.nodeports": "0",
            }
        },
    }


def _overhead(options: Options) -> Manifest:
    """Return what a RuntimeClass adds to a pod, of which quotas count this."""
    counted = {name: text for name, text in options.overhead.items() if name in _COUNTED}
    return {"requests": counted, "limits": counted}


def limit_range(spec: EnvironmentSpec, options: Options) -> Manifest:
    """Return what a container gets that names no resources: a debugger's, or a sidecar's."""
    usual = container_resources(ResourceSpec(), options.settings)
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": metadata("lesson", spec, options),
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": usual["limits"],
                    "defaultRequest": usual["requests"],
                }
            ]
        },
    }
