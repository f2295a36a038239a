"""From descriptions to Kubernetes objects: pure functions that return plain dicts."""

from scheduler.backends.base import BackendRejected, EnvironmentSpec, LessonSpec
from scheduler.backends.kubernetes.manifests.credentials import secrets, service_account
from scheduler.backends.kubernetes.manifests.ingresses import ingresses, page_domain
from scheduler.backends.kubernetes.manifests.jobs import check_job, configuration_job
from scheduler.backends.kubernetes.manifests.limits import limit_range, resource_quota
from scheduler.backends.kubernetes.manifests.namespace import namespace
from scheduler.backends.kubernetes.manifests.networks import attachments, network_definitions
from scheduler.backends.kubernetes.manifests.pods import pod
from scheduler.backends.kubernetes.manifests.policies import network_policies
from scheduler.backends.kubernetes.manifests.services import service
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.names import is_dns_label
from scheduler.backends.kubernetes.options import Options

__all__ = ["check_job", "configuration_job", "environment_manifests", "page_domain"]


def environment_manifests(spec: EnvironmentSpec, options: Options) -> list[Manifest]:
    """Return an environment's objects in the order of their creation: policies before pods.

    Raise BackendRejected for a lesson that no cluster could run.
    """
    _check(spec.lesson)
    ends = attachments(spec.lesson)
    endpoints = spec.lesson.endpoints
    return [
        namespace(spec, options),
        *network_policies(spec, options),
        resource_quota(spec, options),
        limit_range(spec, options),
        service_account(spec, options),
        *secrets(spec, options),
        *network_definitions(spec, options),
        *(service(spec, endpoint, options) for endpoint in endpoints),
        *ingresses(spec, options),
        *(pod(spec, endpoint, ends[endpoint.name], options) for endpoint in endpoints),
    ]


def _check(lesson: LessonSpec) -> None:
    names = [endpoint.name for endpoint in lesson.endpoints]
    for name in names:
        # Before 1.34 a Service's name could not begin with a digit.
        if not is_dns_label(name) or name[0].isdigit():
            raise BackendRejected(
                reason=f"endpoint {name!r} cannot be a host name: it takes a letter first, then "
                "small letters, digits and hyphens, 63 in all"
            )
    if len(set(names)) != len(names):
        raise BackendRejected(reason="two endpoints of the lesson have the same name")
