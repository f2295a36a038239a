"""Filling a stack's database with livelessons as weeks of use leave them; runs inside a stack."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.db import connection
from django.utils import timezone

from lessons.models import CurrentLesson, Lesson
from livelessons.exp.ids import exp_id
from livelessons.models import LiveEndpoint, LiveLesson, LiveLessonChange, LiveSession
from livelessons.session_secrets import new_secret, secret_digest
from livelessons.states import Desired, EndReason, State

_PER_SESSION = 4
_BATCH = 1000
_EVERY_ENDED = 5
_HISTORY = (State.INITIALIZED, State.BOOTING, State.CONFIGURATION, State.READY)


def populate(*, number: int, known: int) -> list[dict[str, Any]]:
    """Make so many livelessons; return up to ``known`` running ones with what opens them.

    One in five has ended, the others are READY; a session has four, each of another lesson. The
    planner's figures are brought up to date, as autovacuum does a little later.
    """
    now = timezone.now()
    lessons = [
        row.lesson for row in CurrentLesson.objects.select_related("lesson").order_by("slug")
    ]
    secrets: dict[object, str] = {}
    rows = _rows(number, lessons, secrets, now)
    shown: list[dict[str, Any]] = []
    while batch := list(islice(rows, _BATCH)):
        sessions = {row.session.pk: row.session for row in batch}
        LiveSession.objects.bulk_create(sessions.values(), ignore_conflicts=True)
        LiveLesson.objects.bulk_create(batch)
        LiveEndpoint.objects.bulk_create(e for row in batch for e in _endpoints(row))
        LiveLessonChange.objects.bulk_create(c for row in batch for c in _history(row))
        shown += [_shown(row, secrets) for row in batch if row.state == State.READY]
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    step = max(1, len(shown) // known)
    return shown[::step][:known]


def _rows(
    number: int, lessons: list[Lesson], secrets: dict[object, str], now: datetime
) -> Iterator[LiveLesson]:
    session = LiveSession()
    for turn in range(number):
        if turn % _PER_SESSION == 0:
            secret = new_secret()
            session = LiveSession(
                secret_sha256=secret_digest(secret),
                source_address=f"10.{turn >> 16 & 255}.{turn >> 8 & 255}.{turn & 255}",
                last_seen_at=now,
            )
            secrets[session.pk] = secret
        lesson = lessons[turn % len(lessons)]
        began = now - timedelta(seconds=turn % 3000)
        ended = turn % _EVERY_ENDED == 0
        yield LiveLesson(
            session=session,
            lesson=lesson,
            slug=lesson.slug,
            spec=lesson.spec,
            backend="fake",
            desired=Desired.GONE if ended else Desired.RUNNING,
            state=State.DELETED if ended else State.READY,
            environment_gone=ended,
            state_since=began,
            observed_generation=1,
            created_at=began,
            ready_at=began,
            # Ahead of now, so that no request of a measurement has to note use.
            last_active_at=now + timedelta(hours=1),
            expires_at=now + timedelta(hours=6),
            ended_at=now if ended else None,
            end_reason=EndReason.LEARNER if ended else "",
            total_tests=len(lesson.spec["endpoints"]),
            healthy_tests=len(lesson.spec["endpoints"]),
            version=5,
        )


def _endpoints(row: LiveLesson) -> Iterator[LiveEndpoint]:
    for position, endpoint in enumerate(row.spec["endpoints"]):
        yield LiveEndpoint(
            live_lesson=row,
            position=position,
            name=endpoint["name"],
            phase="running",
            host="127.0.0.1",
            ports={"22": 40022},
            attempt=1,
            reachable=True,
        )


def _history(row: LiveLesson) -> Iterator[LiveLessonChange]:
    for place, state in enumerate(_HISTORY):
        yield LiveLessonChange(
            live_lesson=row,
            at=row.created_at + timedelta(seconds=place),
            state=state,
            stage=0,
            attempt=1,
        )


def _shown(row: LiveLesson, secrets: dict[object, str]) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "exp_id": exp_id(row.pk),
        "secret": secrets[row.session_id],
        "slug": row.slug,
    }
