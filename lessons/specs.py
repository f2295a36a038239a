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

A livelesson's copy may have one endpoint more than its lesson, the last: the server of its
notebooks (``with_guide_endpoint``). Learners see it as the guide and not as a machine.
"""

from typing import NotRequired, TypedDict

GUIDE_ENDPOINT = "jupyterlabguide"
"""Where the existing front end looks for it; authors cannot name an endpoint so."""

GUIDE_PRESENTATION = "web"
GUIDE_IMAGE = "jupyter"
GUIDE_PORT = 8888
JUPYTER = "jupyter"
"""The type of a guide that such a server shows."""


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


def with_guide_endpoint(spec: LessonDict) -> LessonDict:
    """Return the description with the server of its notebooks, where a stage's guide is one."""
    notebooks = any(stage["guide_type"] == JUPYTER for stage in spec["stages"])
    if not notebooks or has_guide_endpoint(spec):
        return spec
    return {**spec, "endpoints": [*spec["endpoints"], _guide_endpoint()]}


def has_guide_endpoint(spec: LessonDict) -> bool:
    """Say whether there is a server for the lesson's notebooks."""
    return any(endpoint["name"] == GUIDE_ENDPOINT for endpoint in spec["endpoints"])


def machines(spec: LessonDict) -> list[EndpointDict]:
    """Return the endpoints that learners see as such, in the order of the lesson file."""
    return [endpoint for endpoint in spec["endpoints"] if endpoint["name"] != GUIDE_ENDPOINT]


def _guide_endpoint() -> EndpointDict:
    return EndpointDict(
        name=GUIDE_ENDPOINT,
        configuration_type="",
        additional_ports=[],
        image=ImageDict(
            slug=GUIDE_IMAGE,
            flavor="untrusted",
            enable_forwarding=False,
            network_interfaces=[],
            ssh_user="",
            ssh_password="",
            config_user="",
            config_password="",
        ),
        presentations=[
            PresentationDict(name=GUIDE_PRESENTATION, port=GUIDE_PORT, type="http"),
        ],
    )
