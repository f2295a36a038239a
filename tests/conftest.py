"""Factories that every test may use. Each makes a row that is valid as it stands."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.conf import settings
from django.utils import timezone
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from lessons.models import Bundle, CurrentLesson, Endpoint, Lesson, Presentation, Stage
from livelessons.models import LiveEndpoint, LiveLesson, LiveSession
from livelessons.services.openings import objectives_create
from livelessons.session_secrets import new_secret, secret_digest
from livelessons.states import State
from tests.databases import template_of_run

_numbers = itertools.count(1)

# No files left behind, and no deadline on a machine that others use as well.
hypothesis_settings.register_profile(
    "syringe",
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
hypothesis_settings.load_profile("syringe")


def pytest_configure(config: pytest.Config) -> None:
    """Have all workers of pytest-xdist, which are not started yet, use one template."""
    template = contextlib.ExitStack()
    template.enter_context(template_of_run(os.environ["SYRINGE_DATABASE_URL"]))
    config.add_cleanup(template.close)


@pytest.fixture(scope="session", autouse=True)
def _clean_machine() -> Iterator[None]:
    """Leave nothing behind: neither keys in Redis nor a run folder."""
    yield
    shutil.rmtree(settings.SYRINGE_INSTANCE_FOLDER.parent, ignore_errors=True)
    client = redis.Redis.from_url(settings.SYRINGE_REDIS_URL)
    for key in client.scan_iter(match=f"{settings.SYRINGE_INSTANCE}:*"):
        client.delete(key)
    client.close()


def endpoint_dict(name: str = "linux1", **changes: Any) -> dict[str, Any]:
    """Return an endpoint as ``lessons.specs`` has it: a shell on port 22."""
    return {
        "name": name,
        "configuration_type": "",
        "additional_ports": [],
        "image": {
            "slug": "utility",
            "flavor": "untrusted",
            "enable_forwarding": False,
            "network_interfaces": [],
            "ssh_user": "antidote",
            "ssh_password": "antidotepassword",
            "config_user": "antidote",
            "config_password": "antidotepassword",
        },
        "presentations": [{"name": "cli", "port": 22, "type": "ssh"}],
        **changes,
    }


def objective_dict(slug: str = "make-notes", **changes: Any) -> dict[str, Any]:
    """Return an objective as ``lessons.specs`` has it: a script on linux1."""
    return {
        "slug": slug,
        "description": f"Do {slug}",
        "optional": False,
        "mode": "edge",
        "needs": [],
        "hints": [],
        "check": {
            "kind": "run",
            "endpoint": "linux1",
            "timeout_seconds": 10,
            "interval_seconds": 2,
            "script": "true",
        },
        **changes,
    }


def stage_dict(*objectives: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a stage with these objectives."""
    return {
        "guide_type": "markdown",
        "configurations": {},
        "objectives": list(objectives),
        **changes,
    }


@pytest.fixture
def make_lesson(db: None) -> Callable[..., Lesson]:
    """Return a factory of current lessons; ``stages`` is their number or their dicts."""

    def make(
        slug: str | None = None,
        *,
        stages: int | list[dict[str, Any]] = 1,
        endpoints: list[dict[str, Any]] | None = None,
        connections: list[dict[str, str]] | None = None,
        ready_delay_seconds: int = 0,
        **fields: Any,
    ) -> Lesson:
        number = next(_numbers)
        slug = slug or f"lesson-{number}"
        digest = f"{number:064x}"
        if isinstance(stages, int):
            stages = [{"guide_type": "markdown", "configurations": {}} for _ in range(stages)]
        endpoints = [endpoint_dict()] if endpoints is None else endpoints
        bundle, _ = Bundle.objects.get_or_create(
            sha256="0" * 64, defaults={"content": b"", "size": 0}
        )
        lesson = Lesson.objects.create(
            slug=slug,
            digest=digest,
            bundle=bundle,
            spec={
                "slug": slug,
                "digest": digest,
                "bundle_sha256": bundle.pk,
                "ready_delay_seconds": ready_delay_seconds,
                "endpoints": endpoints,
                "connections": connections or [],
                "stages": stages,
            },
            ready_delay_seconds=ready_delay_seconds,
            **{
                "name": slug.replace("-", " ").capitalize(),
                "tier": "prod",
                "category": "fundamentals",
                "file": f"lessons/{slug}/lesson.meta.yaml",
                **fields,
            },
        )
        for position, stage in enumerate(stages):
            Stage.objects.create(
                lesson=lesson,
                position=position,
                description=f"Stage {position}",
                guide_type=stage["guide_type"],
                guide=f"# Guide of stage {position}",
            )
        for position, endpoint in enumerate(endpoints):
            row = Endpoint.objects.create(
                lesson=lesson,
                position=position,
                name=endpoint["name"],
                image=endpoint["image"]["slug"],
                configuration_type=endpoint["configuration_type"],
                additional_ports=endpoint["additional_ports"],
            )
            for place, presentation in enumerate(endpoint["presentations"]):
                Presentation.objects.create(endpoint=row, position=place, **presentation)
        CurrentLesson.objects.update_or_create(slug=slug, defaults={"lesson": lesson})
        return lesson

    return make


@pytest.fixture
def make_session(db: None) -> Callable[..., LiveSession]:
    """Return a factory of sessions; the secret is on the row as ``secret``, for tests only."""

    def make(**fields: Any) -> LiveSession:
        secret = new_secret()
        session = LiveSession.objects.create(
            secret_sha256=secret_digest(secret),
            **{"source_address": "192.0.2.1", "last_seen_at": timezone.now(), **fields},
        )
        session.secret = secret  # type: ignore[attr-defined]
        return session

    return make


@pytest.fixture
def make_live_lesson(
    make_lesson: Callable[..., Lesson], make_session: Callable[..., LiveSession]
) -> Callable[..., LiveLesson]:
    """Return a factory of livelessons in any state."""

    def make(
        *,
        state: State = State.INITIALIZED,
        lesson: Lesson | None = None,
        session: LiveSession | None = None,
        **fields: Any,
    ) -> LiveLesson:
        lesson = lesson or make_lesson()
        now = timezone.now()
        live_lesson = LiveLesson.objects.create(
            session=session or make_session(),
            lesson=lesson,
            slug=lesson.slug,
            spec=lesson.spec,
            state=state,
            **{
                "backend": "fake",
                "state_since": now,
                "created_at": now,
                "last_active_at": now,
                "expires_at": now + timedelta(hours=6),
                "next_look_at": now,
                "total_tests": sum(len(e["presentations"]) for e in lesson.spec["endpoints"]),
                **fields,
            },
        )
        for position, endpoint in enumerate(lesson.spec["endpoints"]):
            LiveEndpoint.objects.create(
                live_lesson=live_lesson, position=position, name=endpoint["name"]
            )
        objectives_create(live_lesson=live_lesson)
        return live_lesson

    return make
