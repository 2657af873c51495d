"""The console in a browser: what it shows follows the server, and everybody can read it."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from .gce import ZONE, Gce, instance

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

CONSOLE = "/_localgce/console"
CHROMIUM = os.environ.get("BROWSER") or shutil.which("chromium")
MILLISECONDS = 60_000


@pytest.fixture(params=["light", "dark"])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page in a browser; the test fails when a script or the policy complains."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium, or name one in BROWSER")
    complaints: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(color_scheme=request.param)
        opened.set_default_timeout(MILLISECONDS)
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        yield opened
        browser.close()
    missing = "the server responded with a status of 404"  # of a machine that was deleted
    assert [text for text in complaints if missing not in text] == []


def test_a_page_follows_what_happens_and_can_be_read(instant: Gce, page: Page, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page.goto(f"{instant.base}/")
    assert page.url == f"{instant.base}{CONSOLE}"
    instant.do("POST", f"zones/{ZONE}/instances", instance(name))
    page.get_by_role("link", name=name).first.wait_for()
    assert axe.run(page).response["violations"] == []
    page.get_by_role("link", name=name).first.click()
    page.get_by_role("heading", name=f"Machine {name}").wait_for()
    instant.do("POST", f"zones/{ZONE}/instances/{name}/stop")
    page.get_by_role("cell", name="TERMINATED").wait_for()
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")
    page.get_by_text(f"The machine {name} does not exist").wait_for()


def test_serial_output_is_live(instant: Gce, page: Page, name: str) -> None:
    instant.do("POST", f"zones/{ZONE}/instances", instance(name))
    page.goto(f"{instant.base}{CONSOLE}/projects/demo/zones/{ZONE}/instances/{name}/serial")
    page.get_by_role("heading", name=f"Serial output of {name}").wait_for()
    before = page.locator("main").inner_text()
    instant.do("POST", f"zones/{ZONE}/instances/{name}/stop")
    instant.do("POST", f"zones/{ZONE}/instances/{name}/start")
    page.wait_for_function(
        "before => document.querySelector('main').innerText.length > before.length", arg=before
    )
    instant.do("DELETE", f"zones/{ZONE}/instances/{name}")
