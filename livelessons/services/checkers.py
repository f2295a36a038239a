"""Who checks objectives, and what becomes of their times when the database's clock is set back."""

from datetime import datetime, timedelta
from typing import Any, cast

from django.db import connection

from livelessons.models import Checker

FORGOTTEN_SECONDS = 3600

_BEAT = """
    WITH forgotten AS (
        DELETE FROM livelessons_checker
        WHERE abs(extract(epoch FROM statement_timestamp() - seen_at)) > %(forgotten)s
          AND name <> %(name)s
    )
    INSERT INTO livelessons_checker (name, seen_at) VALUES (%(name)s, statement_timestamp())
    ON CONFLICT (name) DO UPDATE SET seen_at = EXCLUDED.seen_at
    RETURNING seen_at
"""
_NOT_AHEAD = """CASE WHEN objective.{time} > statement_timestamp()
            THEN statement_timestamp() ELSE objective.{time} END"""
# Times of the past that lie ahead were written by a clock that has been set back, and a claim
# never lasts longer than one that is made now. Who holds a row is about to write it by the new
# clock, so that it need not be waited for.
_FOLLOW_CLOCK = f"""
    WITH ahead AS MATERIALIZED (
        SELECT id, statement_timestamp() + %(ttl)s
            + make_interval(secs => timeout_seconds) AS latest_claim
        FROM livelessons_liveobjective
        WHERE next_check_at IS NOT NULL
          AND (GREATEST(opened_at, checked_at, unanswered_at) > statement_timestamp()
               OR claimed_until > statement_timestamp() + %(ttl)s
                   + make_interval(secs => timeout_seconds))
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE livelessons_liveobjective AS objective
    SET next_check_at = LEAST(objective.next_check_at, CASE
            WHEN objective.claim IS NULL
                THEN statement_timestamp() + make_interval(secs => objective.pause_seconds)
            ELSE ahead.latest_claim END),
        claimed_until = CASE WHEN objective.claim IS NOT NULL
            THEN LEAST(objective.claimed_until, ahead.latest_claim) END,
        opened_at = {_NOT_AHEAD.format(time="opened_at")},
        checked_at = {_NOT_AHEAD.format(time="checked_at")},
        unanswered_at = {_NOT_AHEAD.format(time="unanswered_at")}
    FROM ahead WHERE objective.id = ahead.id
"""


def checker_beat(*, name: str) -> datetime:
    """Say that a checker lives, every few seconds; those that died long ago are forgotten.

    Returns the database's time.
    """
    with connection.cursor() as cursor:
        cursor.execute(_BEAT, {"name": name, "forgotten": FORGOTTEN_SECONDS})
        ((now,),) = cursor.fetchall()
    return cast("datetime", now)


def checker_leave(*, name: str) -> None:
    """Say that a checker ends."""
    Checker.objects.filter(name=name).delete()


def checks_follow_clock(*, ttl: timedelta) -> None:
    """Bring checks near again that a clock, which has been set back, carried far ahead.

    It looks at everything that is open, so it is for when that happened or may have. ``ttl`` is
    as in ``objectives_claim``.
    """
    values: dict[str, Any] = {"ttl": ttl}
    with connection.cursor() as cursor:
        cursor.execute(_FOLLOW_CLOCK, values)
