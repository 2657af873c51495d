"""Airflow's pages in a real browser: forms as their help says, and clearing a failed run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN, SOON

from devstack.browser import CHROMIUM, browser_of
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.browser import Browser
    from devstack.testbed import Testbed

ROLL_OUT = "roll_out__web"
AS_OFFERED: dict[str, Any] = {
    "image": None,
    "members": None,
    "plan_only": False,
    "reconcile": False,
    "force": False,
    "why": None,
    "release": False,
    "metadata": {},
}
"""What the form of a rollout sends if nothing is filled in."""
RECIPE = """
base: debian-cloud/debian-12
scripts: web
vars: {page: pages, instant_until: ''}
smoke: {metadata: {greeting: hello}}
"""


@pytest.fixture
def browser(bed: Testbed) -> Iterator[Browser]:
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"{CHROMIUM} does not exist: apt-get install chromium, or name one in BROWSER")
    stack = bed.stack
    with browser_of(stack.record.airflow_url, stack.user, stack.password) as opened:
        yield opened


@pytest.fixture
def named_members(bed: Testbed) -> None:
    """The fleet names its members, so that the form offers them."""
    bed.declare_members(["web-1", "web-2", "web-3"])


def forget(bed: Testbed, dag_id: str, run_id: str) -> None:
    """Wait until the run has ended, and delete it: it has told what it is for."""
    bed.airflow.wait(dag_id, run_id, RUN)
    bed.airflow.call("DELETE", f"/dags/{dag_id}/dagRuns/{run_id}")


@pytest.mark.ci
@pytest.mark.parametrize(
    ("dag_id", "conf"),
    [
        (ROLL_OUT, AS_OFFERED),
        ("housekeeping", {"dry_run": True, "recipe": None}),
    ],
)
def test_a_form_is_submitted_without_what_its_help_calls_optional(
    bed: Testbed, browser: Browser, dag_id: str, conf: dict[str, Any]
) -> None:
    sent, status, answer = browser.submit(browser.trigger(dag_id))
    assert (status, sent["conf"]) == (200, conf), answer
    forget(bed, dag_id, answer["dag_run_id"])


@pytest.mark.usefixtures("named_members")
def test_a_field_that_was_filled_and_emptied_is_submitted(bed: Testbed, browser: Browser) -> None:
    dialog = browser.trigger(ROLL_OUT)
    image = dialog.locator("#element_image")
    image.fill("web-1")
    image.fill("")
    browser.choose(dialog, "members", "web-2")
    dialog.get_by_label("Remove web-2").click()
    sent, status, answer = browser.submit(dialog)
    assert (status, sent["conf"]) == (200, AS_OFFERED), answer
    forget(bed, ROLL_OUT, answer["dag_run_id"])


def test_a_bake_is_submitted_with_its_defaults(bed: Testbed, browser: Browser) -> None:
    sent, status, answer = browser.submit(browser.trigger("bake__web"))
    assert status == 200, answer
    assert sent["conf"]["git_ref"] == "HEAD"
    bed.airflow.wait("bake__web", answer["dag_run_id"], RUN)


@pytest.mark.usefixtures("named_members")
def test_the_image_is_chosen_from_the_recipes_images_or_typed(
    bed: Testbed, browser: Browser
) -> None:
    run = bed.bake("bake__web", force=True, roll_out=False)
    image = bed.airflow.xcom("bake__web", run.run_id, "plan_bake")["image_name"]
    bed.airflow.reparse(ROLL_OUT)
    wait_until(lambda: image in offered(bed), SOON, f"the form to offer {image}")
    dialog = browser.trigger(ROLL_OUT)
    assert dialog.locator(f"datalist option[value='{image}']").count() == 1
    dialog.locator("#element_image").fill("web-typed")
    browser.choose(dialog, "members", "web-2")
    sent, status, answer = browser.submit(dialog)
    conf = {**AS_OFFERED, "image": "web-typed", "members": ["web-2"]}
    assert (status, sent["conf"]) == (200, conf), answer
    forget(bed, ROLL_OUT, answer["dag_run_id"])


def offered(bed: Testbed) -> list[str]:
    params = bed.airflow.call("GET", f"/dags/{ROLL_OUT}/details")["params"]
    found: list[str] = params["image"]["schema"].get("examples", [])
    return found


def test_what_must_be_given_is_asked_for_and_a_wrong_value_makes_no_run(
    bed: Testbed, browser: Browser
) -> None:
    before = bed.airflow.runs("revoke")
    dialog = browser.trigger("revoke")
    assert not dialog.get_by_role("button", name="Trigger", exact=True).is_enabled()
    dialog.locator("#element_image").fill("NOT a name")
    dialog.locator("#element_why").fill("to see what happens")
    _, status, answer = browser.submit(dialog)
    assert status == 400
    assert "image" in answer["detail"]
    told = dialog.get_by_text("does not match").or_(dialog.get_by_text("NOT a name")).first
    told.wait_for()
    assert bed.airflow.runs("revoke") == before


def test_an_image_is_revoked_by_its_form(bed: Testbed, browser: Browser) -> None:
    baked = bed.bake("bake__web", force=True, roll_out=False)
    image = bed.airflow.xcom("bake__web", baked.run_id, "plan_bake")["image_name"]
    dialog = browser.trigger("revoke")
    dialog.locator("#element_image").fill(image)
    dialog.locator("#element_why").fill("its page is wrong")
    _, status, answer = browser.submit(dialog)
    assert status == 200, answer
    run = bed.airflow.wait("revoke", answer["dag_run_id"], RUN)
    assert run.state == "success", bed.explain(run)
    assert bed.compute.image(image)["deprecated"]["state"] == "OBSOLETE"


def test_a_run_that_is_marked_as_failed_in_the_page_stays_failed(
    bed: Testbed, browser: Browser
) -> None:
    dag_id = "bake__pages"
    bed.add_recipe("pages", {"include/recipes/pages.yaml": RECIPE})
    run_id = bed.airflow.trigger(dag_id, {"vars": {"instant_until": "never-said"}})
    waits = "wait_for_shutdown"
    wait_until(lambda: bed.airflow.states(dag_id, run_id).get(waits) == "deferred", SOON, waits)
    assert browser.mark(dag_id, run_id, "failed") == 200
    run = bed.airflow.wait(dag_id, run_id, RUN)
    assert run.state == "failed"
    assert bed.airflow.states(dag_id, run_id)["result"] == "failed"
    assert [one for one in bed.compute.instances() if "pages" in one["name"]] == []
    browser.go(f"dags/{dag_id}/runs/{run_id}")
    browser.page.get_by_text("somebody marked the run as failed").first.wait_for()
    assert browser.mark(dag_id, run_id, "success") == 200
    wait_until(lambda: bed.airflow.wait(dag_id, run_id, RUN).state == "success", SOON, "success")


def test_a_failed_run_is_cleared_in_the_page(bed: Testbed, browser: Browser) -> None:
    run_id = bed.airflow.trigger(ROLL_OUT, {"image": "web-nobody-has"})
    assert bed.airflow.wait(ROLL_OUT, run_id, RUN).state == "failed"
    assert browser.clear(ROLL_OUT, run_id) == 200
    run = bed.airflow.wait(ROLL_OUT, run_id, RUN)
    assert run.state == "failed"
    tries = {task.task_id: task.try_number for task in bed.airflow.tasks(ROLL_OUT, run_id)}
    assert tries["replace_instances.choose_image"] == 2
    states = bed.airflow.states(ROLL_OUT, run_id)
    red = {task for task, state in states.items() if state == "failed"}
    assert red == {"replace_instances.choose_image", "result"}
    browser.go(f"dags/{ROLL_OUT}/runs/{run_id}")
    browser.page.get_by_text("no image web-nobody-has exists").first.wait_for()
    forget(bed, ROLL_OUT, run_id)


def test_a_key_that_the_form_does_not_have_moves_nobody(bed: Testbed) -> None:
    """Not even where it is like one: `member` must not mean all members."""
    run = bed.airflow.wait(ROLL_OUT, bed.airflow.trigger(ROLL_OUT, {"member": ["web-1"]}), RUN)
    assert run.state == "failed"
    states = bed.airflow.states(ROLL_OUT, run.run_id)
    assert "success" not in {state for task, state in states.items() if task != "sla_watch"}
    told = bed.log(run, "replace_instances.choose_image")
    assert "did you mean 'members'?" in told
    forget(bed, ROLL_OUT, run.run_id)
