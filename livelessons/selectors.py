"""Reading sessions and livelessons, one query each.

The queries of livelessons are written out, because the ORM takes five times as long to write them
as PostgreSQL to answer. Rows carry ``running_action`` and, where it is shown, ``guide`` along.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import prefetch_related_objects

from lessons.models import Lesson
from livelessons.errors import LiveLessonNotFound, SessionNotFound
from livelessons.models import LiveEndpoint, LiveLesson, LiveObjective, LiveSession
from livelessons.session_secrets import secret_digest
from livelessons.states import LIVE, Desired

CHECKER_LIVES_SECONDS = 15
CHECKS_ARE_ON = f"""EXISTS (
    SELECT FROM livelessons_checker
    WHERE seen_at BETWEEN statement_timestamp() - interval '{CHECKER_LIVES_SECONDS} seconds'
        AND statement_timestamp() + interval '{CHECKER_LIVES_SECONDS} seconds'
)"""
"""Whether anybody checks objectives, in SQL; a clock that was set back keeps no dead one alive."""

LISTED = 100
"""How many livelessons of a session are listed: those that ended are kept for weeks."""

_GUIDE = """(
    SELECT guide FROM lessons_stage AS stage
    WHERE stage.lesson_id = livelesson.lesson_id AND stage.position = livelesson.stage
) AS guide"""
_ACTION = """(
    SELECT action FROM livelessons_livelessonlock AS lock
    WHERE lock.live_lesson_id = livelesson.id AND lock.expires_at > statement_timestamp()
) AS running_action"""
_OBSERVED = """(
    SELECT jsonb_agg(to_jsonb(endpoint) - 'live_lesson_id' ORDER BY endpoint.position)
    FROM livelessons_liveendpoint AS endpoint WHERE endpoint.live_lesson_id = livelesson.id
) AS observed"""
_GATES = f"""(
    SELECT jsonb_object_agg(objective.slug, objective.state)
    FROM livelessons_liveobjective AS objective
    WHERE objective.live_lesson_id = livelesson.id AND objective.stage = livelesson.stage
) AS objective_states, {CHECKS_ARE_ON} AS checks_on"""
_OBJECTIVES = f"""(
    SELECT jsonb_agg(jsonb_build_object(
        'slug', objective.slug, 'state', objective.state, 'message', objective.message,
        'attempts', objective.attempts, 'failures', objective.failures,
        'opened_at', objective.opened_at, 'checked_at', objective.checked_at,
        'passed_at', objective.passed_at, 'unanswered_at', objective.unanswered_at,
        'wishes', objective.wishes, 'answered', objective.answered
    ))
    FROM livelessons_liveobjective AS objective
    WHERE objective.live_lesson_id = livelesson.id AND objective.stage = livelesson.stage
) AS objectives_found, {_GATES}"""
_TABLE = "FROM livelessons_livelesson AS livelesson"
_HELD_BY = f"""{_TABLE}
JOIN livelessons_livesession AS session ON session.id = livelesson.session_id
WHERE session.secret_sha256 = %s"""

_BY_ID = f"SELECT livelesson.*, {_GUIDE}, {_ACTION} {_TABLE} WHERE livelesson.id = %s"
_BY_IDS = f"""SELECT livelesson.*, {_GUIDE}, {_ACTION}, {_OBJECTIVES} {_TABLE}
WHERE livelesson.id = ANY(%s)"""
_HELD = f"""SELECT livelesson.*, {_GUIDE}, {_ACTION}, {_GATES} {_HELD_BY}
AND livelesson.id = %s"""
_WHOLE = f"""SELECT livelesson.*, {_GUIDE}, {_ACTION}, {_OBSERVED}, {_OBJECTIVES} {_HELD_BY}
AND livelesson.id = %s"""
_WITH_OBJECTIVES = (
    f"SELECT livelesson.*, {_ACTION}, {_OBJECTIVES} {_TABLE} WHERE livelesson.id = %s"
)
_ALL_HELD = f"""SELECT livelesson.*, {_ACTION}, {_GATES} {_HELD_BY}
ORDER BY livelesson.created_at DESC LIMIT {LISTED}"""
_IS_RUNNING = "livelesson.slug = %s AND livelesson.state = ANY(%s) AND livelesson.desired = %s"
_RUNNING = f"SELECT livelesson.*, {_ACTION}, {_GATES} {_HELD_BY} AND {_IS_RUNNING}"
_WANTED = f"SELECT livelesson.*, {_ACTION} {_TABLE} WHERE session_id = %s AND {_IS_RUNNING}"


def session_by_secret(secret: str) -> LiveSession:
    """Return the session with this secret; raise SessionNotFound."""
    session = LiveSession.objects.filter(secret_sha256=secret_digest(secret)).first()
    if session is None:
        raise SessionNotFound
    return session


def live_lesson_by_id(live_lesson_id: UUID) -> LiveLesson:
    """Return a livelesson whose id is known to be shown by its holder; or LiveLessonNotFound."""
    return _one(_BY_ID, [live_lesson_id])


def live_lessons_by_id(live_lesson_ids: Iterable[UUID]) -> Mapping[UUID, LiveLesson]:
    """Return those that exist, their endpoints read ahead: two queries, however many."""
    rows = list(LiveLesson.objects.raw(_BY_IDS, [list(live_lesson_ids)]))
    prefetch_related_objects(rows, "endpoints")
    return {row.pk: row for row in rows}


def live_lesson_held(*, secret: str, live_lesson_id: UUID) -> LiveLesson:
    """Return the caller's own livelesson; raise LiveLessonNotFound for anything else."""
    return _one(_HELD, [secret_digest(secret), live_lesson_id])


