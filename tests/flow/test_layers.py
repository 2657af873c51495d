"""A promotion, on a real scheduler, bakes what is built on the image, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN, SOON
from tests.support.nights import NIGHTLY

from devstack.waiting import wait_until

from .backfill import backfill

if TYPE_CHECKING:
    from devstack.testbed import Testbed

PARENT, CHILD = "bake__crust", "bake__pie"
TEXT = """base: {base}
scripts: web
vars: {{page: x}}
smoke: {{metadata: {{greeting: hello}}}}
"""
NIGHTS = f"schedule: {NIGHTLY}\njitter: 20m\n"


@pytest.fixture(scope="module")
def layers(stack_of_session: Testbed) -> Testbed:
    """The recipe `pie` on `crust`, with nights of its own."""
    bed = stack_of_session
    bed.write("include/recipes/crust.yaml", TEXT.format(base="debian-cloud/debian-12"))
    pie = TEXT.format(base="{recipe: crust}") + NIGHTS
    bed.add_recipe("pie", {"include/recipes/pie.yaml": pie})
    wait_until(lambda: PARENT in bed.airflow.dags(), SOON, f"{PARENT} to be parsed")
    return bed


def runs(bed: Testbed, kind: str = "asset_triggered") -> list[dict[str, Any]]:
    """Of the child, those of a kind: its nights go on beside."""
    found = bed.airflow.call("GET", f"/dags/{CHILD}/dagRuns")["dag_runs"]
    return [run for run in found if run["run_type"] == kind]


@pytest.mark.usefixtures("layers")
def test_a_promotion_bakes_the_layers_above_once_for_each_image(bed: Testbed) -> None:
    told = bed.airflow.call("GET", f"/dags/{CHILD}")
    assert told["timetable_summary"].endswith("and image/crust")
    assert told["next_dagrun_run_after"], "its own nights go on"
    assert runs(bed) == []

    parent = bed.bake(PARENT)
    assert parent.state == "success"
    image = bed.airflow.xcom(PARENT, parent.run_id, "plan_bake")["image_name"]
    wait_until(lambda: bool(runs(bed)), SOON, "the run of the layer above")
    (run,) = runs(bed)
    assert (run["run_type"], run["partition_key"]) == ("asset_triggered", image)
    assert bed.airflow.wait(CHILD, run["dag_run_id"], RUN).state == "success"
    plan = bed.airflow.xcom(CHILD, run["dag_run_id"], "plan_bake")
    pie, crust = bed.compute.newest_of("pie"), bed.compute.image(image)
    assert pie["name"] == plan["image_name"]
    assert pie["labels"]["base-image-id"] == crust["id"]
    assert (plan["parent"], plan["promoted"]) == ("crust", image)

    a_night_of_the_past_is_that_night(bed)

    again = bed.bake(PARENT)
    assert again.state == "success"
    assert bed.airflow.states(PARENT, again.run_id)["publish_image"] == "skipped"
    assert len(runs(bed)) == 1, "nothing new to build on, and no second run of one image"
    assert bed.left() == []


def test_links_and_the_assets_page_lead_to_what_was_made(layers: Testbed) -> None:
    (run_id,) = (r for r in layers.airflow.runs(PARENT) if is_whole(layers, r))
    image = layers.airflow.xcom(PARENT, run_id, "plan_bake")["image_name"]
    task = f"/dags/{PARENT}/dagRuns/{run_id}/taskInstances/smoke_test"
    links = layers.airflow.call("GET", f"{task}/links")["extra_links"]
    assert links["Image"].endswith(f"/global/images/{image}")
    assert "/instances/smoke-crust-" in links["Machine"]
    assert links["Serial log"] == f"{links['Machine']}/serial"
    assets = layers.airflow.call("GET", "/assets", params={"name_pattern": "image/crust"})["assets"]
    (asset,) = (one for one in assets if one["name"] == "image/crust")
    told = layers.airflow.call("GET", f"/assets/{asset['id']}/state-store")["asset_state_store"]
    kept = {one["key"]: one["value"] for one in told}
    assert list(kept) == ["current_image"], "there is none before the first"
    assert kept["current_image"]["name"] == image


def is_whole(bed: Testbed, run_id: str) -> bool:
    return bed.airflow.states(PARENT, run_id)["publish_image"] == "success"


def a_night_of_the_past_is_that_night(bed: Testbed) -> None:
    """Its nights are partitions; the copy of the tree has no commit that old, so it ends there."""
    backfill(bed.airflow, CHILD, "2026-11-11", "2026-11-11")
    wait_until(lambda: bool(runs(bed, "backfill")), SOON, "the run of a night of the past")
    (past,) = runs(bed, "backfill")
    assert past["logical_date"] is None
    ended = bed.airflow.wait(CHILD, past["dag_run_id"], RUN)
    assert "no commit as early as 2026-11-11T03:00:00+00:00" in bed.log(ended, "resolve_commit")
