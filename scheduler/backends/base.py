"""The contract between the scheduler and a place where lessons run.

No ORM object crosses this line: the scheduler hands over frozen descriptions and reads back
observations. Which backend is in use is nobody's business but ``registry``'s.
"""

from __future__ import annotations

import abc
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event
from typing import ClassVar
from uuid import UUID

from syringe_project.errors import Invalid, Unavailable


class BackendUnavailable(Unavailable):
    """The backend cannot be reached or is overloaded; the same call may succeed later."""

    code = "backend_unavailable"
    template = "The backend is not available: {reason}"

    def __init__(self, *, reason: str, retry_after: float = 0) -> None:
        """``retry_after`` are the seconds for which it asked to be left alone."""
        super().__init__(reason=reason, retry_after=retry_after)
        self.retry_after = retry_after


class BackendRejected(Invalid):
    """The backend will never accept this; ``reason_code`` is one of ``ReasonCode``.

    ``reason`` is for learners, who get a sentence for the code where it is empty; ``detail`` is
    for operators. At least one of them says something.
    """

    code = "backend_rejected"
    template = "The backend refused: {reason}"

    def __init__(
        self, *, reason: str = "", reason_code: str = "rejected", detail: str = ""
    ) -> None:
        super().__init__(reason=reason, reason_code=reason_code, detail=detail)
        self.reason_code = reason_code
        self.detail = detail

    @property
    def told(self) -> str:
        """What learners are told; empty where the code says it all."""
        return super().__str__() if self.context["reason"] else ""

    def __str__(self) -> str:
        """Return all of it, as logs have it."""
        said = (self.context["reason"], self.detail)
        return self.template.format(reason=": ".join(str(one) for one in said if one))


class ReasonCode(StrEnum):
    """Why a livelesson waits or failed, as learners and the API see it."""

    NONE = ""
    PENDING = "pending"
    IMAGE_PULL = "image_pull"
    IMAGE_MISSING = "image_missing"
    NO_CAPACITY = "no_capacity"
    UNSCHEDULABLE = "unschedulable"
    FOLDER_MISSING = "folder_missing"
    CRASHED = "crashed"
    CONFIGURATION_FAILED = "configuration_failed"
    CONFIGURATION_UNSUPPORTED = "configuration_unsupported"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    REJECTED = "rejected"
    BACKEND_UNAVAILABLE = "backend_unavailable"
    VANISHED = "vanished"
    INTERNAL = "internal"


class Phase(StrEnum):
    """Where an environment, an endpoint or a configuration job stands."""

    ABSENT = "absent"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DELETING = "deleting"


_NAME = re.compile(r"(?P<id>[0-9a-f]{32})-(?P<attempt>[0-9]{1,6})")


@dataclass(frozen=True, slots=True, order=True)
class EnvironmentRef:
    """The identity of one environment: each attempt of a livelesson has one of its own."""

    live_lesson_id: UUID
    attempt: int

    @property
    def name(self) -> str:
        """The name backends build on: 34 to 39 characters, valid as a DNS label."""
        return f"{self.live_lesson_id.hex}-{self.attempt}"

    @classmethod
    def parse(cls, name: str) -> EnvironmentRef:
        """Read a name back; raise ValueError for anything that ``name`` cannot produce."""
        match = _NAME.fullmatch(name)
        if match is None:
            raise ValueError(f"not an environment name: {name!r}")
        return cls(UUID(match["id"]), int(match["attempt"]))


@dataclass(frozen=True, slots=True)
class ResourceSpec:
    """What an image needs, as Kubernetes writes quantities; empty where the backend decides."""

    cpu_request: str = ""
    cpu_limit: str = ""
    memory_request: str = ""
    memory_limit: str = ""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """What an endpoint is made of; the passwords are for inside the lesson's network."""

    slug: str
    flavor: str = "untrusted"
    enable_forwarding: bool = False
    network_interfaces: tuple[str, ...] = ()
    ssh_user: str = ""
    ssh_password: str = field(default="", repr=False)
    config_user: str = ""
    config_password: str = field(default="", repr=False)
    resources: ResourceSpec = ResourceSpec()


