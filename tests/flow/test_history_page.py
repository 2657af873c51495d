"""The page of the images in a browser, on a real Airflow: read, compared, and rolled back from.

With PICTURES set the tests take the pictures of docs/history.md.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml
from tests.flow.reverse_proxy import NGINX, answers, nginx
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


RECIPE, INSTALL = "include/recipes/web.yaml", "include/startup_scripts/web/install.sh.j2"
KNOBS = {"instant_packages": "", "instant_fail_check": ""}
BEFORE = (
    "libc6=2.36-9+deb12u9 libssl3=3.0.15-1~deb12u1 nginx-light=1.22.1-9+deb12u2 vim-tiny=9.0.1378-2"
)
AFTER = (
    "curl=7.88.1-10+deb12u12 libc6=2.36-9+deb12u10 libssl3=3.0.17-1~deb12u2"
    " nginx-light=1.22.1-9+deb12u3"
)


@dataclass(frozen=True)
class Shown:
    """Two images of the recipe web, the fleet runs the newer one; and one that failed its test."""

    older: str
    newer: str
    failed: str


@pytest.fixture(scope="module")
def shown(stack_of_session: Testbed) -> Iterator[Shown]:
    bed = stack_of_session
    recipe, install = (
        (bed.project / path).read_text(encoding="utf-8") for path in (RECIPE, INSTALL)
    )
    loaded = yaml.safe_load(recipe)  # another test of this stack may have written it
    bed.write(RECIPE, yaml.safe_dump({**loaded, "vars": {**loaded["vars"], **KNOBS}}))
    bed.commit(MARKUP)
    bed.parse_until("bake__web", lambda: "instant_packages" in form(bed), "the form to have it")
    older = bake(bed, page="An older page", instant_packages=BEFORE, roll_out=False)
    failed = bake(bed, "failed", instant_fail_check="port 8080 answers", roll_out=False)
    demo_fleet.create(bed.compute, older, "instant")
    bed.declare_members(list(demo_fleet.MEMBERS))
    bed.write(INSTALL, f"{install}install -d -m 0755 /srv/data\n", 0o755)
    bed.commit("A folder for data")
    yield Shown(older, bake(bed, instant_packages=AFTER), failed)
    bed.compute.delete_machines()
    bed.write(RECIPE, recipe)
    bed.write(INSTALL, install, 0o755)
    bed.commit("The recipe as it was")


def form(bed: Testbed) -> str:
    """What the form of a bake takes as vars."""
    return json.dumps(bed.airflow.call("GET", "/dags/bake__web/details")["params"]["vars"])


def bake(bed: Testbed, state: str = "success", *, roll_out: bool = True, **variables: str) -> str:
    """Return the image of a bake that has ended in this state."""
    run = bed.bake("bake__web", vars=variables, roll_out=roll_out, force=True)
    assert run.state == state, bed.explain(run)
    name: str = bed.airflow.xcom("bake__web", run.run_id, "plan_bake")["image_name"]
    return name


@pytest.fixture
def browser(bed: Testbed) -> Iterator[Browser]:
    """The browser; an error on its console fails the test."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"{CHROMIUM} does not exist: apt-get install chromium, or name one in BROWSER")
    stack = bed.stack
    with browser_of(stack.record.airflow_url, stack.user, stack.password) as opened:
        errors = opened.errors()
        opened.turn(1500, 900)
        yield opened
        assert errors == []


def view(browser: Browser, name: str, more: str = "", page: str = PAGE) -> None:
    browser.go(f"{page}?view={name}{more}")
    browser.page.locator(".bh-title").wait_for()


def picture(browser: Browser, name: str, height: int = 900) -> None:
    if os.environ.get("PICTURES"):
        browser.turn(1500, height)
        browser.page.wait_for_timeout(1_000)
        browser.page.screenshot(path=PICTURES / f"{name}.png")
        browser.turn(1500, 900)


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
    for told in ("libssl3", "3.0.15-1~deb12u1", "3.0.17-1~deb12u2", "An older page"):
        assert told in text
    assert "+install -d -m 0755 /srv/data" in text
    picture(browser, "history-compare", 1250)


def test_a_member_is_compared_with_an_image(browser: Browser, shown: Shown) -> None:
    until_told(browser, "members", "web/web-1")
    view(browser, "compare", f"&old=web/web-1&new={shown.older}")
    browser.page.locator(".bh-between").wait_for()
    between = browser.page.locator(".bh-between").inner_text()
    assert between == f"From {shown.newer} to {shown.older}"
    assert browser.page.get_by_label("From an image").input_value() == "web/web-1"


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
        if scheme == "dark" and name == "plots":
            picture(browser, "history-plots-dark")


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
    browser.page.keyboard.press("Enter")
    dialog.wait_for(state="detached")


def test_a_failed_candidate_says_why_and_that_its_verdict_is_signed(
    browser: Browser, shown: Shown
) -> None:
    until_told(browser, "images", shown.newer)
    view(browser, "images", "&state=failed")
    row = browser.page.get_by_role("row", name=re.compile(shown.failed))
    told = row.inner_text()
    assert "failed candidate" in told
    assert "port 8080 answers" in told
    assert "signed" in told


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


