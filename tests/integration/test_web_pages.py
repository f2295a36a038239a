"""The learners' pages as the web process answers them."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from lessons.models import Curriculum, Lesson, Stage
from livelessons.models import LiveLesson
from livelessons.states import EndReason
from syringe_project.environment import PROJECT_ROOT
from web import views


@pytest.fixture
def curriculum(db: None) -> Curriculum:
    return Curriculum.objects.create(
        name="Harbour school", description="All about ships.", version="1", path="/nowhere",
        imported_at=timezone.now(),
    )  # fmt: skip


def test_without_lessons_the_list_says_what_to_do(client: Client, db: None):
    answer = client.get("/learn/")
    assert answer.status_code == 200
    assert "There are no lessons yet" in answer.text
    assert "import_curriculum" in answer.text


def test_lessons_are_grouped_and_described(
    client: Client, curriculum: Curriculum, make_lesson: Callable[..., Lesson]
):
    make_lesson("knots", name="Knots", description="Tie <them>.", tags=["rope"], stages=3)
    make_lesson("sails", name="Sails", category="workflows", prerequisites=["knots"])
    text = client.get("/learn/").text

    assert "Harbour school" in text
    assert text.index("Fundamentals") < text.index("Workflows")
    assert 'href="/learn/knots"' in text
    assert "Tie &lt;them&gt;." in text
    assert "3 stages" in text
    assert "after Knots" in text


def test_a_lesson_that_cannot_be_started_says_why_and_is_no_link(
    client: Client, curriculum: Curriculum, make_lesson: Callable[..., Lesson]
):
    make_lesson("radar", name="Radar", missing_images=["vqfx"])
    text = client.get("/learn/").text
    assert "nobody defines the image vqfx" in text
    assert 'href="/learn/radar"' not in text


def test_a_lessons_page_has_its_stages_and_nothing_inline(
    client: Client, curriculum: Curriculum, make_lesson: Callable[..., Lesson]
):
    make_lesson("knots", name="Knots", stages=2)
    answer = client.get("/learn/knots")
    assert answer.text.count("data-stage=") == 2
    assert 'data-lesson="knots"' in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    # Scripts are files of ours; an inline one would not even run.
    assert answer.text.count("<script") == answer.text.count('<script type="module" src="/static/')


def test_an_unknown_lesson_is_a_page_with_a_way_out(client: Client, curriculum: Curriculum):
    answer = client.get("/learn/nothing")
    assert answer.status_code == 404
    assert "There is no lesson nothing." in answer.text
    assert 'href="/learn/"' in answer.text


def test_an_unknown_address_is_a_page_with_a_way_out(client: Client, db: None):
    answer = client.get("/learn/no/such/thing")
    assert answer.status_code == 404
    assert 'href="/learn/"' in answer.text


def test_the_database_away_is_a_page_too(client: Client, db: None, monkeypatch: pytest.MonkeyPatch):
    def away() -> None:
        raise OperationalError

    monkeypatch.setattr(views, "catalogue", away)
    answer = client.get("/learn/")
    assert answer.status_code == 503
    assert "database" in answer.text


def test_pages_are_read_only(client: Client, db: None):
    assert client.post("/learn/").status_code == 405


def guide(client: Client, live_lesson: LiveLesson, secret: str) -> Any:
    client.cookies["syringe_session"] = secret
    return client.get(f"/learn/guides/{live_lesson.pk}")


def test_the_guide_is_that_of_the_version_and_stage_that_run(
    client: Client, make_lesson: Callable[..., Lesson], make_live_lesson: Callable[..., LiveLesson]
):
    lesson = make_lesson("knots", stages=2)
    Stage.objects.filter(lesson=lesson, position=1).update(guide="# Bowline\n\n<script>no</script>")
    live_lesson = make_live_lesson(lesson=lesson, stage=1)
    make_lesson("knots", stages=2)

    answer = guide(client, live_lesson, live_lesson.session.secret)  # type: ignore[attr-defined]
    assert answer.text.strip() == "<h2>Bowline</h2>"
    assert "no-store" in answer.headers["Cache-Control"]


def test_a_notebook_is_not_shown_as_text(
    client: Client, make_lesson: Callable[..., Lesson], make_live_lesson: Callable[..., LiveLesson]
):
    lesson = make_lesson(stages=[{"guide_type": "jupyter", "configurations": {}}])
    live_lesson = make_live_lesson(lesson=lesson)
    answer = guide(client, live_lesson, live_lesson.session.secret)  # type: ignore[attr-defined]
    assert "notebook" in answer.text


@pytest.mark.parametrize("secret", ["", "wrong", "\x01", "x" * 500])
def test_nobody_reads_anothers_guide(
    client: Client, make_live_lesson: Callable[..., LiveLesson], secret: str
):
    answer = guide(client, make_live_lesson(), secret)
    assert answer.status_code == 404
    assert "Guide of stage" not in answer.text


def test_a_lessons_page_has_a_sentence_for_every_end():
    script = (PROJECT_ROOT / "web" / "static" / "web" / "lesson.js").read_text()
    table = script.partition("END_REASONS = {")[2].partition("};")[0]
    assert set(re.findall(r'^  (\w+): ".+\."', table, re.MULTILINE)) == set(EndReason) - {""}