@dataclass(frozen=True, slots=True)
class PresentationSpec:
    """One way into an endpoint; ``type`` is ``ssh`` or ``http``."""

    name: str
    port: int
    type: str


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """One machine of a lesson; ``configuration_type`` is ``""``, python, ansible or napalm."""

    name: str
    image: ImageSpec
    configuration_type: str = ""
    additional_ports: tuple[int, ...] = ()
    presentations: tuple[PresentationSpec, ...] = ()

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port others may connect to, once each, in the order of the lesson file."""
        listed = (*(p.port for p in self.presentations), *self.additional_ports)
        return tuple(dict.fromkeys(listed))


@dataclass(frozen=True, slots=True)
class ConnectionSpec:
    """A link of its own between two endpoints; ``subnet`` is CIDR or empty."""

    a: str
    b: str
    subnet: str = ""


@dataclass(frozen=True, slots=True)
class StageSpec:
    """``configurations`` maps an endpoint's name to its file below the lesson's folder."""

    guide_type: str = "markdown"
    configurations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LessonSpec:
    """A lesson with its images resolved, exactly as a livelesson keeps it for its whole life.

    ``hidden`` are files of the folder that only jobs get, because they tell learners the answers.
    """

    slug: str
    digest: str
    bundle_sha256: str
    endpoints: tuple[EndpointSpec, ...]
    stages: tuple[StageSpec, ...]
    connections: tuple[ConnectionSpec, ...] = ()
    ready_delay_seconds: int = 0
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EnvironmentSpec:
    """Everything a backend needs to build one environment.

    ``access_password`` is random per environment. ``read_bundle`` returns the lesson's folder
    as tar.gz whose SHA-256 is ``lesson.bundle_sha256`` and is called only when it is needed;
    ``bundle_url`` is where a pod gets the same, signed and so a secret.
    """

    ref: EnvironmentRef
    session_id: UUID
    lesson: LessonSpec
    access_password: str = field(repr=False)
    read_bundle: Callable[[], bytes] = field(repr=False, compare=False)
    bundle_url: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Login:
    """Who the gateway is when it opens a terminal on an endpoint."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointObservation:
    """What one endpoint is doing.

    ``ports`` maps each of the endpoint's ports to the port to connect to on ``host``.
    ``answering`` is None where the scheduler has to test reachability itself, else the
    backend's own verdict. ``log_tail`` is for operators.
    """

    phase: Phase
    reason: ReasonCode = ReasonCode.NONE
    message: str = ""
    host: str = ""
    ports: Mapping[int, int] = field(default_factory=dict)
    answering: bool | None = None
    log_tail: str = ""


@dataclass(frozen=True, slots=True)
class JobObservation:
    """How one job stands: STARTING, RUNNING, SUCCEEDED or FAILED.

    The ``message`` of a check, passed or not, is what it said last, and ``log_tail`` the end of
    all that it printed. It FAILED and is ``broken`` where it came to no judgement: then
    ``message`` says why, and the learner has nothing to do with it.
    """

    phase: Phase
    message: str = ""
    log_tail: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True)
class EnvironmentObservation:
    """What exists under one ref; ``jobs`` is keyed by (endpoint name or ``check_name``, run)."""

    phase: Phase
    reason: ReasonCode = ReasonCode.NONE
    message: str = ""
    endpoints: Mapping[str, EndpointObservation] = field(default_factory=dict)
    jobs: Mapping[tuple[str, int], JobObservation] = field(default_factory=dict)


ABSENT = EnvironmentObservation(phase=Phase.ABSENT)


