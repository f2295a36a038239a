"""Where a check's endpoint is to be found."""

from dataclasses import dataclass

from lessons.specs import EndpointDict
from livelessons.models import LiveEndpoint
from livelessons.services.objectives import Claimed

_SSH_PORT = 22


class PlaceUnknown(Exception):
    """The endpoint has not been observed in this environment, or not this port of it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to; ``name`` is what the lesson calls the endpoint."""

    name: str
    host: str
    port: int


def address_of(claimed: Claimed, port: int) -> Address:
    """Return where the port of the check's endpoint is reached; raise PlaceUnknown."""
    name = claimed.check["endpoint"]
    endpoint = _endpoint(claimed, name)
    relayed = endpoint.ports.get(str(port))
    if relayed is None:
        raise PlaceUnknown(f"Port {port} of {name} cannot be reached from here.")
    return Address(name, endpoint.host, int(relayed))


def ssh_address_of(claimed: Claimed) -> Address:
    """Return where the SSH server of the check's endpoint is; raise PlaceUnknown."""
    name = claimed.check["endpoint"]
    for endpoint in claimed.live_lesson.spec["endpoints"]:
        if endpoint["name"] == name:
            return address_of(claimed, _ssh_port(endpoint))
    raise PlaceUnknown(f"The lesson has no endpoint {name}.")


def _endpoint(claimed: Claimed, name: str) -> LiveEndpoint:
    for endpoint in claimed.live_lesson.known_endpoints:
        seen_here = endpoint.attempt == claimed.live_lesson.attempt
        if endpoint.name == name and endpoint.host and seen_here:
            return endpoint
    raise PlaceUnknown(f"Nothing is known of {name} yet.")


def _ssh_port(endpoint: EndpointDict) -> int:
    for presentation in endpoint["presentations"]:
        if presentation["type"] == "ssh":
            return presentation["port"]
    return _SSH_PORT
