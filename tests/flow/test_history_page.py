"""The page of the images in a browser, on a real Airflow: read, compared, and rolled back from.

With PICTURES set the tests take the pictures of docs/history.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.support.deadlines import RUN, SOON
from tests.support.paths import PROJECT

from devstack import demo_fleet
from devstack.browser import CHROMIUM, browser_of
from devstack.ports import free_port
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.browser import Browser
    from devstack.testbed import Testbed

PAGE, TAB = "plugin/bakehouse_images", "plugin/bakehouse_history"
MARKUP = '<img src=x onerror="globalThis.wrong = 1"> a "quoted" subject'
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
VIEWS = ("timeline", "images", "members", "plots", "compare")
PICTURES = PROJECT / "docs" / "images"


@dataclass(frozen=True)
class Shown:
    """Two images of the recipe web; the fleet runs the newer one."""

    older: str
    newer: str


@pytest.fixture(scope="module")
def shown(stack_of_session: Testbed) -> Shown:
    bed = stack_of_session
    bed.commit(MARKUP)
    older = bed.bake("bake__web", vars={"page": "An older page"}, roll_out=False, force=True)
    image = bed.airflow.xcom("bake__web", older.run_id, "plan_bake")["image_name"]
    demo_fleet.create(bed.compute, image, "instant")
    bed.declare_members(list(demo_fleet.MEMBERS))
    newer = bed.bake("bake__web", force=True)
    assert newer.state == "success", bed.explain(newer)
    return Shown(image, bed.airflow.xcom("bake__web", newer.run_id, "plan_bake")["image_name"])


@pytest.fixture
def browser(bed: Testbed) -> Iterator[Browser]:
    """The browser; an error on its console fails the test."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"{CHROMIUM} does not exist: apt-get install chromium, or name one in BROWSER")
    stack = bed.stack
    with browser_of(stack.record.airflow_url, stack.user, stack.password) as opened:
        errors: list[str] = []
        opened.page.on("pageerror", lambda error: errors.append(str(error)))
        opened.page.on(
            "console",
            lambda told: errors.append(told.text) if told.type == "error" else None,
        )
        opened.turn(1500, 900)
        yield opened
        assert errors == []


def view(browser: Browser, name: str, more: str = "", page: str = PAGE) -> None:
    browser.go(f"{page}?view={name}{more}")
    browser.page.locator(".bh-title").wait_for()


def picture(browser: Browser, name: str) -> None:
    if os.environ.get("PICTURES"):
        browser.page.wait_for_timeout(1_000)
        browser.page.screenshot(path=PICTURES / f"{name}.png")


def check_with_axe(browser: Browser, part: str) -> None:
    axe = import_module("axe_playwright_python.sync_playwright").Axe()
    found = axe.run(browser.page, context=part, options=RULES)
    assert found.violations_count == 0, f"{browser.page.url}\n{found.generate_report()}"


def until_told(browser: Browser, name: str, text: str) -> None:
    """Open a view until it shows a text: the server answers from what it read a moment ago."""

    def told() -> bool:
        view(browser, name)
        return text in browser.page.locator(".bh").inner_text()

    wait_until(told, SOON, f"{name} to show {text}")


def test_the_timeline_says_why_and_shows_markup_as_text(browser: Browser, shown: Shown) -> None:
    until_told(browser, "timeline", f"web moves to {shown.newer} instead of {shown.older}")
    text = browser.page.locator(".bh").inner_text()
    assert MARKUP in text
    assert browser.page.locator(".bh img").count() == 0
    assert browser.page.evaluate("globalThis.wrong") is None
    picture(browser, "history-timeline")


def test_images_are_filtered_and_the_filter_is_in_the_address(
    browser: Browser, shown: Shown
) -> None:
    until_told(browser, "images", shown.newer)
    rows = browser.page.locator("tbody tr")
    assert rows.count() >= 2
    picture(browser, "history-images")
    browser.page.get_by_label("Search").fill(shown.older)
    browser.page.get_by_label("Search").press("Tab")
    wait_until(lambda: rows.count() == 1, SOON, "one row")
    assert f"search={shown.older}" in browser.page.url
    browser.page.reload()
    browser.page.get_by_role("row", name=re.compile(shown.older)).wait_for()
    assert rows.count() == 1
    browser.page.go_back()
    wait_until(lambda: rows.count() >= 2, SOON, "all rows")
    browser.page.get_by_label("State").select_option("revoked")
    browser.page.get_by_text("No image is there yet that these filters let through.").wait_for()


@pytest.mark.ci
def test_two_images_are_compared(browser: Browser, shown: Shown) -> None:
    until_told(browser, "images", shown.newer)
    view(browser, "compare", f"&old={shown.older}&new={shown.newer}")
    browser.page.get_by_text("Difference").or_(
        browser.page.locator(".bh-difference")
    ).first.wait_for()
    text = browser.page.locator(".bh-difference").inner_text()
    assert shown.older in text
    assert "Packages" in text or "Both images have the same packages" in text
    picture(browser, "history-compare")


