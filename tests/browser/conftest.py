"""A real Syringe with the local backend, and a real Chromium in front of it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from scheduler.backends.local import LocalBackend
from tests.stack import LOCAL, ROOT, Stack
from tests.waiting import PATIENCE

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WAIT_MS = 1000 * PATIENCE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the processes' logs next to a failure."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack is not None:
        report.sections.append(("the stack's logs", stack.logs()))
    return report


@pytest.fixture(scope="session")
def curriculum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample curriculum, and lessons that only tests need."""
    folder = tmp_path_factory.mktemp("curriculum") / "curriculum"
    shutil.copytree(ROOT / "curriculum" / "sample", folder)
    shutil.copytree(Path(__file__).parent / "lessons", folder / "lessons", dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def stack(curriculum: Path) -> Iterator[Stack]:
    """Every process of Syringe, with sandboxes on this machine."""
    if hindrances := LocalBackend().preflight():
        pytest.skip(f"the local backend does not work here: {' '.join(hindrances)}")
    with Stack(backend=LOCAL) as stack:
        stack.manage("import_curriculum", str(curriculum))
        yield stack


# Not for the session: Playwright's loop runs in this thread as long as it is open, and other
# tests of this worker start loops of their own.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("there is no Chromium: install the package chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def make_context(chromium: Browser, stack: Stack) -> Iterator[Callable[..., BrowserContext]]:
    """Return a factory of browsers that know nothing of each other."""
    contexts: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = chromium.new_context(base_url=stack.url, **options)  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        # What the learner started should not run until the end of the session.
        answer = context.request.get("/api/v1/livelessons")
        for live in answer.json()["livelessons"] if answer.ok else []:
            context.request.delete(
                f"/api/v1/livelessons/{live['id']}", headers={"Content-Type": "application/json"}
            )
        context.close()


@pytest.fixture
def page(make_context: Callable[..., BrowserContext]) -> Page:
    return make_context().new_page()
