"""A learner's way through the pages, in a real browser, to real machines."""

import re
import signal
from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, expect

from tests.browser.conftest import WAIT_MS
from tests.databases import refused_database
from tests.stack import Stack

pytestmark = [
    pytest.mark.browser,
    pytest.mark.local_backend,
    # One worker runs them all, so that there is one stack.
    pytest.mark.xdist_group("stack"),
]
expect.set_options(timeout=WAIT_MS)


def screen(page: Page) -> str:
    """Return what the terminal in front shows."""
    rows = page.locator("[role=tabpanel]:not([hidden]) .xterm-rows > div").all_inner_texts()
    return "\n".join(row.replace("\u00a0", " ").rstrip() for row in rows)


def wait_for_text(page: Page, text: str) -> None:
    """Wait until the terminal in front shows a text."""
    page.wait_for_function(
        """text => [...document.querySelectorAll(
            "[role=tabpanel]:not([hidden]) .xterm-rows > div")]
            .map(row => row.textContent).join("\\n").replaceAll("\u00a0", " ").includes(text)""",
        arg=text,
    )


def type_line(page: Page, line: str) -> None:
    """Type into the terminal in front."""
    page.locator("[role=tabpanel]:not([hidden]) .xterm-helper-textarea").focus()
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def open_lesson(page: Page, slug: str) -> None:
    """Open a lesson and wait for its first terminal's prompt."""
    page.goto(f"/learn/{slug}")
    expect(page.get_by_role("tab").first).to_be_visible()
    wait_for_text(page, "$ ")


def test_from_the_catalogue_to_the_end(page: Page):
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            said.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto("/")
    expect(page).to_have_url(re.compile("/learn/$"))
    page.get_by_role("link", name="First steps in the shell").click()

    wait_for_text(page, "$ ")
    type_line(page, "echo answer-$((6 * 7))")
    wait_for_text(page, "answer-42")
    expect(page.get_by_role("heading", name="Looking around")).to_be_visible()
    expect(page.locator("#time-left")).to_contain_text("left")

    page.get_by_role("button", name="Next stage").click()
    expect(page.get_by_role("heading", name="Asking a file questions")).to_be_visible()
    expect(page.get_by_role("button", name="Previous stage")).to_be_enabled()
    # The machine stays, and so does what is on its screen.
    assert "answer-42" in screen(page)

    page.get_by_role("button", name="More time").click()
    expect(page.locator("#announcement")).to_have_text("You have more time.")

    page.get_by_role("button", name="End", exact=True).click()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("heading", name="The lesson has ended")).to_be_visible()
    expect(page.locator("#detail")).to_have_text("You ended it.")
    assert said == []

    page.get_by_role("button", name="Start it again").click()
    wait_for_text(page, "$ ")
    assert "answer-42" not in screen(page)


def test_a_reload_brings_the_same_shell_back(page: Page):
    open_lesson(page, "shell-first-steps")
    type_line(page, "kept=here-$((40 + 2))")
    type_line(page, "echo $kept")
    wait_for_text(page, "here-42")
    page.reload()
    wait_for_text(page, "here-42")
    type_line(page, "clear; echo again-$kept")
    wait_for_text(page, "again-here-42")


def test_after_a_restart_of_the_gateway_the_page_goes_on(page: Page, stack: Stack):
    open_lesson(page, "shell-first-steps")
    stack.restart("gateway")
    wait_for_text(page, "this is a new one")
    type_line(page, "echo works-$((1 + 1))")
    wait_for_text(page, "works-2")
    page.get_by_role("button", name="Next stage").click()
    expect(page.get_by_role("heading", name="Asking a file questions")).to_be_visible()


def test_a_lost_connection_is_said_and_found_again(page: Page, stack: Stack):
    open_lesson(page, "shell-first-steps")
    connection = page.locator("#connection[role=status]")
    with refused_database(stack.env["SYRINGE_DATABASE_URL"]):
        stack.kill("gateway", signal.SIGTERM)
        # It answers now, but only with errors.
        stack.start("gateway", wait=False)
        expect(connection).to_have_text("The connection to Syringe was lost. Trying again …")
    expect(connection).to_have_text("")
    page.get_by_role("button", name="Next stage").click()
    expect(page.get_by_role("heading", name="Asking a file questions")).to_be_visible()

    # In another tab, say: the session of this browser is over.
    page.context.clear_cookies()
    stack.restart("gateway")
    expect(page.get_by_role("heading", name="The lesson has ended")).to_be_visible()
    expect(page.locator("#detail")).to_have_text("This browser's session has ended.")
    expect(connection).to_have_text("")
    page.get_by_role("button", name="Start it again").click()
    expect(page.locator("#announcement")).to_have_text("Your machines are ready.")


def test_a_browser_shows_twenty_megabytes_and_stays_usable(page: Page):
    open_lesson(page, "shell-first-steps")
    type_line(page, "seq 2650000; echo do''ne")
    wait_for_text(page, "done")
    assert "2650000" in screen(page)
    type_line(page, "echo still-$((50 + 5))")
    wait_for_text(page, "still-55")


