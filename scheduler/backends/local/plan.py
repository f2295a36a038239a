"""What the backend tells a supervisor: everything is decided before the first namespace is made.

These shapes cross a process boundary as JSON. They hold passwords, so they travel through an
anonymous file and are never written to disk.
"""

from typing import TypedDict


class HostPlan(TypedDict):
    """What of this machine is seen inside.

    ``system`` holds [kind, source, path] with kind ``bind`` or ``symlink``. ``python_prefix``
    is empty when the interpreter is a part of ``/usr``.
    """

    system: list[list[str]]
    configuration: list[str]
    python_prefix: str
    python: str
    packages: list[str]
    site_packages: str
    inside: str


class InterfacePlan(TypedDict):
    """``address`` is CIDR, or empty for a link without addresses."""

    name: str
    address: str
    mac: str


class ConfigurationPlan(TypedDict):
    """``files`` is keyed by the stage's number as text."""

    kind: str
    username: str
    password: str
    files: dict[str, str]


class EndpointPlan(TypedDict):
    """``credentials`` are [user, password] that count inside the lesson's network only."""

    name: str
    user: str
    home: str
    address: str
    interfaces: list[InterfacePlan]
    forwarding: bool
    ports: list[int]
    ssh_ports: list[int]
    web_ports: list[int]
    credentials: list[list[str]]
    access_password: str
    configuration: ConfigurationPlan


class LinkPlan(TypedDict):
    """A veth pair between two endpoints, by name of endpoint and interface."""

    a: str
    a_interface: str
    a_mac: str
    b: str
    b_interface: str
    b_mac: str


class Plan(TypedDict):
    """One environment.

    ``gateway`` is the supervisor's own address on the bridge, ``job_addresses`` what the addresses
    of jobs begin with. ``hidden`` are the files of the lesson's folder that endpoints do not get.
    """

    name: str
    instance: str
    folder: str
    uid: int | None
    host: HostPlan
    gateway: str
    prefix_length: int
    hosts: dict[str, str]
    job_addresses: str
    hidden: list[str]
    endpoints: list[EndpointPlan]
    links: list[LinkPlan]
