"""``/exp``: asking whether a stage is done, as an older front end does with a button.

The answer is that of the objectives, which are checked all the time; asking has them checked now.
"""

from django.http import HttpRequest, HttpResponse

from lessons.specs import ObjectiveDict, complete_message_of, counting, stage_objectives
from livelessons.check_limits import limit_checks
from livelessons.errors import ChecksOff, LiveLessonNotFound
from livelessons.exp.endpoints import answer, exp_endpoint
from livelessons.exp.entities import live_lesson_status
from livelessons.exp.errors import invalid
from livelessons.exp.ids import live_lesson_id_of
from livelessons.models import LiveLesson, LiveObjective
from livelessons.selectors import checks_on_of, live_lesson_with_objectives, objectives_of
from livelessons.services import touch_if_stale
from livelessons.services.openings import objectives_ask
from livelessons.states import ObjectiveState, State
from syringe_project.json_bodies import json_bytes

_DONE = "Well done: every objective of this stage is reached."
_CHECKING = "Checking ..."
_BROKEN = "A check of this lesson does not work, which is not your fault."
_ELSEWHERE = "The lesson is no longer at this stage."


@exp_endpoint("POST")
def verification_request(request: HttpRequest, live_lesson_id: str) -> HttpResponse:
    """Have the stage's objectives checked now; return where to ask what came of it."""
    live_lesson = live_lesson_with_objectives(live_lesson_id_of(live_lesson_id))
    live_lesson_status(live_lesson)
    definitions = stage_objectives(live_lesson.spec, live_lesson.stage)
    if not definitions:
        raise invalid("This stage has no objectives")
    limit_checks(request, key=live_lesson_id)
    objectives_ask(
        live_lesson=live_lesson, slugs=[definition["slug"] for definition in definitions]
    )
    touch_if_stale(live_lesson)
    return answer(json_bytes({"id": f"{live_lesson_id}-{live_lesson.stage}"}))


@exp_endpoint("GET")
def verification_one(request: HttpRequest, verification_id: str) -> HttpResponse:
    live_lesson_id, _, stage = verification_id.partition("-")
    live_lesson = live_lesson_with_objectives(live_lesson_id_of(live_lesson_id))
    live_lesson_status(live_lesson)
    if not stage.isdecimal() or not stage.isascii():
        raise LiveLessonNotFound
    if stage != str(live_lesson.stage):
        return _verification(message=_ELSEWHERE)
    return _found(live_lesson)


def _found(live_lesson: LiveLesson) -> HttpResponse:
    found = objectives_of(live_lesson)
    passed = {slug for slug, row in found.items() if row.state == ObjectiveState.PASSED}
    open_ones = [
        (definition, found[definition["slug"]])
        for definition in counting(stage_objectives(live_lesson.spec, live_lesson.stage))
        if definition["slug"] not in passed
    ]
    if not open_ones:
        message = complete_message_of(live_lesson.spec, live_lesson.stage) or _DONE
        return _verification(success=True, message=message)
    if not checks_on_of(live_lesson):
        return _verification(message=ChecksOff.template)
    if any(_is_awaited(definition, row, passed) for definition, row in open_ones):
        return _verification(working=live_lesson.state == State.READY, message=_CHECKING)
    definition, row = open_ones[0]
    if row.state == ObjectiveState.ERROR:
        return _verification(message=_BROKEN)
    return _verification(message=row.shown_message or definition["description"])


def _is_awaited(definition: ObjectiveDict, row: LiveObjective, passed: set[str]) -> bool:
    """Say whether a check that was asked for, or a first one, has yet to end."""
    if row.is_unanswered:
        return row.wishes > row.answered
    if row.state == ObjectiveState.WAITING:
        return passed.issuperset(definition["needs"])
    return row.state == ObjectiveState.CHECKING or row.wishes > row.answered


def _verification(
    *, working: bool = False, success: bool = False, message: str = ""
) -> HttpResponse:
    return answer(json_bytes({"working": working, "success": success, "message": message}))
