"""Two runs of one content at a time, on a real scheduler: as with --max-active-runs 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN, SOON
from tests.support.ledger import dates_by_image, read_ledger
from tests.support.nights import NIGHTLY

from devstack.waiting import wait_until

from .backfill import backfill

if TYPE_CHECKING:
    from devstack.testbed import Testbed

DAG = "bake__twins"
RECIPE = f"""base: debian-cloud/debian-12
scripts: web
vars: {{page: twins, instant_until: ''}}
smoke: {{metadata: {{greeting: hello}}}}
schedule: {NIGHTLY}
jitter: null
"""
SLOWLY = {"page": "two at a time", "instant_until": "the-first-has-failed"}
ENDED = {"success", "failed"}


@pytest.fixture(scope="module")
def twins(stack_of_session: Testbed) -> Testbed:
    stack_of_session.add_recipe("twins", {"include/recipes/twins.yaml": RECIPE})
    return stack_of_session


@pytest.fixture
def bed(bed: Testbed, twins: Testbed) -> Testbed:  # ruff: ignore[unused-function-argument]  requested for its effect
    return bed


@pytest.mark.ci
def test_of_two_runs_one_waits_and_goes_on_itself_when_the_other_dies(bed: Testbed) -> None:
    """Two nights of one content, both at once: the first dies, the second bakes.

    A third night takes the second's image.
    """
    asked = {"run_on_latest_version": True, "dag_run_conf": {"git_ref": bed.head, "vars": SLOWLY}}
    backfill(bed.airflow, DAG, "2026-11-11", "2026-11-12", max_active_runs=2, **asked)
    found: dict[str, str] = {}

    def one_waits() -> bool:
        runs = [run["dag_run_id"] for run in nights(bed) if run["state"] == "running"]
        states = {run: bed.airflow.states(DAG, run) for run in runs}
        found["owner"] = next((r for r in runs if at_work(states[r])), "")
        found["waits"] = next((r for r in runs if states[r].get("need_bake") == "deferred"), "")
        return all(found.values())

    wait_until(one_waits, RUN, "one run to bake and the other to wait for it")
    path = f"/dags/{DAG}/dagRuns/{found['owner']}"
    bed.airflow.call("PATCH", path, json={"state": "failed"})
    bed.compute.set_project_attribute("the-first-has-failed")
    wait_until(lambda: ended(bed, 2), RUN, "the two nights to end", every=1.0)

    assert bed.airflow.run(DAG, found["owner"]).state == "failed"
    assert bed.airflow.states(DAG, found["owner"])["wait_for_shutdown"] == "failed"
    waited = bed.airflow.run(DAG, found["waits"])
    assert waited.state == "success", bed.explain(waited)
    plan = bed.airflow.xcom(DAG, waited.run_id, "plan_bake")
    assert history(bed, plan["content_key"]) == [plan["image_name"]], "who waited has baked"

    backfill(bed.airflow, DAG, "2026-11-13", "2026-11-13", **asked)
    wait_until(lambda: ended(bed, 3), RUN, "the third night to end", every=1.0)
    third = bed.airflow.run(DAG, nights(bed)[-1]["dag_run_id"])
    assert third.state == "success", bed.explain(third)
    assert bed.airflow.states(DAG, third.run_id)["create_builder"] == "skipped"
    assert history(bed, plan["content_key"]) == [plan["image_name"]]
    assert len(covered(bed, plan["image_name"])) == 2
    wait_until(lambda: bed.left() == [], SOON, "the machine of the run that died to be gone")


def at_work(states: dict[str, str | None]) -> bool:
    return states.get("wait_for_shutdown") == "deferred"


def nights(bed: Testbed) -> list[dict[str, Any]]:
    """The runs of the backfill, by their nights."""
    query = {"order_by": "logical_date", "limit": 50}
    runs = bed.airflow.call("GET", f"/dags/{DAG}/dagRuns", params=query)["dag_runs"]
    return [run for run in runs if run["run_type"] == "backfill"]


def ended(bed: Testbed, count: int) -> bool:
    return [run["state"] in ENDED for run in nights(bed)] == [True] * count


def history(bed: Testbed, key: str) -> list[str]:
    """Names of the images that stand for nights of this content."""
    labels = {image["name"]: image.get("labels", {}) for image in bed.compute.images()}
    mine = {name: of for name, of in labels.items() if of.get("content-key") == key}
    return [name for name, of in mine.items() if of["bakehouse-state"] == "history"]


def covered(bed: Testbed, image: str) -> list[Any]:
    events = read_ledger(bed.stack.layout.airflow_home / "ledger")
    return dates_by_image(events).get(image, [])
