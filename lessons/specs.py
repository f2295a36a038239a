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
     "stages": [{"guide_type", "configurations": {endpoint name: path below the folder},
                 "objectives", "complete_message", "gate"}]}

Resources hold what the image's author wrote, nothing else; older rows have none. Nor have they
the last three keys of a stage, so these are read by the functions at the end. Objectives hold what
learners must not read: how they are checked. What solves them is in no livelesson at all, but with
the lesson (``lessons.selectors.stage_solutions``).

A livelesson's copy may have one endpoint more than its lesson, the last: the server of its
notebooks (``with_guide_endpoint``). Learners see it as the guide and not as a machine.
"""

from collections.abc import Iterable
from typing import Literal, NotRequired, TypedDict

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


class CheckBase(TypedDict):
    """What every check has: whom it is about, and how long and how often it may take."""

    endpoint: str
    timeout_seconds: int
    interval_seconds: int
    """The first pause between two checks."""


class RunCheckDict(CheckBase):
    """Passes when a shell script on the endpoint exits with 0."""

    kind: Literal["run"]
    script: str


class FileCheckDict(CheckBase):
    """Passes when a job, run as configurations are, succeeds."""

    kind: Literal["file"]
    path: str
    """Below the lesson's folder."""
    language: Literal["python", "ansible"]


class JsonCheckDict(TypedDict):
    """What an answer in JSON says at one place."""

    path: str
    """Keys and indexes with dots between them, such as ``items.0.name``."""
    equals: str
    """A text is compared with it as it is, all else as JSON writes it: ``3``, ``true``."""


class HttpCheckDict(CheckBase):
    """Passes when the endpoint answers a GET with this status and, where told, this content."""

    kind: Literal["http"]
    port: int
    path: str
    """With the query; begins with a slash."""
    status: int
    body: str
    """A regular expression that is searched for; empty: any body."""
    json: JsonCheckDict | None


class TcpCheckDict(CheckBase):
    """Passes when the endpoint accepts a connection."""

    kind: Literal["tcp"]
    port: int


class OutputCheckDict(CheckBase):
    """Passes when what a shell command on the endpoint prints has the pattern in it."""

    kind: Literal["output"]
    command: str
    matches: str
    """A regular expression that is searched for, with ``^`` and ``$`` at every line."""


CheckDict = RunCheckDict | FileCheckDict | HttpCheckDict | TcpCheckDict | OutputCheckDict
"""How it is found out whether an objective is reached; told apart by ``kind``."""


class HintDict(TypedDict):
    """A help, shown as soon as one of its two conditions holds; at least one is given."""

    text: str
    after_failures: int | None
    after_minutes: int | None
    """Since the objective could first be reached."""


class ObjectiveDict(TypedDict):
    """One thing to reach in a stage."""

    slug: str
    description: str
    optional: bool
    """Does not count for the stage."""
    mode: Literal["edge", "level"]
    """Once passed, ``edge`` stays passed; ``level`` may be lost again."""
    needs: list[str]
    """Slugs of the stage's objectives that come before."""
    hints: list[HintDict]
    check: CheckDict


class StageDict(TypedDict):
    guide_type: str
    configurations: dict[str, str]
    objectives: NotRequired[list[ObjectiveDict]]
    """In the author's order; slugs are unique, and ``needs`` have no circle."""
    complete_message: NotRequired[str]
    gate: NotRequired[bool]


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


def stage_objectives(spec: LessonDict, stage: int) -> list[ObjectiveDict]:
    """Return a stage's objectives in the author's order."""
    return spec["stages"][stage].get("objectives", [])


class ToldObjectiveDict(TypedDict):
    """What a lesson tells of an objective before anybody has begun it."""

    slug: str
    description: str
    optional: bool
    needs: list[str]


def told_objectives(spec: LessonDict, stage: int) -> list[ToldObjectiveDict]:
    """Return of a stage's objectives what everybody may read."""
    return [
        ToldObjectiveDict(
            slug=objective["slug"],
            description=objective["description"],
            optional=objective["optional"],
            needs=objective["needs"],
        )
        for objective in stage_objectives(spec, stage)
    ]


def counting(objectives: Iterable[ObjectiveDict]) -> list[ObjectiveDict]:
    """Return the objectives that have to be passed for a stage to be complete."""
    return [objective for objective in objectives if not objective["optional"]]


def complete_message_of(spec: LessonDict, stage: int) -> str:
    """Return what learners read when every counting objective of a stage is passed."""
    return spec["stages"][stage].get("complete_message", "")


def is_gate(spec: LessonDict, stage: int) -> bool:
    """Say whether the next stage opens only when this one's counting objectives are passed."""
    return spec["stages"][stage].get("gate", False)


def has_gates(spec: LessonDict) -> bool:
    """Say whether some stage has to be completed before the next one opens."""
    return any(is_gate(spec, stage) for stage in range(len(spec["stages"])))


def objective_variable(slug: str) -> str:
    """Return the environment variable in which later checks find what a passed one printed."""
    return f"OBJECTIVE_{slug.upper().replace('-', '_')}"


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