def test_snippets_run_and_nothing_else_does(page: Page):
    open_lesson(page, "snippets")
    page.get_by_role("button", name="Run this snippet").click()
    wait_for_text(page, "first-23")
    wait_for_text(page, "second-34")
    expect(page).to_have_title("Snippets · Syringe")


def test_a_lessons_web_page_is_shown_and_locked_up(page: Page):
    open_lesson(page, "first-web-page")
    type_line(page, "echo '<h1>Made here</h1>' > ~/www/index.html; echo writ''ten")
    wait_for_text(page, "written")
    page.get_by_role("tab", name="page").click()
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("heading", name="Made here")).to_be_visible()

    frame = page.frames[-1]
    assert frame.evaluate("origin") == "null"
    for forbidden in ("document.cookie", "localStorage.length", "parent.document.title"):
        attempt = f"try {{ return String({forbidden}) }} catch (error) {{ return error.name }}"
        assert frame.evaluate(f"(() => {{ {attempt} }})()") == "SecurityError"
    # Nor does our API take it for us.
    assert frame.evaluate("fetch('/api/v1/livelessons').then(r => r.status, e => e.name)") in {
        401,
        "TypeError",
    }
    assert frame.evaluate("fetch(location.href).then(r => r.status)") == 200


def test_where_notebooks_are_not_run_the_page_says_so(page: Page):
    page.goto("/learn/notebook")
    expect(page.get_by_role("tab")).to_have_count(1)
    expect(page.locator("#guide")).to_contain_text("does not run notebooks")
    expect(page.locator("#guide iframe")).to_have_count(0)


def test_two_machines_have_a_tab_each(page: Page):
    open_lesson(page, "two-machines")
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["client", "server"]
    type_line(page, "hostname")
    wait_for_text(page, "client")
    tabs.nth(1).click()
    wait_for_text(page, "$ ")
    type_line(page, "hostname")
    wait_for_text(page, "server")


def test_the_keyboard_reaches_everything(page: Page):
    open_lesson(page, "two-machines")
    first, second = page.get_by_role("tab").all()
    page.locator("[role=tabpanel]:not([hidden]) .xterm-helper-textarea").focus()
    page.keyboard.press("Tab")
    expect(page.locator(".xterm-helper-textarea").first).to_be_focused()
    page.keyboard.press("F6")
    expect(first).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(second).to_be_focused()
    expect(second).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(first).to_be_focused()
    page.goto("/learn/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()


def test_a_screen_reader_hears_state_and_output(page: Page):
    page.goto("/learn/shell-first-steps")
    expect(page.locator("#announcement[role=status]")).to_have_text("Your machines are ready.")
    wait_for_text(page, "$ ")
    page.get_by_label("Screen reader").check()
    type_line(page, "echo heard-$((7 + 7))")
    expect(page.locator(".xterm-accessibility")).to_contain_text("heard-14")


def test_what_fails_before_the_machines_are_there_is_said(page: Page, stack: Stack):
    stack.kill("worker-1", signal.SIGSTOP)
    try:
        page.goto("/learn/shell-first-steps")
        expect(page.locator("#status[role=status]")).to_contain_text("Your lesson is queued")
        page.context.set_offline(True)
        page.get_by_role("button", name="More time").click()
        said = page.locator("#announcement[role=status]")
        expect(said).to_contain_text("Syringe cannot be reached")
        expect(said).to_be_visible()
        page.context.set_offline(False)
    finally:
        stack.kill("worker-1", signal.SIGCONT)
    expect(said).to_have_text("Your machines are ready.")


def test_a_lesson_that_cannot_start_says_why(page: Page):
    page.goto("/learn/")
    card = page.get_by_role("listitem").filter(has_text="Unknown image").first
    expect(card).to_contain_text("nobody defines the image nobody-made-this")
    expect(card.get_by_role("link")).to_have_count(0)
    page.goto("/learn/unknown-image")
    expect(page.get_by_role("heading", name="The lesson did not start")).to_be_visible()
    expect(page.locator("#detail")).to_contain_text("nobody-made-this")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    expect(page.get_by_role("link", name="All lessons")).to_be_visible()


@pytest.mark.parametrize("address", ["/learn/", "/learn/shell-first-steps"])
def test_a_phone_needs_no_sideways_scrolling(
    make_context: Callable[..., BrowserContext], address: str
):
    page = make_context(viewport={"width": 360, "height": 740}, has_touch=True).new_page()
    page.goto(address)
    if address != "/learn/":
        # The terminal lies below the guide, and draws only what can be seen.
        page.locator("#panels").scroll_into_view_if_needed()
        wait_for_text(page, "$ ")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_dark_and_light_follow_the_system(make_context: Callable[..., BrowserContext]):
    shades = {}
    for scheme in ("dark", "light"):
        page = make_context(color_scheme=scheme).new_page()
        page.goto("/learn/")
        colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
        shades[scheme] = sum(int(part) for part in re.findall(r"\d+", colour)[:3])
    assert shades["dark"] < 150
    assert shades["light"] > 650
