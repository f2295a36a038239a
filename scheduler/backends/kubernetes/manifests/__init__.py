"""From descriptions to Kubernetes objects: pure functions that return plain dicts."""

from scheduler.backends.base import EnvironmentRef, EnvironmentSpec
from scheduler.backends.kubernetes.manifests.types import Manifest
from scheduler.backends.kubernetes.options import Options


def environment_manifests(spec: EnvironmentSpec, options: Options) -> list[Manifest]:
    """Return an environment's objects in the order of their creation: policies before pods.

    Raise BackendRejected for a lesson that no cluster could run.
    """
    raise NotImplementedError


def configuration_job(
    spec: EnvironmentSpec, *, stage: int, endpoint: str, run: int, options: Options
) -> Manifest:
    """Return the Job that configures an endpoint for a stage; raise BackendRejected if none."""
    raise NotImplementedError


def page_domain(ref: EnvironmentRef, endpoint: str, presentation: str, options: Options) -> str:
    """Return the host name that shows one web page, empty without a domain for them.

    Whoever knows it may see the page, so it is a MAC that only the secret key can make.
    """
    raise NotImplementedError
