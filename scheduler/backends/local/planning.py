"""From a livelesson's description to a supervisor's plan: names, addresses, users, links."""

import hashlib
import ipaddress
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from scheduler.backends.base import (
    BackendRejected,
    EndpointSpec,
    EnvironmentSpec,
    LessonSpec,
    ReasonCode,
)
from scheduler.backends.local import network
from scheduler.backends.local.plan import (
    ConfigurationPlan,
    EndpointPlan,
    HostPlan,
    InterfacePlan,
    LinkPlan,
    Plan,
)
from scheduler.backends.local.recipes import RECIPES

DEFAULT_USER = "antidote"
SSH_PORT = 22

_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")
_FIRST_HOST = 10
_FIRST_JOB = 0x8000


def lesson_check(lesson: LessonSpec) -> None:
    """Raise BackendRejected for a lesson that this backend could never run."""
    for endpoint in lesson.endpoints:
        if endpoint.image.slug not in RECIPES:
            raise BackendRejected(
                reason=f"image {endpoint.image.slug!r} of endpoint {endpoint.name!r} has no local "
                f"recipe; there are {', '.join(sorted(RECIPES))}",
                reason_code=ReasonCode.IMAGE_MISSING,
            )
        if not _HOST.fullmatch(endpoint.name):
            raise BackendRejected(reason=f"endpoint {endpoint.name!r} cannot be a host name")
        if not _USER.fullmatch(user_name(endpoint)):
            raise BackendRejected(reason=f"{user_name(endpoint)!r} cannot be a user's name")
        for stage, specification in enumerate(lesson.stages):
            if endpoint.name in specification.configurations:
                configuration_check(lesson, stage=stage, endpoint=endpoint.name)


def configuration_check(lesson: LessonSpec, *, stage: int, endpoint: str) -> str:
    """Return the file that configures an endpoint for a stage; raise BackendRejected if none."""
    found = next((entry for entry in lesson.endpoints if entry.name == endpoint), None)
    if found is None or not 0 <= stage < len(lesson.stages):
        raise BackendRejected(reason=f"there is no endpoint {endpoint!r} with stage {stage}")
    file = lesson.stages[stage].configurations.get(endpoint)
    if found.configuration_type == "napalm":
        raise BackendRejected(
            reason=f"endpoint {endpoint!r} is configured by napalm, whose drivers speak to network "
            f"devices; the local stand-in for image {found.image.slug!r} is a Linux shell",
            reason_code=ReasonCode.CONFIGURATION_UNSUPPORTED,
        )
    if found.configuration_type not in ("python", "ansible") or file is None:
        raise BackendRejected(
            reason=f"endpoint {endpoint!r} has no configuration for stage {stage}",
            reason_code=ReasonCode.CONFIGURATION_UNSUPPORTED,
        )
    return file


def job_check(lesson: LessonSpec, *, endpoint: str, language: str) -> None:
    """Raise BackendRejected for a check that no job could do."""
    if endpoint not in {entry.name for entry in lesson.endpoints}:
        raise BackendRejected(reason=f"there is no endpoint {endpoint!r}")
    if language not in ("python", "ansible"):
        raise BackendRejected(reason=f"checks are not written in {language!r}")


def user_name(endpoint: EndpointSpec) -> str:
    """Return the name of the endpoint's one user."""
    return endpoint.image.ssh_user or DEFAULT_USER


def environment_plan(
    spec: EnvironmentSpec, *, instance: str, folder: Path, uid: int | None, host: HostPlan
) -> Plan:
    """Decide everything about an environment; the same for the same description."""
    lesson = spec.lesson
    links, interfaces = _links(lesson)
    subnets = [connection.subnet for connection in lesson.connections if connection.subnet]
    try:
        subnet = network.choose_subnet(subnets)
    except ValueError as error:
        raise BackendRejected(reason=str(error)) from error
    addresses = {
        endpoint.name: str(subnet[_FIRST_HOST + index])
        for index, endpoint in enumerate(lesson.endpoints)
    }
    macs = _mac_addresses(1)
    endpoints = []
    for endpoint in lesson.endpoints:
        address = addresses[endpoint.name]
        uplink = InterfacePlan(
            name=network.UPLINK, address=f"{address}/{subnet.prefixlen}", mac=next(macs)
        )
        endpoints.append(
            _endpoint_plan(spec, endpoint, address, [uplink, *interfaces[endpoint.name]])
        )
    return Plan(
        name=spec.ref.name,
        instance=instance,
        folder=str(folder),
        uid=uid,
        host=host,
        gateway=str(subnet[1]),
        prefix_length=subnet.prefixlen,
        hosts=addresses,
        job_addresses=str(subnet[_FIRST_JOB]).rpartition(".")[0],
        hidden=list(lesson.hidden),
        endpoints=endpoints,
        links=links,
    )


