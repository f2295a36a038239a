"""READY livelessons with objectives, all on one SSH server; runs inside a stack."""

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from lessons.models import Bundle, CurrentLesson, Lesson
from livelessons.models import LiveEndpoint, LiveLesson, LiveSession
from livelessons.services.openings import objectives_create, objectives_open
from livelessons.session_secrets import new_secret, secret_digest
from livelessons.states import State
from scheduler.environments import access_password, environment_ref
from tests.conftest import endpoint_dict, objective_dict, stage_dict

SLUG = "checked"


def make(*, number: int, port: int, scripts: list[str], pages: int) -> list[dict[str, Any]]:
    """Make so many livelessons; return of each the id, its endpoint's home, and who may see it.

    Each has an objective for every script, and so many pages that never answer. That somebody was
    there just now is written for all of them.
    """
    lesson = _lesson(scripts, pages)
    now = timezone.now()
    made = []
    with transaction.atomic():
        secrets = [new_secret() for _ in range(number)]
        for secret in secrets:
            session = LiveSession.objects.create(
                secret_sha256=secret_digest(secret),
                source_address="192.0.2.1",
                last_seen_at=now,
            )
            live_lesson = LiveLesson.objects.create(
                session=session,
                lesson=lesson,
                slug=lesson.slug,
                spec=lesson.spec,
                backend="fake",
                state=State.READY,
                observed_generation=1,
                state_since=now,
                created_at=now,
                ready_at=now,
                last_active_at=now + timedelta(hours=1),
                expires_at=now + timedelta(hours=6),
            )
            LiveEndpoint.objects.create(
                live_lesson=live_lesson,
                position=0,
                name="linux1",
                phase="running",
                host="127.0.0.1",
                ports={"22": port},
                attempt=live_lesson.attempt,
                reachable=True,
            )
            objectives_create(live_lesson=live_lesson)
            made.append(live_lesson)
        objectives_open(live_lessons=made)
    return [
        {"id": str(row.pk), "home": access_password(environment_ref(row)), "secret": secret}
        for row, secret in zip(made, secrets, strict=True)
    ]


def _lesson(scripts: list[str], pages: int) -> Lesson:
    usual = {"endpoint": "linux1", "timeout_seconds": 10, "interval_seconds": 2}
    page = {"kind": "http", "port": 22, "path": "/", "status": 200, "body": "", "json": None}
    checks = [{"kind": "run", "script": script} for script in scripts] + [page] * pages
    objectives = [
        objective_dict(f"objective-{place}", check={**usual, **check})
        for place, check in enumerate(checks)
    ]
    bundle, _ = Bundle.objects.get_or_create(sha256="0" * 64, defaults={"content": b"", "size": 0})
    lesson = Lesson.objects.create(
        slug=SLUG,
        digest="0" * 64,
        bundle=bundle,
        spec={
            "slug": SLUG,
            "digest": "0" * 64,
            "bundle_sha256": bundle.pk,
            "ready_delay_seconds": 0,
            "endpoints": [endpoint_dict()],
            "connections": [],
            "stages": [stage_dict(*objectives)],
        },
        name="Checked",
        tier="prod",
        category="fundamentals",
        file="lessons/checked/lesson.meta.yaml",
    )
    CurrentLesson.objects.create(slug=SLUG, lesson=lesson)
    return lesson
