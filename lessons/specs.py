"""The JSON form of a lesson's runtime description, as ``Lesson.spec`` and livelessons hold it.

The shape is the one of ``scheduler.backends.base.LessonSpec``, which is read from it; this layer
only fixes the keys::

    {"slug", "digest", "bundle_sha256", "ready_delay_seconds",
     "endpoints": [{"name", "configuration_type", "additional_ports",
                    "image": {"slug", "flavor", "enable_forwarding", "network_interfaces",
                              "ssh_user", "ssh_password", "config_user", "config_password",
                              "resources": {"requests": {"cpu", "memory"}, "limits": {...}}},
                    "presentations": [{"name", "port", "type"}]}],
     "connections": [{"a", "b", "subnet"}],
     "stages": [{"guide_type", "configurations": {endpoint name: path below the folder}}]}

Resources hold what the image's author wrote, nothing else; older rows have none.
"""

from typing import NotRequired, TypedDict


class AmountsDict(TypedDict, total=False):
    """Quantities as Kubernetes writes them."""

    cpu: str
    memory: str


class ResourcesDict(TypedDict, total=False):
    requests: AmountsDict
    limits: AmountsDict


class ImageDict(TypedDict):
    slug: str
    flavor: str
    enable_forwarding: bool
    network_interfaces: list[str]
    ssh_user: str
    ssh_password: str
    config_user: str
    config_password: str
    resources: NotRequired[ResourcesDict]


class PresentationDict(TypedDict):
    name: str
    port: int
    type: str


class EndpointDict(TypedDict):
    name: str
    configuration_type: str
    additional_ports: list[int]
    image: ImageDict
    presentations: list[PresentationDict]


class ConnectionDict(TypedDict):
    a: str
    b: str
    subnet: str


class StageDict(TypedDict):
    guide_type: str
    configurations: dict[str, str]


class LessonDict(TypedDict):
    slug: str
    digest: str
    bundle_sha256: str
    ready_delay_seconds: int
    endpoints: list[EndpointDict]
    connections: list[ConnectionDict]
    stages: list[StageDict]