@pytest.mark.parametrize("proxy", [False, True], ids=["by itself", "behind nginx"])
def test_the_page_works_below_a_base_path(
    bed: Testbed, shown: Shown, tmp_path: Path, *, proxy: bool
) -> None:
    if proxy and NGINX is None:
        pytest.skip("there is no nginx: apt-get install nginx")
    server, port = free_port(), free_port()
    url = f"http://127.0.0.1:{port if proxy else server}/air"
    environment = bed.stack.environment() | {
        "AIRFLOW__API__BASE_URL": f"{url}/",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
    }
    program = [str(Path(sys.executable).parent / "airflow"), "api-server", "--port", str(server)]
    with ExitStack() as undo:
        started = subprocess.Popen([*program, "--proxy-headers"], env=environment, cwd=bed.project)
        undo.callback(started.wait, 60)
        undo.callback(started.terminate)
        if proxy:
            undo.enter_context(nginx(tmp_path, port, "air", server))
        wait_until(lambda: answers(f"{url}/api/v2/version"), SOON, "the API server to answer")
        opened = undo.enter_context(browser_of(url, bed.stack.user, bed.stack.password))
        errors = opened.errors()
        for page in (PAGE, "bakehouse/"):
            view(opened, "images", page=page)
            opened.page.get_by_role("row", name=re.compile(shown.newer)).wait_for()
            run = opened.page.get_by_role("link", name="Run", exact=True).first
            assert (run.get_attribute("href") or "").startswith(f"{url}/dags/")
        listed = opened.page.request.get(f"{url}/bakehouse/api/v1/images").json()
        assert shown.newer in {row["image"] for row in listed["images"]}
        schema = opened.page.request.get(f"{url}/bakehouse/api/v1/openapi.json").json()
        assert schema["servers"] == [{"url": "/air/bakehouse"}]
        assert httpx.get(f"{url}/bakehouse/api/v1/images").status_code == 401
        assert errors == []


def test_a_fleet_is_rolled_back_from_the_page_once_the_freeze_is_over(
    bed: Testbed, browser: Browser, shown: Shown
) -> None:
    """It changes what the fleet runs, as the test behind it does to an image."""
    until_told(browser, "images", shown.newer)
    browser.page.get_by_role("button", name="Freeze…").click()
    browser.page.get_by_role("dialog").get_by_label("Why").fill('the "quarter" ends')
    browser.page.get_by_role("button", name="Freeze", exact=True).click()
    browser.page.get_by_text("All fleets are frozen.").wait_for()
    frozen = json.loads(bed.airflow.call("GET", "/variables/bakehouse_freeze")["value"])
    assert frozen == {"who": bed.stack.user, "why": 'the "quarter" ends'}
    try:
        run_id = roll_out(bed, browser, shown.older)
        until_told(browser, "members", "waits since")
        check_with_axe(browser, ".bh")
        picture(browser, "history-waits")
    finally:
        view(browser, "members")
        browser.page.get_by_role("button", name="End the freeze…").click()
        browser.page.get_by_role("button", name="End the freeze", exact=True).click()
        browser.page.get_by_text("The freeze is over.").wait_for()
    run = bed.airflow.wait("roll_out__web", run_id, RUN)
    assert run.state == "success", bed.explain(run)
    until_told(browser, "timeline", f"web goes back to {shown.older}")
    until_told(browser, "members", f"{shown.newer} is held back from the fleet web by")
    picture(browser, "history-members")


def roll_out(bed: Testbed, browser: Browser, image: str) -> str:
    """Press Roll out… in the row of an image; return the run."""
    view(browser, "images", f"&search={image}")
    browser.page.get_by_role("button", name=f"Roll out… {image}").click()
    dialog = browser.page.get_by_role("dialog")
    assert dialog.get_by_label("Image").input_value() == image
    dialog.get_by_label("Why").fill("the page is wrong")
    picture(browser, "history-roll-out")
    dialog.get_by_role("button", name="Roll out", exact=True).click()
    browser.page.get_by_role("link", name=re.compile(r"roll_out__web, run")).wait_for()
    return bed.airflow.runs("roll_out__web")[-1]


def test_an_image_is_revoked_from_the_page(bed: Testbed, browser: Browser, shown: Shown) -> None:
    until_told(browser, "images", shown.newer)
    view(browser, "image", f"&image={shown.newer}")
    browser.page.get_by_role("button", name=f"Revoke… {shown.newer}").click()
    dialog = browser.page.get_by_role("dialog")
    dialog.get_by_label("Why").fill("its page is <b>wrong</b>")
    dialog.get_by_role("button", name="Revoke", exact=True).click()
    browser.page.get_by_role("link", name=re.compile(r"revoke, run")).wait_for()
    run = bed.airflow.wait("revoke", bed.airflow.runs("revoke")[-1], RUN)
    assert run.state == "success", bed.explain(run)

    def is_revoked() -> bool:
        view(browser, "images", "&state=revoked")
        return "its page is <b>wrong</b>" in browser.page.locator(".bh").inner_text()

    wait_until(is_revoked, SOON, "the image to be shown as revoked, with the reason")
    assert browser.page.get_by_role("row").filter(has_text=shown.newer).count() == 1
    assert browser.page.get_by_role("button", name=f"Roll out… {shown.newer}").count() == 0
    view(browser, "timeline")
    picture(browser, "history-timeline")