def test_a_member_is_compared_with_an_image(browser: Browser, shown: Shown) -> None:
    until_told(browser, "members", "web/web-1")
    picture(browser, "history-members")
    view(browser, "compare", f"&old=web/web-1&new={shown.older}")
    browser.page.locator(".bh-between").wait_for()
    between = browser.page.locator(".bh-between").inner_text()
    assert between == f"From {shown.newer} to {shown.older}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_is_accessible_in_light_and_dark(
    browser: Browser, shown: Shown, scheme: str
) -> None:
    until_told(browser, "images", shown.newer)
    browser.page.evaluate(f"localStorage.setItem('theme', '{scheme}')")
    for name in VIEWS:
        more = f"&old={shown.older}&new={shown.newer}" if name == "compare" else ""
        view(browser, name, more)
        dark = browser.page.locator("html").get_attribute("class") or ""
        assert ("dark" in dark) == (scheme == "dark")
        check_with_axe(browser, ".bh")
        if scheme == "dark" and name in {"plots", "images"}:
            picture(browser, f"history-{name}-dark")


def test_every_action_is_reached_with_the_keyboard(browser: Browser, shown: Shown) -> None:
    until_told(browser, "images", shown.newer)
    button = browser.page.get_by_role("button", name=f"Roll out… {shown.older}")
    browser.page.get_by_label("Search").focus()
    for _ in range(60):
        browser.page.keyboard.press("Tab")
        if button.evaluate("one => one === document.activeElement"):
            break
    else:
        pytest.fail("the button is not reached")
    browser.page.keyboard.press("Enter")
    dialog = browser.page.get_by_role("dialog")
    dialog.wait_for()
    cancel = dialog.get_by_role("button", name="Cancel")
    assert cancel.evaluate("one => one === document.activeElement")
    check_with_axe(browser, ".bh-dialog")
    picture(browser, "history-roll-out")
    browser.page.keyboard.press("Enter")
    dialog.wait_for(state="detached")


def test_the_tab_of_a_dag_is_limited_to_its_recipe_or_fleet(browser: Browser, shown: Shown) -> None:
    until_told(browser, "images", shown.newer)
    browser.go("dags/bake__web")
    browser.page.get_by_role("link", name="Bakehouse images").wait_for()
    view(browser, "images", page=f"dags/bake__web/{TAB}")
    browser.page.get_by_role("row", name=re.compile(shown.newer)).wait_for()
    assert browser.page.get_by_label("Recipe").count() == 0
    view(browser, "members", page=f"dags/roll_out__web/{TAB}")
    browser.page.get_by_text("web/web-1").first.wait_for()
    picture(browser, "history-tab")
    browser.go(f"dags/housekeeping/{TAB}")
    browser.page.get_by_text("This DAG neither bakes an image nor rolls one out.").wait_for()


def test_anonymous_is_refused(bed: Testbed) -> None:
    url = bed.stack.record.airflow_url
    for path in ("", "page.js", "api/v1/images", "api/v1/openapi.json", "api/v1/summary"):
        assert httpx.get(f"{url}/bakehouse/{path}").status_code == 401, path
    wrong = {"Authorization": "Bearer nonsense"}
    assert httpx.get(f"{url}/bakehouse/api/v1/images", headers=wrong).status_code == 403


def test_the_page_works_below_a_base_path_and_by_itself(bed: Testbed, shown: Shown) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/air"
    environment = bed.stack.environment() | {
        "AIRFLOW__API__BASE_URL": f"{url}/",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }
    program = [str(Path(sys.executable).parent / "airflow"), "api-server", "--port", str(port)]
    server = subprocess.Popen(program, env=environment, cwd=bed.project)
    try:
        wait_until(lambda: answers(f"{url}/api/v2/version"), SOON, "the API server to answer")
        with browser_of(url, bed.stack.user, bed.stack.password) as opened:
            for page in (PAGE, "bakehouse/"):
                view(opened, "images", page=page)
                opened.page.get_by_role("row", name=re.compile(shown.newer)).wait_for()
                run = opened.page.get_by_role("link", name="Run", exact=True).first
                assert (run.get_attribute("href") or "").startswith(f"{url}/dags/")
    finally:
        server.terminate()
        server.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_fleet_is_rolled_back_from_the_page(bed: Testbed, browser: Browser, shown: Shown) -> None:
    """The last test of the file: it changes what the fleet runs."""
    until_told(browser, "images", shown.newer)
    browser.page.get_by_role("button", name=f"Roll out… {shown.older}").click()
    dialog = browser.page.get_by_role("dialog")
    assert dialog.get_by_label("Image").input_value() == shown.older
    dialog.get_by_role("button", name="Roll out", exact=True).click()
    browser.page.get_by_text("Started roll_out__web").or_(
        browser.page.get_by_role("link", name=re.compile(r"roll_out__web, run"))
    ).first.wait_for()
    run_id = bed.airflow.runs("roll_out__web")[-1]
    run = bed.airflow.wait("roll_out__web", run_id, RUN)
    assert run.state == "success", bed.explain(run)
    until_told(browser, "timeline", f"web goes back to {shown.older}")
    picture(browser, "history-rolled-back")
