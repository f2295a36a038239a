"""A learner of a stack whose processes die: asks over HTTP, looks into the database."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import httpx
import psycopg2

from tests import databases
from tests.stack import Stack
from tests.waiting import PATIENCE, wait_until

LESSON = "chaos"
ENDED = {"FAILED", "DELETED"}

_MAKE_LESSON = f"""
import django
django.setup()
from lessons.models import Bundle, CurrentLesson, Curriculum, Lesson
from django.utils import timezone
bundle = Bundle.objects.create(sha256="0" * 64, content=b"", size=0)
image = dict(slug="utility", flavor="untrusted", enable_forwarding=False, network_interfaces=[],
             ssh_user="a", ssh_password="b", config_user="a", config_password="b")
stage = dict(guide_type="markdown", configurations={{"linux1": "stage0/configs/linux1.py"}})
spec = dict(slug="{LESSON}", digest="1" * 64, bundle_sha256=bundle.pk, ready_delay_seconds=0,
            connections=[], stages=[stage, stage],
            endpoints=[dict(name="linux1", configuration_type="python", additional_ports=[],
                            image=image,
                            presentations=[dict(name="cli", port=22, type="ssh")])])
lesson = Lesson.objects.create(slug="{LESSON}", digest="1" * 64, bundle=bundle, name="Chaos",
                               tier="prod", spec=spec, file="lessons/chaos/lesson.meta.yaml")
CurrentLesson.objects.create(slug="{LESSON}", lesson=lesson)
Curriculum.objects.create(name="chaos", version="1", path="none", imported_at=timezone.now())
"""


def prepare(stack: Stack) -> None:
    """Place the one lesson of these tests in the stack's database."""
    stack.python(_MAKE_LESSON)


class ChaosLearner:
    """One session on a stack."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        transport = httpx.HTTPTransport(uds=str(stack.socket))
        self.http = httpx.Client(
            transport=transport, base_url="http://localhost/api/v1", timeout=PATIENCE
        )
        session = self.http.post("/sessions", json={}).raise_for_status().json()
        self.session_id = session["id"]
        self.http.headers["Authorization"] = f"Bearer {session['secret']}"
        self.http.cookies.clear()

    def close(self) -> None:
        self.http.close()

    def start(self, stage: int = 0) -> httpx.Response:
        """Ask for the lesson; the answer may be an error when web is being killed."""
        return self.http.post("/livelessons", json={"lesson": LESSON, "stage": stage})

    def end(self, live_lesson_id: str) -> httpx.Response:
        """Ask for the livelesson to end."""
        return self.http.delete(f"/livelessons/{live_lesson_id}")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a query in the stack's database."""
        url = self.stack.env["SYRINGE_DATABASE_URL"]
        return databases.rows(url, sql, values)

    def states(self) -> dict[str, str]:
        """Return this session's livelessons and their states."""
        return {
            str(pk): state
            for pk, state in self.rows(
                "SELECT id, state FROM livelessons_livelesson WHERE session_id = %s",
                self.session_id,
            )
        }

    def wait_for(self, state: str, *, seconds: float = PATIENCE) -> str:
        """Wait until every livelesson of the session is in this state; return one's id."""

        def arrived() -> bool:
            states = self.states()
            return bool(states) and set(states.values()) == {state}

        wait_until(arrived, seconds=seconds, what=f"{state}, have {self.states()}")
        return next(iter(self.states()))

    def be_due(self) -> None:
        """Make the session's rows due without a message, so that only the sweep can find them."""
        url = self.stack.env["SYRINGE_DATABASE_URL"]
        connection = psycopg2.connect(url, connect_timeout=5)
        with closing(connection), connection, connection.cursor() as cursor:
            cursor.execute(
                "UPDATE livelessons_livelesson SET next_look_at = now() WHERE session_id = %s",
                [self.session_id],
            )

    def strangers(self) -> list[str]:
        """Name the environments that exist in the backend though no row knows them."""
        return [
            name
            for (name,) in self.rows(
                """
                SELECT name FROM scheduler_fakeenvironment AS environment
                WHERE deleting_at IS NULL AND NOT EXISTS (
                    SELECT 1 FROM livelessons_livelesson AS row
                    WHERE environment.name = replace(row.id::text, '-', '') || '-' || row.attempt
                      AND NOT row.environment_gone
                )
                """
            )
        ]