def live_lessons_held(*, secret: str) -> list[LiveLesson]:
    """Return the caller's newest livelessons, ended ones included, without their guides."""
    return list(LiveLesson.objects.raw(_ALL_HELD, [secret_digest(secret)]))


def live_lesson_running(*, secret: str, slug: str, stage: int | None) -> LiveLesson | None:
    """Return the session's running livelesson of a lesson, if it is wished at this stage.

    What most requests for a lesson ask for, without a transaction; ``stage`` None means
    whichever it is at.
    """
    parameters = [secret_digest(secret), slug, sorted(LIVE), Desired.RUNNING.value]
    for live_lesson in LiveLesson.objects.raw(_RUNNING, parameters):
        if stage is None or live_lesson.desired_stage == stage:
            return live_lesson
    return None


def wanted_live_lesson(*, session: LiveSession, slug: str) -> LiveLesson | None:
    """Return the session's running livelesson of this lesson, without its guide."""
    rows = LiveLesson.objects.raw(_WANTED, [session.pk, slug, sorted(LIVE), Desired.RUNNING.value])
    return next(iter(rows), None)


def live_lesson_whole(
    *, secret: str, live_lesson_id: UUID
) -> tuple[LiveLesson, list[LiveEndpoint]]:
    """Return the caller's own livelesson with its endpoints; or LiveLessonNotFound."""
    live_lesson = _one(_WHOLE, [secret_digest(secret), live_lesson_id])
    observed = json.loads(getattr(live_lesson, "observed", None) or "[]")
    return live_lesson, [LiveEndpoint(live_lesson=live_lesson, **columns) for columns in observed]


def live_lesson_with_objectives(live_lesson_id: UUID) -> LiveLesson:
    """Return a livelesson whose id is known to be shown by its holder; or LiveLessonNotFound."""
    return _one(_WITH_OBJECTIVES, [live_lesson_id])


def checks_are_on() -> bool:
    """Say whether anybody checks objectives."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {CHECKS_ARE_ON}")
        row = cursor.fetchone()
    return bool(row and row[0])


def objective_states(live_lesson: LiveLesson, *, stage: int) -> dict[str, str]:
    """Return the states of a stage's objectives, by slug."""
    return dict(live_lesson.objectives.filter(stage=stage).values_list("slug", "state"))


def completed_before(*, session: LiveSession, lesson: Lesson) -> list[int]:
    """Return the stages that the session had completed when it last had this very lesson."""
    rows = LiveLesson.objects.filter(session=session, lesson=lesson).order_by("-created_at")
    return rows.values_list("completed_stages", flat=True).first() or []


def live_endpoints(live_lesson: LiveLesson) -> list[LiveEndpoint]:
    """Return a livelesson's endpoints in the order of the lesson file."""
    return list(live_lesson.endpoints.all())


def _one(query: str, parameters: list[object]) -> LiveLesson:
    for live_lesson in LiveLesson.objects.raw(query, parameters):
        return live_lesson
    raise LiveLessonNotFound


def guide_of(live_lesson: LiveLesson) -> str:
    """Return the guide of the stage, read along with the row."""
    return getattr(live_lesson, "guide", None) or ""


def running_action_of(live_lesson: LiveLesson) -> str | None:
    """Return the action that runs, read along with the row."""
    return getattr(live_lesson, "running_action", None)


def objectives_of(live_lesson: LiveLesson) -> Mapping[str, LiveObjective]:
    """Return by their slugs how it stands with the stage's objectives, read along with the row."""
    rows = json.loads(getattr(live_lesson, "objectives_found", None) or "[]")
    return {
        row["slug"]: LiveObjective(
            live_lesson=live_lesson,
            stage=live_lesson.stage,
            **{
                name: _time(value) if name.endswith("_at") else value for name, value in row.items()
            },
        )
        for row in rows
    }


def objective_states_of(live_lesson: LiveLesson) -> Mapping[str, str]:
    """Return the states of the present stage's objectives by slug, read along with the row."""
    states: dict[str, str] = json.loads(getattr(live_lesson, "objective_states", None) or "{}")
    return states


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def checks_on_of(live_lesson: LiveLesson) -> bool:
    """Say whether anybody checked objectives when the row was read."""
    return bool(getattr(live_lesson, "checks_on", True))


def checks_tag(live_lesson: LiveLesson) -> str:
    """Return what tells answers apart whose version is the same; "" for most lessons.

    A check that finds the same as before is no news, but it is counted.
    """
    if not any(stage.get("objectives") for stage in live_lesson.spec["stages"]):
        return ""
    rows = objectives_of(live_lesson)
    checks = sum(row.attempts for row in rows.values())
    return f"-{checks}{'+' if checks_on_of(live_lesson) else '-'}"
