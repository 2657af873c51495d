"""Housekeeping runs, and an image is revoked, on a real scheduler with instant machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import SOON
from tests.support.ledger import read_ledger

from bakehouse.images.names import run_label
from devstack.airflow_api import AirflowError, Run
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bakehouse.history.events import LedgerEvent
    from devstack.testbed import Testbed

ZONE = "us-central1-a"
RECIPE = """\
base: debian-cloud/debian-12
vars: {page: house}
services: [nginx]
smoke: {metadata: {greeting: hello}}
image: {keep: {last: 1}}
"""
FLEET = f"recipe: house\nmembers: {{instances: [house-1], zones: [{ZONE}]}}\n"


@pytest.fixture
def baked(bed: Testbed) -> Iterator[Run]:
    """A recipe with a fleet of its own, and the run that has baked its first image."""
    bed.write("include/fleets/house.yaml", FLEET)
    bed.add_web("house", RECIPE)
    bed.parse_until(
        "housekeeping", lambda: "house" in recipes_of_the_form(bed), "the form to name the recipe"
    )
    roll_out = "roll_out__house"
    bed.parse_until("roll_out__web", lambda: roll_out in bed.airflow.dags(), f"the DAG {roll_out}")
    run = bed.bake("bake__house")
    assert run.state == "success", bed.airflow.states(run.dag_id, run.run_id)
    yield run
    bed.compute.delete_machines()


@pytest.mark.ci
def test_the_housekeeping_is_done_and_an_image_revoked(bed: Testbed, baked: Run) -> None:
    first = xcom(bed, baked, "plan_bake")["image_name"]
    copy(bed, "house-2", first)
    copy(bed, "house-3", first)
    machine(bed, "house-1", first)
    machine(bed, "somebodys", first)
    machine(bed, "bake-house-left", first, **left_by(baked, "builder"))
    copy(bed, "house-left", first, **left_by(baked, "image"))
    before = standing(bed)

    dry = bed.bake("housekeeping")
    assert states(bed, dry) == {
        "plan_sweep": "success",
        "sweep": "skipped",
        "plan_retire": "success",
        "retire": "skipped",
        "show_drift": "success",
        "find_missing_fixes": "success",
        "ask_for_fixes": "skipped",
        "compact_ledger": "skipped",
    }
    assert standing(bed) == before
    assert f"bake-house-left: sweep, the run that created it has ended ({baked.dag_id}" in bed.log(
        dry, "plan_sweep"
    )

    run = bed.bake("housekeeping", dry_run=False, recipe="house")
    assert run.state == "success", states(bed, run)
    swept = {(found["kind"], found["name"]) for found in xcom(bed, run, "sweep")}
    left = "bake-house-left"
    assert swept == {("instance", left), ("disk", left), ("image", "house-left")}
    assert standing(bed) == before - {left, "house-left"}
    assert [d["image"] for d in xcom(bed, run, "retire")] == ["house-2"]
    assert stage(bed, "house-2") == "DEPRECATED"
    assert stage(bed, first) == "ACTIVE", "house-1 runs on it"
    (drift,) = xcom(bed, run, "show_drift")
    assert (drift["newest"], [m["name"] for m in drift["behind"]]) == ("house-3", ["house-1"])
    assert {e.kind for e in events(bed, run)} == {
        "swept",
        "image_deprecated",
        "images_kept",
        "members",
        "missing_fixes",
        "drift",
    }

    with pytest.raises(AirflowError, match="400"):
        bed.airflow.trigger("revoke", {"image": "No Such Image", "why": "a test"})
    revoked = bed.bake("revoke", image=first, why="its page is wrong")
    assert revoked.state == "success", states(bed, revoked)
    assert stage(bed, first) == "OBSOLETE"
    assert bed.compute.image(first)["labels"]["bakehouse-state"] == "revoked"
    (named,) = xcom(bed, revoked, "name_members")
    assert (named["fleet"], named["member"], named["image"]) == ("house", "house-1", first)

    rollout = bed.bake("roll_out__house", image=first)
    assert rollout.state == "failed"
    lines = bed.airflow.log(rollout.dag_id, rollout.run_id, "replace_instances.choose_image")
    assert f"{first}: it is revoked" in str(lines)


def recipes_of_the_form(bed: Testbed) -> list[str]:
    params = bed.airflow.call("GET", "/dags/housekeeping/details")["params"]
    return list(params["recipe"]["schema"]["enum"])


def copy(bed: Testbed, name: str, source: str, **owned: Any) -> None:
    """Another image with the same content; promoted as the first one was, unless told."""
    like = bed.compute.image(source)
    given = {"labels": like["labels"], "family": like["family"]}
    body = {"name": name, "sourceImage": f"global/images/{source}", **(owned or given)}
    bed.compute.call("POST", "global/images", json=body)
    wait_until(lambda: bed.compute.image(name)["status"] == "READY", SOON, name)


def left_by(run: Run, role: str) -> dict[str, Any]:
    labels = {
        "bakehouse-recipe": "house",
        "bakehouse-run": run_label(run.dag_id, run.run_id),
        "bakehouse-role": role,
        "bakehouse-state": "candidate",
    }
    return {"labels": labels, "description": f"house, made by {run.dag_id} {run.run_id}"}


def machine(bed: Testbed, name: str, source: str, **owned: Any) -> None:
    """A builder that was left behind loses its disk only when somebody looks for that too."""
    initial = {"sourceImage": f"global/images/{source}", **owned}
    body = {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-small",
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [{"boot": True, "autoDelete": not owned, "initializeParams": initial}],
        **owned,
    }
    bed.compute.call("POST", f"zones/{ZONE}/instances", json=body)
    wait_until(lambda: name in {i["name"] for i in bed.compute.instances()}, SOON, name)


def standing(bed: Testbed) -> set[str]:
    every = [*bed.compute.instances(), *bed.compute.disks(), *bed.compute.images()]
    return {str(item["name"]) for item in every}


def stage(bed: Testbed, image: str) -> str:
    return str(bed.compute.image(image).get("deprecated", {}).get("state", "ACTIVE"))


def xcom(bed: Testbed, run: Run, task_id: str) -> Any:
    return bed.airflow.xcom(run.dag_id, run.run_id, task_id)


def states(bed: Testbed, run: Run) -> dict[str, str | None]:
    found = bed.airflow.states(run.dag_id, run.run_id)
    return {task: state for task, state in found.items() if task not in {"sla_watch", "result"}}


def events(bed: Testbed, run: Run) -> list[LedgerEvent]:
    return read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)
