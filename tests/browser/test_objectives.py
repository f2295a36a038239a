"""Objectives on the page: they change as checks find something, without anything being pressed."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg2
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import WAIT_MS
from tests.curricula import write, write_curriculum
from tests.stack import FAKE, Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack-objectives")]

expect.set_options(timeout=WAIT_MS)

LESSON = """\
name: Notes
slug: notes
tier: prod
endpoints:
  - name: linux
    image: utility
    presentations: [{name: cli, port: 22, type: ssh}]
stages:
  - description: Write
    completeMessage: That is all there is to `notes`.
    gate: true
    objectives:
      - slug: make
        description: Make the file `notes.txt`.
        check: {run: test -f notes.txt}
        hints:
          - {text: Try `touch`., afterFailures: 2}
      - slug: fill
        description: Write something into it.
        needs: [make]
        check: {run: test -s notes.txt}
      - slug: copy
        description: Make a copy.
        optional: true
        check: {run: test -f copy.txt}
  - description: Read
"""

# What a checker does, in the stack's own database.
CHECKER = """
import django
django.setup()
from livelessons.models import LiveLesson
from livelessons.services.objectives import objective_broken, objective_failed, objective_passed
from tests.objectives import claim_one
live_lesson = LiveLesson.objects.latest("created_at")
def failed(slug, message):
    assert objective_failed(claim_one(live_lesson, slug), message=message)
def passed(slug, message=""):
    assert objective_passed(claim_one(live_lesson, slug), message=message)
def broken(slug):
    assert objective_broken(claim_one(live_lesson, slug), detail="for the author")
"""


@pytest.fixture(scope="module")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_curriculum(tmp_path_factory.mktemp("objectives") / "curriculum")
    write(folder, "lessons/notes/lesson.meta.yaml", LESSON)
    for stage in (0, 1):
        write(folder, f"lessons/notes/stage{stage}/guide.md", f"# Guide {stage}\n")
    return folder


@pytest.fixture(scope="module")
def stack(curriculum: Path) -> Iterator[Stack]:
    """A Syringe in which the test is the checker."""
    with Stack(backend=FAKE, without={"objectives"}) as stack:
        stack.manage("import_curriculum", str(curriculum))
        yield stack


BEAT = """
    INSERT INTO livelessons_checker (name, seen_at) VALUES ('test', statement_timestamp())
    ON CONFLICT (name) DO UPDATE SET seen_at = statement_timestamp()
"""
LEAVE = "DELETE FROM livelessons_checker"


@pytest.fixture
def living(stack: Stack) -> Iterator[threading.Event]:
    """Return what is set while a checker says that it lives."""
    living, over = threading.Event(), threading.Event()

    def beat() -> None:
        url = stack.env["SYRINGE_DATABASE_URL"]
        with contextlib.closing(psycopg2.connect(url, connect_timeout=5)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not over.wait(0.5):
                    cursor.execute(BEAT if living.is_set() else LEAVE)
                cursor.execute(LEAVE)

    beating = threading.Thread(target=beat)
    beating.start()
    yield living
    over.set()
    beating.join()


@pytest.fixture
def checker(stack: Stack) -> Callable[[str], str]:
    """Return a way to do what a checker does."""
    return lambda deeds: stack.python(f"{CHECKER}\n{deeds}")


@pytest.fixture
def page(chromium: Browser, stack: Stack) -> Iterator[Page]:
    context = chromium.new_context(base_url=stack.url)
    context.set_default_timeout(WAIT_MS)
    page = context.new_page()
    page.goto("/learn/notes")
    expect(page.get_by_role("tab").first).to_be_visible()
    yield page
    context.close()


def item(page: Page, text: str) -> Locator:
    return page.locator("#objectives li[data-state]").filter(
        has=page.locator(".title", has_text=text)
    )


def test_from_the_first_failure_to_the_next_stage(
    page: Page, checker: Callable[[str], str], living: threading.Event
):
    objectives = page.locator("#objectives")
    make, fill, copy = (item(page, text) for text in ("Make the file", "Write something", "copy"))
    expect(objectives.locator("summary")).to_have_text("Objectives 0 of 2 reached")
    expect(objectives).to_contain_text("Checks are off at the moment")
    expect(make.locator("code")).to_have_text("notes.txt")
    expect(make.locator(".state")).to_have_text("Not checked yet")
    expect(fill.locator(".state")).to_have_text("After: Make the file notes.txt.")
    expect(copy).to_contain_text("optional")
    expect(page.get_by_role("button", name="Check now")).to_have_count(0)
    expect(page.locator("#gate")).to_be_hidden()

    living.set()
    expect(page.locator("#gate")).to_have_text(
        "Stage 2 opens when every objective of stage 1 is reached."
    )
    for name in ("2 Read", "Next stage"):
        button = page.get_by_role("button", name=name)
        expect(button).to_be_disabled()
        expect(button).to_have_accessible_description(
            "Stage 2 opens when every objective of stage 1 is reached."
        )

    checker("failed('make', 'There is no notes.txt yet.')")
    expect(objectives.get_by_text("Checks are off")).to_be_hidden()
    expect(make.locator(".state")).to_have_text("Not yet")
    expect(make).to_contain_text("There is no notes.txt yet.")
    expect(make.locator(".hints li")).to_have_count(0)
    news = objectives.get_by_role("status")
    expect(news).to_contain_text("Not yet: Make the file notes.txt. There is no notes.txt yet.")
    expect(news).to_have_attribute("aria-live", "polite")

    button = page.get_by_role("button", name="Check now: Make the file notes.txt.")
    button.click()
    expect(make.locator(".state")).to_have_text("Checking …")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(button).to_be_focused()

    checker("failed('make', 'Still none.')")
    expect(make).to_contain_text("Still none.")
    expect(make.locator(".hints li")).to_have_text("Try touch.")

    checker("passed('make', 'There it is.'); broken('copy')")
    expect(make.locator(".state")).to_have_text("Reached")
    expect(make.locator(".hints li")).to_have_count(0)
    expect(objectives.locator("summary")).to_contain_text("1 of 2")
    expect(fill.locator(".state")).not_to_contain_text("After")
    expect(copy.locator(".state")).to_contain_text("not your fault")
    assert "for the author" not in page.content()
    expect(page.get_by_role("button", name="Next stage")).to_be_disabled()

    checker("passed('fill')")
    expect(objectives.locator("[data-part=complete]")).to_have_text(
        "That is all there is to notes."
    )
    expect(news).to_contain_text("That is all there is to notes.")
    expect(page.locator("#gate")).to_be_hidden()
    page.get_by_role("button", name="Next stage").click()
    expect(page.get_by_role("heading", name="Guide 1")).to_be_visible()
    expect(objectives).to_be_hidden()

    page.get_by_role("button", name="Previous stage").click()
    expect(make.locator(".state")).to_have_text("Reached")

    living.clear()
    expect(objectives.get_by_text("Checks are off")).to_be_visible()
