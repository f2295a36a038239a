"""Checks of objectives: taken by whoever checks, for a time, and what came of them.

The claim's token and the livelesson itself stand in the condition of every result: one that comes
after the stage, the environment or READY has ended, or when the claim has passed on to another
checker, is dropped.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Prefetch, prefetch_related_objects

from events.catalogue import OBJECTIVE_PASSED, STAGE_COMPLETED
from events.services import publish
from lessons.specs import (
    CheckDict,
    ObjectiveDict,
    counting,
    objective_variable,
    stage_objectives,
)
from livelessons.hints import revealed_hints
from livelessons.models import LiveLesson, LiveObjective
from livelessons.services.openings import (
    NAMES,
    STANDS_STILL,
    live_lesson_show,
    objectives_close_after,
    objectives_open_after,
)
from livelessons.states import ObjectiveState
from livelessons.wakeups import wake

BACK_OFF = 1.5
LONGEST_PAUSE_SECONDS = 60
AWAY_PAUSE_SECONDS = 3600
"""Nobody is there to see a result, and use of the livelesson makes the check due again."""

MESSAGE_LENGTH = 500
DETAIL_LENGTH = 16_000

_LOOKED_AT, _LEAST_LOOKED_AT = 20, 200
"""Rows looked at for each to be taken, so that a livelesson with many hides few of the others."""

# Livelessons that somebody else holds are skipped with their objectives, so this waits for nobody.
_CLAIM = f"""
    WITH due AS MATERIALIZED (
        SELECT id, live_lesson_id, next_check_at, running + row_number() OVER (
            PARTITION BY live_lesson_id ORDER BY next_check_at, position
        ) AS number
        FROM (
            SELECT objective.id, live_lesson_id, next_check_at, position, running
            FROM livelessons_liveobjective AS objective
            JOIN livelessons_livelesson AS livelesson ON livelesson.id = live_lesson_id
            CROSS JOIN LATERAL (
                SELECT count(*) AS running FROM livelessons_liveobjective AS other
                WHERE other.live_lesson_id = livelesson.id
                  AND other.claimed_until > statement_timestamp()
            ) AS others
            WHERE next_check_at <= statement_timestamp()
              AND {STANDS_STILL} AND livelesson.stage = objective.stage
              AND running < %(per_live_lesson)s
            ORDER BY next_check_at
            LIMIT %(looked_at)s
        ) AS oldest
    ), chosen AS MATERIALIZED (
        SELECT objective.id, objective.live_lesson_id, livelesson.attempt,
            objective.state = %(waiting)s AND objective.unanswered_at IS NULL AS is_first
        FROM due
        JOIN livelessons_liveobjective AS objective ON objective.id = due.id
        JOIN livelessons_livelesson AS livelesson ON livelesson.id = due.live_lesson_id
        WHERE objective.next_check_at <= statement_timestamp()
          AND {STANDS_STILL} AND livelesson.stage = objective.stage
          AND due.number <= %(per_live_lesson)s
        ORDER BY due.number, due.next_check_at
        LIMIT %(limit)s
        FOR NO KEY UPDATE OF objective, livelesson SKIP LOCKED
    ), shown AS (
        UPDATE livelessons_livelesson SET version = version + 1
        WHERE id IN (SELECT live_lesson_id FROM chosen WHERE is_first)
    )
    UPDATE livelessons_liveobjective AS objective
    SET claim = gen_random_uuid(),
        claims = objective.claims + 1,
        checker = %(checker)s,
        claimed_until = statement_timestamp() + %(ttl)s
            + make_interval(secs => objective.timeout_seconds),
        next_check_at = statement_timestamp() + %(ttl)s
            + make_interval(secs => objective.timeout_seconds),
        state = CASE WHEN chosen.is_first THEN %(checking)s ELSE objective.state END
    FROM chosen
    WHERE objective.id = chosen.id
    RETURNING objective.*, chosen.attempt AS environment, chosen.is_first
"""
_OURS = "objective.id = %(id)s AND objective.claim = %(claim)s"
_RELEASE = f"""
    UPDATE livelessons_liveobjective AS objective
    SET next_check_at = statement_timestamp() + %(pause)s, claim = NULL, claimed_until = NULL
    WHERE {_OURS}
