"""Every type of event, with the JSON Schema of its data. Later versions only add properties."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EventType:
    """What a type of event says; ``schema`` describes its data."""

    name: str
    description: str
    schema: Mapping[str, object]


_ID = {"type": "string", "format": "uuid"}
_COUNT = {"type": "integer", "minimum": 0}
_PLACE: dict[str, object] = {
    "livelesson": _ID,
    "session": _ID,
    "lesson": {"type": "string", "description": "The lesson's slug."},
    "stage": {**_COUNT, "description": "Counts from 0."},
    "environment": {
        "type": "integer",
        "minimum": 1,
        "description": "Grows with every fresh environment of the livelesson.",
    },
}


def _schema(properties: Mapping[str, object]) -> dict[str, object]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
    }


OBJECTIVE_PASSED = EventType(
    "objective.passed",
    "An objective was reached; one that was lost again may be reached again.",
    _schema(
        {
            **_PLACE,
            "objective": {"type": "string", "description": "The objective's slug."},
            "optional": {"type": "boolean", "description": "It does not count for the stage."},
            "attempts": {
                "type": "integer",
                "minimum": 1,
                "description": "Checks that passed or failed, this one included.",
            },
        }
    ),
)
STAGE_COMPLETED = EventType(
    "stage.completed",
    "All objectives of a stage that count were passed for the first time.",
    _schema(
        {
            **_PLACE,
            "objectives": {**_COUNT, "description": "How many of them there are."},
        }
    ),
)

CATALOGUE: Mapping[str, EventType] = {
    kind.name: kind for kind in (OBJECTIVE_PASSED, STAGE_COMPLETED)
}
