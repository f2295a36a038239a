"""A livelesson as ``/api/v1`` and its events show it. No query is made here."""

from collections.abc import Iterable
from datetime import datetime

from lessons.models import Presentation, Stage
from lessons.specs import (
    EndpointDict,
    ObjectiveDict,
    PresentationDict,
    complete_message_of,
    has_guide_endpoint,
    machines,
    stage_objectives,
)
from livelessons.gates import open_stages
from livelessons.hints import revealed_hints
from livelessons.models import LiveEndpoint, LiveLesson, LiveObjective
from livelessons.page_addresses import notebook_path, page_path
from livelessons.selectors import (
    checks_on_of,
    guide_of,
    objective_states_of,
    objectives_of,
    running_action_of,
)
from livelessons.states import ObjectiveState

_TERMINALS = "/terminals/"


def summary(live_lesson: LiveLesson) -> dict[str, object]:
    """Return what lists and the answers to actions show.

    For rows that ``livelessons.selectors`` did not read, ``running_action`` is null and gates wait
    for every objective.
    """
    return {
        "id": str(live_lesson.pk),
        "lesson": live_lesson.slug,
        "state": live_lesson.state,
        "stage": live_lesson.stage,
        "desired": live_lesson.desired,
        "desired_stage": live_lesson.desired_stage,
        "stages": len(live_lesson.spec["stages"]),
        "open_stages": open_stages(
            live_lesson.spec,
            at=live_lesson.stage,
            completed=live_lesson.completed_stages,
            states=objective_states_of(live_lesson),
            checked=checks_on_of(live_lesson),
        ),
        "running_action": running_action_of(live_lesson),
        "reason": {"code": live_lesson.reason_code, "text": live_lesson.reason}
        if live_lesson.reason_code
        else None,
        "attempt": live_lesson.attempt,
        "healthy_tests": live_lesson.healthy_tests,
        "total_tests": live_lesson.total_tests,
        "created_at": time_text(live_lesson.created_at),
        "ready_at": time_text(live_lesson.ready_at),
        "expires_at": time_text(live_lesson.expires_at),
        "ended_at": time_text(live_lesson.ended_at),
        "end_reason": live_lesson.end_reason or None,
        "version": live_lesson.version,
    }


def snapshot(live_lesson: LiveLesson, endpoints: Iterable[LiveEndpoint]) -> dict[str, object]:
    """Return a livelesson whole: with its endpoints, and the guide and objectives of its stage.

    ``live_lesson`` comes from ``livelessons.selectors``, which read all of it along.
    """
    observed = {endpoint.name: endpoint for endpoint in endpoints}
    return summary(live_lesson) | {
        "guide": _guide(live_lesson),
        "objectives": objectives(live_lesson),
        "endpoints": [
            _endpoint(live_lesson, endpoint, observed.get(endpoint["name"]))
            for endpoint in machines(live_lesson.spec)
        ],
    }


def objectives(live_lesson: LiveLesson) -> dict[str, object] | None:
    """Return how it stands with the objectives of the stage it is at; None where it has none."""
    definitions = stage_objectives(live_lesson.spec, live_lesson.stage)
    if not definitions:
        return None
    found = objectives_of(live_lesson)
    rows = [
        (definition, found.get(definition["slug"], LiveObjective())) for definition in definitions
    ]
    counted = [
        row.state == ObjectiveState.PASSED for definition, row in rows if not definition["optional"]
    ]
    complete = bool(counted) and all(counted)
    return {
        "checking": checks_on_of(live_lesson),
        "summary": f"{sum(counted)} of {len(counted)}",
        "complete": complete,
        "complete_message": (complete_message_of(live_lesson.spec, live_lesson.stage) or None)
        if complete
        else None,
        "items": [_objective(definition, row) for definition, row in rows],
    }


def _objective(definition: ObjectiveDict, row: LiveObjective) -> dict[str, object]:
    return {
        "slug": definition["slug"],
        "description": definition["description"],
        "optional": definition["optional"],
        "needs": definition["needs"],
        "state": row.state,
        "message": row.shown_message,
        "attempts": row.attempts,
        "checked_at": time_text(row.checked_at),
        "passed_at": time_text(row.passed_at),
        "hints": revealed_hints(
            definition,
            failures=row.failures,
            opened_at=row.opened_at,
            checked_at=row.checked_at,
        ),
    }


def time_text(value: datetime | None) -> str | None:
    """Return a time as every answer of `/api/v1` writes it: ISO 8601 in UTC."""
    return value.isoformat().replace("+00:00", "Z") if value is not None else None


def _guide(live_lesson: LiveLesson) -> dict[str, object]:
    guide_type = live_lesson.spec["stages"][live_lesson.stage]["guide_type"]
    written = guide_type == Stage.GuideType.MARKDOWN
    # A notebook is shown by its server, where the backend has one.
    served = not written and has_guide_endpoint(live_lesson.spec)
    return {
        "type": guide_type,
        "contents": guide_of(live_lesson) if written else "",
        "path": notebook_path(live_lesson) if served else "",
    }


def _endpoint(
    live_lesson: LiveLesson, endpoint: EndpointDict, observed: LiveEndpoint | None
) -> dict[str, object]:
    if observed is not None and observed.attempt != live_lesson.attempt:
        # What was seen of an environment that has been replaced.
        observed = None
    return {
        "name": endpoint["name"],
        "image": endpoint["image"]["slug"],
        "phase": observed.phase if observed is not None else "",
        "reachable": observed is not None and observed.reachable,
        "presentations": [
            {
                "name": way["name"],
                "type": way["type"],
                "port": way["port"],
                "path": _path(live_lesson, endpoint["name"], way),
            }
            for way in endpoint["presentations"]
        ],
    }


def _path(live_lesson: LiveLesson, endpoint: str, way: PresentationDict) -> str:
    """Return where this is served: a WebSocket of the gateway for a terminal, else a web page."""
    if way["type"] == Presentation.Type.SSH:
        return f"{_TERMINALS}{live_lesson.pk}/{endpoint}/{way['name']}"
    return page_path(live_lesson, endpoint, way["name"])