def _endpoint_plan(
    spec: EnvironmentSpec, endpoint: EndpointSpec, address: str, interfaces: list[InterfacePlan]
) -> EndpointPlan:
    image = endpoint.image
    user = user_name(endpoint)
    recipe = RECIPES[image.slug]
    ssh_ports = [entry.port for entry in endpoint.presentations if entry.type == "ssh"]
    web_ports = [entry.port for entry in endpoint.presentations if entry.type == "http"]
    configuration_user = image.config_user or user
    configuration_password = (
        image.config_password or image.ssh_password or _derived_password(spec.access_password)
    )
    credentials = [[configuration_user, configuration_password]]
    if image.ssh_password:
        credentials.append([user, image.ssh_password])
    return EndpointPlan(
        name=endpoint.name,
        user=user,
        home="/root" if user == "root" else f"/home/{user}",
        address=address,
        interfaces=interfaces,
        forwarding=image.enable_forwarding,
        ports=list(endpoint.ports),
        ssh_ports=list(dict.fromkeys([SSH_PORT, *ssh_ports])),
        web_ports=(web_ports or [recipe.web_port]) if recipe.web_port else [],
        credentials=credentials,
        access_password=spec.access_password,
        configuration=ConfigurationPlan(
            kind=endpoint.configuration_type,
            username=configuration_user,
            password=configuration_password,
            files={
                str(number): stage.configurations[endpoint.name]
                for number, stage in enumerate(spec.lesson.stages)
                if endpoint.name in stage.configurations
            },
        ),
    )


def _derived_password(access_password: str) -> str:
    """Return a password for the configurator of an image that declares none."""
    return hashlib.sha256(f"configuration:{access_password}".encode()).hexdigest()


def _links(lesson: LessonSpec) -> tuple[list[LinkPlan], dict[str, list[InterfacePlan]]]:
    """Give each declared connection an interface at both of its ends."""
    links: list[LinkPlan] = []
    interfaces: dict[str, list[InterfacePlan]] = defaultdict(list)
    names = {endpoint.name: _interface_names(endpoint) for endpoint in lesson.endpoints}
    macs = _mac_addresses(0x010000)
    for connection in lesson.connections:
        if connection.a not in names or connection.b not in names:
            raise BackendRejected(
                reason=f"connection {connection.a!r} to {connection.b!r} names no endpoint"
            )
        ends = []
        for endpoint, address in zip(
            (connection.a, connection.b), _link_addresses(connection.subnet), strict=True
        ):
            interface = InterfacePlan(name=next(names[endpoint]), address=address, mac=next(macs))
            interfaces[endpoint].append(interface)
            ends.append(interface)
        links.append(
            LinkPlan(
                a=connection.a,
                a_interface=ends[0]["name"],
                a_mac=ends[0]["mac"],
                b=connection.b,
                b_interface=ends[1]["name"],
                b_mac=ends[1]["mac"],
            )
        )
    return links, interfaces


def _interface_names(endpoint: EndpointSpec) -> Iterator[str]:
    """Yield the image's own names of interfaces, then eth1 and so on; eth0 is the bridge's."""
    used = {network.UPLINK, "lo"}
    for name in endpoint.image.network_interfaces:
        if _INTERFACE.fullmatch(name) and name not in used:
            used.add(name)
            yield name
    number = 1
    while True:
        name = f"eth{number}"
        if name not in used:
            used.add(name)
            yield name
        number += 1


def _link_addresses(subnet: str) -> tuple[str, str]:
    """Return the first two hosts of a subnet as CIDR; empty where no subnet is declared."""
    if not subnet:
        return "", ""
    try:
        parsed = ipaddress.ip_network(subnet, strict=False)
    except ValueError as error:
        raise BackendRejected(reason=f"subnet {subnet!r} is none: {error}") from error
    hosts = iter(parsed.hosts())
    first, second = next(hosts, None), next(hosts, None)
    if first is None or second is None:
        raise BackendRejected(reason=f"subnet {subnet!r} has no room for two endpoints")
    return f"{first}/{parsed.prefixlen}", f"{second}/{parsed.prefixlen}"


def _mac_addresses(first: int) -> Iterator[str]:
    number = first
    while True:
        yield network.mac_address(number)
        number += 1