def check_name(stage: int, slug: str) -> str:
    """Return by what an objective's checks are found in ``EnvironmentObservation.jobs``.

    No endpoint can have that name.
    """
    return f"check:{stage}:{slug}"


def is_check(name: str) -> bool:
    """Tell the first half of a check's key in ``EnvironmentObservation.jobs`` from an endpoint."""
    return name.startswith("check:")


class RuntimeBackend(abc.ABC):
    """A place where lessons run.

    Every method returns at once, may be called from several threads and processes, and may be
    called twice, late, or after a crash: ``ensure`` on something running and ``destroy`` on
    something gone both succeed. They raise only ``BackendUnavailable`` (try again) or
    ``BackendRejected`` (give up).
    """

    label: ClassVar[str]
    """What a livelesson's ``backend`` column holds."""

    on_this_machine: ClassVar[bool] = False
    """Environments are processes of this machine, so `make up` ends them when it stops."""

    @property
    def runs_guides(self) -> bool:
        """Whether Jupyter guides get an endpoint of their own, ``lessons.specs.GUIDE_ENDPOINT``."""
        return False

    @abc.abstractmethod
    def ensure(self, spec: EnvironmentSpec) -> None:
        """Ask for the environment to exist. Returns before it is ready."""

    @abc.abstractmethod
    def observe(
        self, refs: Sequence[EnvironmentRef]
    ) -> Mapping[EnvironmentRef, EnvironmentObservation]:
        """Report what exists now, from the runtime; every ref asked for is in the answer."""

    @abc.abstractmethod
    def configure(self, spec: EnvironmentSpec, *, stage: int, endpoint: str, run: int) -> None:
        """Ask for an endpoint to be configured for a stage.

        ``run`` names the job: a second call with the same endpoint and run changes nothing,
        another run starts afresh. Its progress is in ``observe(...).jobs[endpoint, run]``.
        """

    @abc.abstractmethod
    def run_check(
        self,
        spec: EnvironmentSpec,
        *,
        stage: int,
        slug: str,
        endpoint: str,
        path: str,
        language: str,
        environment: Mapping[str, str],
        timeout_seconds: float,
        run: int,
    ) -> None:
        """Ask for a file of the lesson's folder to judge whether an objective is reached.

        It runs where configurations run, against an endpoint that need not have one, with
        ``environment`` beside the usual variables. ``path`` is one of ``lesson.hidden``, and
        ``language`` python or ansible. ``run``
        names the job as in ``configure``, and each later check has a larger one. Its progress is
        in ``observe(...).jobs[check_name(stage, slug), run]``; of earlier runs that have ended
        only a few are kept.
        """

    @abc.abstractmethod
    def destroy(self, ref: EnvironmentRef) -> None:
        """Ask for everything under this ref to disappear; observed ABSENT when it has."""

    @abc.abstractmethod
    def owned(self) -> Iterable[EnvironmentRef]:
        """List every environment of this instance, so that forgotten ones can be found."""

    @abc.abstractmethod
    def login(self, spec: EnvironmentSpec, endpoint: str) -> Login:
        """Return the credentials of the endpoint's SSH server. Calls nothing outside."""

    def page_domain(self, ref: EnvironmentRef, *, endpoint: str, presentation: str) -> str:
        """Return the host name that shows a web page alone; empty: the gateway shows it.

        Whoever knows the name may see the page, so it cannot be guessed. Names differ in their
        first label only. Calls nothing outside.
        """
        return ""

    def watch(self, wake: Callable[[Collection[UUID]], None], stop: Event) -> None:
        """Call ``wake`` with the livelessons of environments that change, until ``stop`` is set.

        What is missed costs time only. Raise BackendUnavailable when it cannot go on, and
        BackendRejected where this backend has nothing to watch.
        """
        raise BackendRejected(reason=f"{self.label} needs no watcher")

    def preflight(self) -> Sequence[str]:
        """Name, one sentence each, what prevents this backend from working on this machine."""
        return ()
