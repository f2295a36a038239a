"""Where a request came from, so that a forged header cannot pass a limit."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

UNIX = "unix"
"""In the list of trusted proxies: whoever can write to the UNIX socket that web listens on."""

UNKNOWN = "::"
"""All requests without an address share one quota."""

_HOPS = 30

_Address = IPv4Address | IPv6Address


class _Trusted:
    def __init__(self, proxies: Sequence[str]) -> None:
        self.unix = UNIX in proxies
        self.networks = [ip_network(proxy, strict=False) for proxy in proxies if proxy != UNIX]

    def __contains__(self, address: _Address) -> bool:
        return any(address in network for network in self.networks)


@lru_cache(maxsize=8)
def _trusted(proxies: tuple[str, ...]) -> _Trusted:
    return _Trusted(proxies)


def _parse(text: str) -> _Address | None:
    """Read an address as proxies write it: bare, in brackets, or with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_trusted_proxy(*, peer: str, proxies: Sequence[str]) -> bool:
    """Say whether whoever connected may tell of others; ``peer`` is empty on a UNIX socket."""
    trusted = _trusted(tuple(proxies))
    address = _parse(peer)
    return trusted.unix if address is None else address in trusted


def source_address(*, peer: str, forwarded_for: str, proxies: Sequence[str]) -> str:
    """Return the nearest address that is not a trusted proxy's.

    ``peer`` is who connected, empty on a UNIX socket. ``forwarded_for`` is walked from its end,
    where the nearest proxy wrote, and only as far as proxies are trusted; what cannot be read
    ends the walk at the proxy that passed it on.
    """
    trusted = _trusted(tuple(proxies))
    nearest = _parse(peer)
    if not is_trusted_proxy(peer=peer, proxies=proxies):
        return str(nearest or UNKNOWN)
    for part in reversed(forwarded_for.rsplit(",", _HOPS)):
        address = _parse(part)
        if address is None:
            break
        nearest = address
        if address not in trusted:
            break
    return str(nearest or UNKNOWN)


def request_source_address(request: HttpRequest) -> str:
    """Return the learner's address for this request, by the installation's trusted proxies."""
    return source_address(
        peer=request.META.get("REMOTE_ADDR") or "",
        forwarded_for=request.META.get("HTTP_X_FORWARDED_FOR", ""),
        proxies=settings.SYRINGE_TRUSTED_PROXIES,
    )
