"""A recipe whose images are machine images, step by step against a real localgce."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.core.errors import PermanentError
from bakehouse.fleet import rules as fleet_rules
from bakehouse.fleet.load import load_fleet
from bakehouse.images.labels import is_runs_own
from bakehouse.recipe import rules
from bakehouse.recipe.load import Mistakes, load_recipe

from .walk import Walk

if TYPE_CHECKING:
    from devstack.gce_api import Compute

RUNS = count(1)
ZONE = "us-central1-a"
BASE = "base: debian-cloud/debian-12\n"


def walk(**params: Any) -> Walk:
    return Walk("tray", f"tray__{next(RUNS)}", **params)


def machine_image(compute: Compute, run: Walk) -> dict[str, Any]:
    name = run.handed["plan_bake"]["image_name"]
    found: dict[str, Any] = compute.call("GET", f"global/machineImages/{name}")
    return found


@pytest.mark.long
def test_from_a_commit_to_a_promoted_machine_image(compute: Compute) -> None:
    run = walk(vars={"page": "whole"})
    run.through("label_image")
    candidate = machine_image(compute, run)
    assert candidate["labels"]["bakehouse-state"] == "candidate"
    run.through("promote_image", "smoke_test")
    image = machine_image(compute, run)
    assert image["labels"]["bakehouse-state"] == "promoted"
    assert image["labels"]["git-sha"] == run.handed["resolve_commit"]["sha"]
    assert image["labels"]["packages"] == "4"
    assert "expires" not in image["labels"]
    assert run.handed["label_image"]["size_gb"] == 10
    assert image["name"] not in {other["name"] for other in compute.images()}
    run.tear_down()

    again = walk(vars={"page": "whole"})
    assert again.through("need_bake") is False
    assert again.handed["plan_bake"]["existing_image"] == image["name"]
    again.tear_down()


@pytest.mark.long
def test_what_is_made_of_it_has_nothing_of_the_builder_and_outlives_its_run(
    compute: Compute,
) -> None:
    run = walk(vars={"page": "mine"}, force=True)
    run.through("promote_image")
    image = machine_image(compute, run)
    body = {"name": "mine-1", "sourceMachineImage": image["selfLink"]}
    compute.call("POST", f"zones/{ZONE}/instances", json=body)
    mine = compute.call("GET", f"zones/{ZONE}/instances/mine-1")
    assert not mine["metadata"].get("items"), "no script, no payload, no nonce"
    scheduling = mine["scheduling"]
    assert not {"maxRunDuration", "instanceTerminationAction"} & scheduling.keys()
    assert scheduling["automaticRestart"] is True

    assert mine["labels"]["bakehouse-role"] == "builder", "they travel with a machine image"
    assert not is_runs_own(mine)
    run.tear_down()
    label = run.handed["plan_bake"]["run"]
    found = [vm for vm in compute.instances() if vm.get("labels", {}).get("bakehouse-run") == label]
    assert [vm["name"] for vm in found] == ["mine-1"]
    assert compute.call("GET", f"zones/{ZONE}/instances/mine-1")["name"] == "mine-1"
    compute.call("DELETE", f"zones/{ZONE}/instances/mine-1")


def test_a_failed_one_is_marked_and_never_promoted(compute: Compute) -> None:
    run = walk(vars={"page": "bad", "instant_fail_check": "the page is served"})
    run.through("label_image")
    with pytest.raises(PermanentError, match="not promoted"):
        run.try_("smoke_test")
    assert machine_image(compute, run)["labels"]["bakehouse-state"] == "failed"
    run.tear_down()


def test_create_image_again_keeps_what_it_made(compute: Compute) -> None:
    run = walk(vars={"page": "again"}, force=True)
    run.through("create_image")
    before = machine_image(compute, run)["id"]
    run.clear("create_image")
    run.try_("create_image")
    assert machine_image(compute, run)["id"] == before
    run.tear_down()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("image: {kind: machine_image, family: web}\n", "has a family"),
        ("image: {kind: machine_image}\nbuilder: {spot: true}\n", "spot"),
        ("image: {kind: machine_imag}\n", "Did you mean machine_image?"),
    ],
)
def test_what_a_machine_image_cannot_be(more: str, says: str) -> None:
    with pytest.raises(Mistakes, match=says):
        load_recipe(BASE + more, "web.yaml")


def test_no_layer_and_no_swap_of_a_machine_image() -> None:
    tray = load_recipe(f"{BASE}image: {{kind: machine_image}}\n", "tray.yaml")
    slice_ = load_recipe("base: {recipe: tray}\n", "slice.yaml")
    (told,) = rules.between([tray, slice_])
    assert (told.recipe, told.loc) == ("slice", ("base", "recipe"))
    assert "which creates machine images" in told.problem
    text = "recipe: tray\nmembers: {labels: {a: b}, zones: [us-central1-a]}\n"
    (told,) = fleet_rules.between([load_fleet(text, "trays.yaml")], {"tray": tray}, {"tray"})
    assert (told.recipe, told.loc) == ("trays", ("recipe",))
    assert "remove image.kind from tray.yaml" in told.remedy
