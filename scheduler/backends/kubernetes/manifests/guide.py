"""The endpoint that shows Jupyter guides, whose image is ours."""

from lessons.specs import GUIDE_ENDPOINT
from scheduler.backends.base import EndpointSpec
from scheduler.backends.kubernetes.labels import Role


def role_of(endpoint: EndpointSpec) -> Role:
    """Say what an endpoint is for."""
    return Role.GUIDE if endpoint.name == GUIDE_ENDPOINT else Role.ENDPOINT
