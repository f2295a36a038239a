"""The lesson's network as input for ``ip -batch``: pure functions, so that tests can read them.

Every endpoint has one interface on the lesson's bridge and one more for each declared
connection. Nothing routes: the bridge has no uplink and endpoints have no default route.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from scheduler.backends.local.plan import InterfacePlan, LinkPlan

BRIDGE = "br0"
UPLINK = "eth0"
"""The interface every sandbox has on the bridge."""

_CANDIDATES = ("100.64.0.0/16", "100.65.0.0/16", "198.18.0.0/16", "172.31.0.0/16", "10.255.0.0/16")


def choose_subnet(taken: Iterable[str]) -> ipaddress.IPv4Network:
    """Return a network for the bridge that no declared connection overlaps."""
    networks = [ipaddress.ip_network(text, strict=False) for text in taken]
    for candidate in map(ipaddress.IPv4Network, _CANDIDATES):
        if not any(
            isinstance(network, ipaddress.IPv4Network) and network.overlaps(candidate)
            for network in networks
        ):
            return candidate
    raise ValueError("every network that could be the lesson's own overlaps a connection's subnet")


def mac_address(number: int) -> str:
    """Return a fixed, locally administered address, so that a rebuilt link is the same link."""
    return "02:53:59:" + ":".join(f"{byte:02x}" for byte in number.to_bytes(3, "big"))


def bridge_lines(gateway: str) -> list[str]:
    """Make the bridge, with the supervisor's address on it."""
    return [
        f"link add {BRIDGE} address {mac_address(0)} type bridge",
        f"addr add {gateway} dev {BRIDGE}",
        "link set lo up",
        f"link set {BRIDGE} up",
    ]


def uplink_lines(port: str, pid: int, mac: str) -> list[str]:
    """Connect the network namespace of a process to the bridge."""
    return [
        f"link add {port} type veth peer name {UPLINK} address {mac} netns {pid}",
        f"link set {port} master {BRIDGE} up",
    ]


def link_lines(links: Sequence[LinkPlan], pids: Mapping[str, int]) -> list[str]:
    """Connect pairs of endpoints directly, outside the bridge."""
    return [
        f"link add {link['a_interface']} address {link['a_mac']} netns {pids[link['a']]} "
        f"type veth peer name {link['b_interface']} address {link['b_mac']} "
        f"netns {pids[link['b']]}"
        for link in links
    ]


def interface_lines(interfaces: Sequence[InterfacePlan]) -> list[str]:
    """Bring up a sandbox's interfaces, run inside its network namespace."""
    lines = ["link set lo up"]
    for interface in interfaces:
        if interface["address"]:
            lines.append(f"addr add {interface['address']} dev {interface['name']}")
        lines.append(f"link set {interface['name']} up")
    return lines


def kernel_settings(*, forwarding: bool) -> dict[str, str]:
    """Return what to write below ``/proc/sys/net`` of a sandbox.

    Port 22 is for users too, and ping works without raw sockets; group 0 of the lesson's user
    namespace is the only group there is inside.
    """
    return {
        "ipv4/ip_forward": "1" if forwarding else "0",
        "ipv4/ip_unprivileged_port_start": "0",
        "ipv4/ping_group_range": "0 0",
        "ipv6/conf/all/accept_ra": "0",
        "ipv6/conf/default/accept_ra": "0",
    }
