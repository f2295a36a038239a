"""The pictures of the documentation, taken from what really runs.

``python3 syringe_project/launcher beside-servers -- -m tests.browser.pictures docs/pictures``
starts a Syringe of its own for them.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from tests.stack import LOCAL, Stack

LESSON = "/learn/two-machines"
SIZE: ViewportSize = {"width": 1280, "height": 760}
TYPED = ("getent hosts server", "python3 fetch.py http://server:9000/")


def take(page: Page, folder: Path) -> None:
    """Work a little in a lesson and take its picture."""
    page.goto(LESSON)
    client, server = (page.get_by_role("tab", name=name) for name in ("client", "server"))
    server.click()
    type_line(page, "python3 -m http.server 9000")
    wait_for_text(page, "Serving")
    client.click()
    for line in TYPED:
        type_line(page, line)
    wait_for_text(page, "</html>|Hello|welcome")
    page.get_by_text("1 of 2 reached", exact=True).wait_for()
    page.screenshot(path=folder / "lesson.png")
    page.goto("/learn/")
    page.screenshot(path=folder / "catalogue.png")


def type_line(page: Page, line: str) -> None:
    """Type into the terminal in front once it has a prompt."""
    wait_for_text(page, r"\$ ")
    page.locator("[role=tabpanel]:not([hidden]) .xterm-helper-textarea").focus()
    page.keyboard.type(line)
    page.keyboard.press("Enter")


def wait_for_text(page: Page, pattern: str) -> None:
    """Wait until the terminal in front shows what fits the pattern."""
    page.wait_for_function(
        """pattern => [...document.querySelectorAll(
            "[role=tabpanel]:not([hidden]) .xterm-rows > div")]
            .some(row => new RegExp(pattern, "i").test(row.textContent))""",
        arg=pattern,
    )


def main() -> None:
    """Start everything, take the pictures, and stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with Stack(backend=LOCAL, objectives=1) as stack, sync_playwright() as playwright:
        stack.manage("import_curriculum", "curriculum/sample")
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--headless", "--no-sandbox"]
        )
        take(browser.new_page(base_url=stack.url, viewport=SIZE), folder)
        browser.close()


if __name__ == "__main__":
    main()