"""
# Who holds a row is about to change it, so that it need not be waited for.
_KEEP = """
    WITH held AS MATERIALIZED (
        SELECT id FROM livelessons_liveobjective
        WHERE id = ANY(%(ids)s) AND claim = ANY(%(claims)s)
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE livelessons_liveobjective AS objective
    SET claimed_until = GREATEST(objective.claimed_until, statement_timestamp() + %(ttl)s),
        next_check_at = GREATEST(objective.next_check_at, statement_timestamp() + %(ttl)s)
    FROM held WHERE objective.id = held.id
"""
_STANDING = f"""
    SELECT objective.claim FROM livelessons_liveobjective AS objective
    JOIN livelessons_livelesson AS livelesson ON livelesson.id = objective.live_lesson_id
    WHERE objective.id = ANY(%(ids)s) AND objective.claim = ANY(%(claims)s)
      AND {STANDS_STILL} AND livelesson.stage = objective.stage
"""
_HELD = f"""held AS MATERIALIZED (
        SELECT id, last_active_at FROM livelessons_livelesson AS livelesson
        WHERE id = %(live_lesson)s AND {STANDS_STILL}
          AND livelesson.stage = %(stage)s AND livelesson.attempt = %(environment)s
        FOR NO KEY UPDATE
    )"""
# A wish is answered by a check begun after it.
_NEXT = """CASE
            WHEN objective.wishes > %(wishes)s THEN statement_timestamp()
            WHEN held.last_active_at < statement_timestamp() - %(away)s
                THEN statement_timestamp() + make_interval(secs => %(away_pause)s)
            ELSE statement_timestamp() + make_interval(secs => objective.pause_seconds) END"""
_GIVEN_BACK = """pause_seconds = CASE
            WHEN objective.wishes > %(wishes)s THEN objective.interval_seconds
            ELSE LEAST(objective.pause_seconds * %(back_off)s,
                GREATEST(%(longest_pause)s, objective.interval_seconds)) END,
        answered = %(wishes)s,
        claim = NULL,
        claimed_until = NULL"""
# A passed edge objective is checked no more.
_SETTLE = f"""
    WITH {_HELD}
    UPDATE livelessons_liveobjective AS objective
    SET state = CASE WHEN %(outcome)s <> %(passed)s AND objective.wishes > %(wishes)s
            THEN %(checking)s ELSE %(outcome)s END,
        message = %(message)s,
        detail = %(detail)s,
        attempts = objective.attempts + %(attempts)s,
        failures = objective.failures + %(failures)s,
        errors = objective.errors + %(errors)s,
        checked_at = statement_timestamp(),
        unanswered_at = NULL,
        passed_at = CASE WHEN %(outcome)s = %(passed)s
            THEN COALESCE(objective.passed_at, statement_timestamp()) END,
        next_check_at = CASE WHEN %(outcome)s <> %(passed)s OR objective.level THEN {_NEXT} END,
        {_GIVEN_BACK}
    FROM held
    WHERE {_OURS} AND objective.live_lesson_id = held.id
    RETURNING objective.*
"""
_POSTPONE = f"""
    WITH {_HELD}
    UPDATE livelessons_liveobjective AS objective
    SET state = CASE WHEN objective.state = %(checking)s AND objective.wishes <= %(wishes)s
            THEN %(waiting)s ELSE objective.state END,
        detail = %(detail)s,
        unanswered_at = statement_timestamp(),
        next_check_at = {_NEXT},
        {_GIVEN_BACK}
    FROM held
    WHERE {_OURS} AND objective.live_lesson_id = held.id
    RETURNING objective.*
"""
_COMPLETE = """
    UPDATE livelessons_livelesson
    SET completed_stages = array_append(completed_stages, %(stage)s::smallint)
    WHERE id = %(live_lesson)s AND NOT %(stage)s = ANY(completed_stages)
    RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A check that is ours to do until the claim expires, and what is needed for that.

    ``live_lesson`` has ``known_endpoints``, as after ``leases_take``. ``variables`` are what those
    checks printed that this one needs, by the names of their environment variables.
    """

    objective: LiveObjective
    live_lesson: LiveLesson
    definition: ObjectiveDict
    variables: Mapping[str, str]

    @property
    def check(self) -> CheckDict:
        return self.definition["check"]


def objectives_claim(
    *, checker: str, limit: int, per_live_lesson: int, ttl: timedelta
) -> list[Claimed]:
    """Take checks that are due, and return them: of livelessons with the fewest running first.

    Among equals the oldest go first. At most ``limit``, and of one livelesson no more than
    ``per_live_lesson`` at a time, those of other checkers included. A claim holds ``ttl`` longer
    than its check may take, and then the check is due again: nobody has to tidy up after a checker
    that was killed.
    """
    values = {
        **NAMES,
        "checker": checker,
        "limit": limit,
        "looked_at": max(_LEAST_LOOKED_AT, _LOOKED_AT * limit),
        "per_live_lesson": per_live_lesson,
        "ttl": ttl,
    }
    with transaction.atomic():
        rows = list(LiveObjective.objects.raw(_CLAIM, values))
        if shown := {row.live_lesson_id for row in rows if getattr(row, "is_first", False)}:
            wake(*shown)
    return _with_all_that_is_needed(rows)


def objective_release(claimed: Claimed, *, pause: timedelta = timedelta(0)) -> None:
    """Give back a check that was not done; it is due after the pause and counts for nothing."""
    values: dict[str, Any] = {
        "id": claimed.objective.pk,
        "claim": claimed.objective.claim,
        "pause": pause,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, values)


@transaction.atomic
def objective_postpone(claimed: Claimed, *, detail: str) -> bool:
    """Give back a check that could not be made, and try again later; nothing was found out.

    Whoever asked for it has their answer: that nobody can tell. ``detail`` says why, for authors
    and operators. False where it came too late and was dropped.
    """
    for after in LiveObjective.objects.raw(_POSTPONE, _result(claimed, detail)):
        _show_if_news(claimed, after)
        return True
    return False


def claims_keep(claims: Sequence[Claimed], *, ttl: timedelta) -> None:
    """Hold claims for ``ttl`` from now, where that is longer than they are held already."""
    values: dict[str, Any] = {**_names_of(claims), "ttl": ttl}
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, values)


def claims_standing(claims: Sequence[Claimed]) -> set[UUID]:
    """Return the tokens of those claims whose results are still wanted."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, {**NAMES, **_names_of(claims)})
        return {row[0] for row in cursor.fetchall()}


def _names_of(claims: Sequence[Claimed]) -> dict[str, Any]:
    return {
        "ids": [claimed.objective.pk for claimed in claims],
        "claims": [claimed.objective.claim for claimed in claims],
    }


def objective_passed(claimed: Claimed, *, message: str, detail: str = "") -> bool:
    """Write that a check passed; False where the result came too late and was dropped.

    ``message`` is what it printed last, for the learner and for the checks that need it;
    ``detail`` is all of it, for authors. The events follow in the same transaction.
    """
    return _settle(claimed, ObjectiveState.PASSED, message, detail)


def objective_failed(claimed: Claimed, *, message: str, detail: str = "") -> bool:
    """Write that what a check looked for is not so (yet); otherwise as ``objective_passed``."""
    return _settle(claimed, ObjectiveState.FAILED, message, detail)


def objective_broken(claimed: Claimed, *, detail: str) -> bool:
    """Write that a check itself did not work; otherwise as ``objective_passed``.

    It is never counted against the learner: what was passed stays so.
    """
    before = claimed.objective
    if before.passed_at is not None:
        return _settle(claimed, ObjectiveState.PASSED, before.message, detail, broken=True)
    return _settle(claimed, ObjectiveState.ERROR, "", detail, broken=True)


@transaction.atomic
def _settle(
    claimed: Claimed, outcome: ObjectiveState, message: str, detail: str, *, broken: bool = False
) -> bool:
    before, live_lesson = claimed.objective, claimed.live_lesson
    values = {
        **_result(claimed, detail),
        "outcome": outcome,
        "message": message.replace("\0", "")[:MESSAGE_LENGTH],
        "attempts": 0 if broken else 1,
        "failures": 1 if outcome == ObjectiveState.FAILED else 0,
        "errors": 1 if broken else 0,
    }
    for after in LiveObjective.objects.raw(_SETTLE, values):
        if after.passed_at is not None and before.passed_at is None:
            _announce_pass(claimed, after)
        elif before.passed_at is not None and after.passed_at is None:
            objectives_close_after(live_lesson=live_lesson, slug=before.slug)
        _show_if_news(claimed, after)
        return True
    return False


def _result(claimed: Claimed, detail: str) -> dict[str, Any]:
    """Return what every statement is told that ends a claim."""
    objective, live_lesson = claimed.objective, claimed.live_lesson
    return {
        **NAMES,
        "id": objective.pk,
        "claim": objective.claim,
        "live_lesson": live_lesson.pk,
        "stage": objective.stage,
        "environment": live_lesson.attempt,
        # PostgreSQL's text has no place for NUL.
        "detail": detail.replace("\0", "")[-DETAIL_LENGTH:],
        "wishes": objective.wishes,
        "away": timedelta(seconds=settings.SYRINGE_AWAY_SECONDS),
        "away_pause": AWAY_PAUSE_SECONDS,
        "back_off": BACK_OFF,
        "longest_pause": LONGEST_PAUSE_SECONDS,
    }


def _announce_pass(claimed: Claimed, objective: LiveObjective) -> None:
    """Let events, the stage and what needs this objective follow; the livelesson is held."""
    live_lesson, stage = claimed.live_lesson, objective.stage
    place = {
        "livelesson": str(live_lesson.pk),
        "session": str(live_lesson.session_id),
        "lesson": live_lesson.slug,
        "stage": stage,
        "environment": live_lesson.attempt,
    }
    subject = f"livelessons/{live_lesson.pk}"
    publish(
        kind=OBJECTIVE_PASSED,
        subject=subject,
        data={
            **place,
            "objective": objective.slug,
            "optional": claimed.definition["optional"],
            "attempts": objective.attempts,
        },
    )
    definitions = stage_objectives(live_lesson.spec, stage)
    wanted = {definition["slug"] for definition in counting(definitions)}
    # Only now, with the livelesson in hand, is it seen what others passed at the same time.
    passed = LiveObjective.objects.filter(
        live_lesson=live_lesson, stage=stage, state=ObjectiveState.PASSED
    ).values_list("slug", flat=True)
    if objective.slug in wanted and wanted <= set(passed) and _complete(live_lesson, stage):
        publish(kind=STAGE_COMPLETED, subject=subject, data={**place, "objectives": len(wanted)})
    if any(objective.slug in definition["needs"] for definition in definitions):
        objectives_open_after(live_lesson=live_lesson, slug=objective.slug)


def _complete(live_lesson: LiveLesson, stage: int) -> bool:
    """Note that a stage is completed; say whether it was not before."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE, {"live_lesson": live_lesson.pk, "stage": stage})
        return cursor.fetchone() is not None


def _show_if_news(claimed: Claimed, after: LiveObjective) -> None:
    """Tell whoever watches if a check changed what is seen; the livelesson is held."""
    if _what_is_seen(claimed, claimed.objective) != _what_is_seen(claimed, after):
        live_lesson_show(live_lesson_id=claimed.live_lesson.pk)


def _what_is_seen(claimed: Claimed, objective: LiveObjective) -> tuple[str, str, list[str]]:
    hints = revealed_hints(
        claimed.definition,
        failures=objective.failures,
        opened_at=objective.opened_at,
        checked_at=objective.checked_at,
    )
    return objective.state, objective.shown_message, hints


def _with_all_that_is_needed(rows: Sequence[LiveObjective]) -> list[Claimed]:
    """Read along what the checks are about; leave out those whose place has just changed."""
    if not rows:
        return []
    ids = {row.live_lesson_id for row in rows}
    live_lessons = LiveLesson.objects.in_bulk(ids)
    prefetch_related_objects(
        list(live_lessons.values()), Prefetch("endpoints", to_attr="known_endpoints")
    )
    needing = [row for row in rows if row.needs]
    printed = _printed_in({row.live_lesson_id for row in needing}) if needing else {}
    claimed = []
    for row in rows:
        live_lesson = live_lessons.get(row.live_lesson_id)
        if live_lesson is None or live_lesson.attempt != getattr(row, "environment", None):
            continue
        values = printed.get((live_lesson.pk, row.stage), {})
        for definition in stage_objectives(live_lesson.spec, row.stage):
            if definition["slug"] == row.slug:
                variables = {objective_variable(slug): values.get(slug, "") for slug in row.needs}
                claimed.append(Claimed(row, live_lesson, definition, variables))
    return claimed


def _printed_in(live_lesson_ids: set[UUID]) -> Mapping[tuple[UUID, int], Mapping[str, str]]:
    """Return what the checks of passed objectives printed, by livelesson and stage."""
    printed: dict[tuple[UUID, int], dict[str, str]] = defaultdict(dict)
    rows = LiveObjective.objects.filter(
        live_lesson__in=live_lesson_ids,
        stage=F("live_lesson__stage"),
        state=ObjectiveState.PASSED,
    )
    for live_lesson_id, stage, slug, message in rows.values_list(
        "live_lesson_id", "stage", "slug", "message"
    ):
        printed[live_lesson_id, stage][slug] = message
    return printed
