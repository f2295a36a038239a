"""What the gateway reads from the database."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models.expressions import RawSQL
from django.utils import timezone

from livelessons.errors import LiveLessonEnded
from livelessons.models import LiveLesson
from livelessons.presentation_tokens import presentation_grant
from livelessons.selectors import (
    CHECKS_ARE_ON,
    live_endpoints,
    live_lesson_by_id,
    live_lesson_held,
)
from livelessons.services.openings import has_objectives
from livelessons.states import Desired, State
from livelessons.terminal_tokens import TerminalGrant
from scheduler.backends.base import Login
from scheduler.backends.registry import current_backend
from scheduler.environments import environment_spec
from syringe_project.errors import Conflict, NotFound


class PresentationNotFound(NotFound):
    code = "presentation_not_found"
    template = "The lesson has no {kind} presentation {presentation} on {endpoint}."


class LessonNotReady(Conflict):
    code = "livelesson_not_ready"
    template = "The lesson is not ready yet."


@dataclass(frozen=True, slots=True)
class Address:
    """Where an endpoint's presentation can be connected to, in one environment."""

    live_lesson_id: UUID
    attempt: int
    endpoint: str
    presentation: str
    port: int
    host: str
    relayed_port: int
    has_objectives: bool


@dataclass(frozen=True, slots=True)
class TerminalTarget:
    """An SSH server and who to be there; the credentials stay in this process."""

    address: Address
    login: Login = field(repr=False)


def has_ended(live_lesson: LiveLesson) -> bool:
    """Tell whether the livelesson's environment is gone or about to go."""
    return live_lesson.desired == Desired.GONE or live_lesson.state in {
        State.FAILED,
        State.DELETING,
        State.DELETED,
    }


def presentation_address(
    live_lesson: LiveLesson, *, endpoint: str, presentation: str, kind: str
) -> Address:
    """Find a presentation; raise PresentationNotFound, LiveLessonEnded or LessonNotReady."""
    ports = _ports_of_presentations(live_lesson, endpoint, kind)
    port = ports.get(presentation)
    if port is None:
        raise PresentationNotFound(kind=kind, presentation=presentation, endpoint=endpoint)
    if has_ended(live_lesson):
        raise LiveLessonEnded
    if live_lesson.state not in {State.READY, State.CONFIGURATION}:
        raise LessonNotReady
    for row in live_endpoints(live_lesson):
        if row.name == endpoint and row.attempt == live_lesson.attempt and str(port) in row.ports:
            return Address(
                live_lesson_id=live_lesson.pk,
                attempt=live_lesson.attempt,
                endpoint=endpoint,
                presentation=presentation,
                port=port,
                host=row.host,
                relayed_port=int(row.ports[str(port)]),
                has_objectives=has_objectives(live_lesson.spec),
            )
    raise LessonNotReady


def _ports_of_presentations(live_lesson: LiveLesson, endpoint: str, kind: str) -> dict[str, int]:
    return {
        way["name"]: int(way["port"])
        for machine in live_lesson.spec["endpoints"]
        if machine["name"] == endpoint
        for way in machine["presentations"]
        if way["type"] == kind
    }


def terminal_target(
    *, secret: str, live_lesson_id: UUID, endpoint: str, presentation: str
) -> TerminalTarget:
    """Find the SSH server behind a presentation of the caller's own livelesson."""
    live_lesson = live_lesson_held(secret=secret, live_lesson_id=live_lesson_id)
    return _login_target(live_lesson, endpoint, presentation)


def granted_terminal_target(*, grant: TerminalGrant, port: int) -> TerminalTarget:
    """Find the SSH server on a port that a terminal's password opens."""
    live_lesson = live_lesson_by_id(grant.live_lesson_id)
    ports = _ports_of_presentations(live_lesson, grant.endpoint, "ssh")
    names = [name for name in ports if ports[name] == port and port in grant.ports]
    return _login_target(live_lesson, grant.endpoint, names[0] if names else str(port))


def _login_target(live_lesson: LiveLesson, endpoint: str, presentation: str) -> TerminalTarget:
    address = presentation_address(
        live_lesson, endpoint=endpoint, presentation=presentation, kind="ssh"
    )
    login = current_backend().login(environment_spec(live_lesson), endpoint)
    return TerminalTarget(address=address, login=login)


def page_address(*, token: str) -> Address:
    """Find the web server that a presentation's address opens."""
    grant = presentation_grant(token, now=timezone.now())
    return presentation_address(
        live_lesson_by_id(grant.live_lesson_id),
        endpoint=grant.endpoint,
        presentation=grant.presentation,
        kind="http",
    )


def versions_of(ids: Iterable[UUID]) -> tuple[dict[UUID, int], bool]:
    """Return the versions of the livelessons that exist, and whether objectives are checked.

    In one query; the second is False when none of them exists.
    """
    found = LiveLesson.objects.filter(pk__in=list(ids)).annotate(
        checks_on=RawSQL(CHECKS_ARE_ON, [])  # noqa: S611 (a constant)
    )
    rows = list(found.values_list("pk", "version", "checks_on"))
    return {pk: version for pk, version, _ in rows}, any(checks_on for _, _, checks_on in rows)
