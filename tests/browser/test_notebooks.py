"""A guide that is a notebook, in a real browser; a small web server stands for Jupyter."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.backends import NOTEBOOKS
from tests.browser.conftest import WAIT_MS
from tests.curricula import write, write_curriculum
from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("stack")]


LESSON = """\
name: Notes
slug: notes
tier: prod
endpoints:
  - name: web1
    image: utility
    presentations: [{name: page, port: 80, type: http}]
stages:
  - {description: Read, guideType: jupyter}
  - {description: Write, guideType: jupyter}
"""


class Jupyter(BaseHTTPRequestHandler):
    """Names what was asked for."""

    def do_GET(self) -> None:
        body = f"<!doctype html><title>Notes</title><h1>{self.path}</h1>".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_curriculum(tmp_path_factory.mktemp("notebooks") / "curriculum")
    write(folder, "lessons/notes/lesson.meta.yaml", LESSON)
    for stage in (0, 1):
        write(folder, f"lessons/notes/stage{stage}/guide.ipynb", '{"cells": []}')
    return folder


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of what is behind every port of every endpoint."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Jupyter) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def stack(curriculum: Path, server: str) -> Iterator[Stack]:
    script = json.dumps({"address": server})
    with Stack(backend=NOTEBOOKS, env={"SYRINGE_FAKE_SCRIPT": script}) as stack:
        stack.manage("import_curriculum", str(curriculum))
        yield stack


@pytest.fixture
def page(chromium: Browser, stack: Stack) -> Iterator[Page]:
    context = chromium.new_context(base_url=stack.url)
    context.set_default_timeout(WAIT_MS)
    yield context.new_page()
    context.close()


def test_the_guide_is_the_notebook_of_the_stage(page: Page):
    page.goto("/learn/notes")
    guide = page.frame_locator("#guide iframe")

    expect(guide.locator("h1")).to_have_text("/notebooks/stage0/guide.ipynb")
    expect(page.get_by_role("tab")).to_have_count(1)
    assert page.locator("#guide iframe").bounding_box()["height"] > 300  # type: ignore[index]

    page.get_by_role("button", name="Next stage").click()
    expect(guide.locator("h1")).to_have_text("/notebooks/stage1/guide.ipynb")
