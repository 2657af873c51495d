"""A headless browser on Airflow's pages, logged in: for pictures and for tests of the forms.

Needs Playwright and Debian's Chromium; BROWSER names another one.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from playwright.sync_api import Locator, Page, Response

CHROMIUM = os.environ.get("BROWSER", "/usr/bin/chromium")
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class Browser:
    """A page of Airflow's UI, logged in."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def go(self, path: str) -> None:
        """Open a page and wait until it has nothing left to load."""
        self.page.goto(f"{self.url}/{path}")
        self.page.wait_for_load_state("networkidle")

    def turn(self, width: int, height: int) -> None:
        """The size of the window, in pixels."""
        self.page.set_viewport_size({"width": width, "height": height})

    def errors(self) -> list[str]:
        """The errors of the page and of its console, which are added to the list as they come."""
        found: list[str] = []
        self.page.on("pageerror", lambda error: found.append(str(error)))
        self.page.on(
            "console", lambda told: found.append(told.text) if told.type == "error" else None
        )
        return found

    def press(self, label: str) -> None:
        """A button, by its label."""
        self.page.get_by_label(label, exact=True).first.click()

    def trigger(self, dag_id: str, tab: str = "Single Run") -> Locator:
        """Open the dialog behind Trigger, on one of its tabs; returns the dialog."""
        self.go(f"dags/{dag_id}")
        self.page.get_by_test_id("trigger-dag-button").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text(tab, exact=True).first.click()
        return dialog

    def choose(self, dialog: Locator, field: str, value: str) -> None:
        """Choose one of the values of a field that takes several."""
        box = dialog.locator(f"#element_{field}")
        box.locator("input").first.press_sequentially(value)
        box.get_by_role("option", name=value).click()
        box.get_by_label(f"Remove {value}").wait_for()

    def submit(self, dialog: Locator) -> tuple[dict[str, Any], int, dict[str, Any]]:
        """Press Trigger; returns what the page has sent, the status, and the answer."""
        button = dialog.get_by_role("button", name="Trigger", exact=True)
        with self.page.expect_response(
            lambda answer: answer.request.method == "POST" and answer.url.endswith("/dagRuns")
        ) as waited:
            button.click()
        answer = waited.value
        sent: dict[str, Any] = answer.request.post_data_json or {}
        return sent, answer.status, answer.json()

    def clear(self, dag_id: str, run_id: str) -> int:
        """Clear all tasks of a run as the page does; returns the status of the answer."""
        self.go(f"dags/{dag_id}/runs/{run_id}")
        self.press("Press shift+c to clear")
        return self._confirm(
            lambda answer: (
                answer.url.endswith("/clear")
                and not (answer.request.post_data_json or {}).get("dry_run")
            )
        )

    def mark(self, dag_id: str, run_id: str, state: str) -> int:
        """Mark a run as the page does: `failed` or `success`; returns the status of the answer."""
        self.go(f"dags/{dag_id}/runs/{run_id}")
        self.page.get_by_role("button", name=re.compile(r"^Mark .* as")).first.click()
        self.page.get_by_role("menuitem", name=re.compile(state, re.IGNORECASE)).first.click()
        return self._confirm(lambda answer: answer.request.method == "PATCH")

    def _confirm(self, wanted: Callable[[Response], bool]) -> int:
        confirm = self.page.get_by_role("dialog").get_by_role("button", name="Confirm")
        with self.page.expect_response(wanted) as waited:
            confirm.click()
        return waited.value.status


@contextmanager
def browser_of(url: str, user: str, password: str) -> Generator[Browser]:
    """A browser with a profile of its own."""
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *_QUIET])
        context = browser.new_context(color_scheme="light", timezone_id="UTC")
        login = {"username": user, "password": password}
        answer = context.request.post(f"{url}/auth/token", data=login)
        token = answer.json()["access_token"]
        context.add_cookies([{"name": "_token", "value": token, "url": url}])
        try:
            yield Browser(context.new_page(), url)
        finally:
            browser.close()
