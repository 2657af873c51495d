"""Machine images that nobody keeps are deleted, candidates that nobody owns are swept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.support.resources import DAG, NOW, RUN, Resource, image, owned

from bakehouse.core.reasons import Reason
from bakehouse.housekeeping.sweep import SweepFacts
from bakehouse.housekeeping.sweep import plan as sweep
from bakehouse.inventory.model import Inventory
from bakehouse.lease.lease import Owner
from bakehouse.recipe.model import Keep
from bakehouse.retire.machine_images import plan_machine_image_retirement

KEEP = Keep(last=2, grace=timedelta(days=3))


def whole(name: str, days: float, **more: Any) -> Resource:
    made = image(name, days, **more)
    del made["family"]
    return made


def why(images: list[Resource], keep: Keep = KEEP) -> dict[str, tuple[str, str]]:
    found = plan_machine_image_retirement(images, {"web": keep}, NOW, broken=["torn"])
    assert all(decision.kind == "machine_image" for decision in found)
    return {d.image: (str(d.do), str(d.reason)) for d in found}


def test_a_machine_image_is_deleted_after_both_grace_periods() -> None:
    images = [whole(f"web-{days}", days) for days in (1, 3, 5, 9, 20)]
    assert why(images) == {
        "web-1": ("leave", "within_keep"),
        "web-3": ("leave", "within_keep"),
        "web-5": ("leave", "grace"),  # pushed out a day ago
        "web-9": ("leave", "grace"),  # three days ago
        "web-20": ("leave", "grace"),  # five days ago
    }
    later = [whole(f"web-{days}", days) for days in (7, 8, 9)]
    assert why(later)["web-9"] == ("delete", "not_kept")


def test_young_pinned_and_foreign_machine_images_stay() -> None:
    images = [whole(f"web-{days}", days) for days in (10, 20, 30)]
    assert why(images)["web-30"] == ("delete", "not_kept")
    assert why(images, Keep(last=2, days=60))["web-30"] == ("leave", "within_keep")
    pinned = whole("web-31", 31, labels={"bakehouse-pin": "x"})
    candidate = whole("web-32", 32, labels={"bakehouse-state": "candidate"})
    history = whole("web-33", 33, labels={"bakehouse-state": "history"})
    gone = whole("gone-1", 90, recipe="gone")
    found = why([*images, pinned, candidate, history, gone])
    assert found["web-31"] == ("leave", "pinned")
    assert found["gone-1"] == ("leave", "recipe_gone")
    assert not {"web-32", "web-33"} & found.keys()


def test_one_upon_a_revoked_base_takes_no_place_among_those_that_are_kept() -> None:
    marked = whole("web-5", 5, labels={"revoked-base": "7"})
    images = [whole("web-4", 4), marked, whole("web-30", 30), whole("web-31", 31)]
    assert why(images)["web-30"] == ("leave", "within_keep")
    assert why(images)["web-31"] == ("leave", "grace"), "web-4 has pushed it out, not the other"


def test_a_candidate_of_a_run_that_has_ended_is_swept() -> None:
    candidate = whole("web-1", 1, labels={"bakehouse-state": "candidate"})
    inventory = Inventory(project="p", machine_images=(candidate,))
    facts = SweepFacts(NOW, {Owner(dag_id=DAG, run_id=RUN): "failed"})
    (found,) = sweep(inventory, facts)
    assert (found.kind, found.sweep, found.reason) == ("machine image", True, Reason.RUN_ENDED)


def test_an_instance_that_somebody_made_of_one_is_never_swept() -> None:
    """It has the builder's labels: they travel with a machine image."""
    facts = SweepFacts(NOW, {Owner(dag_id=DAG, run_id=RUN): "failed"})
    mine, builder = owned("instance", "shop-1"), owned("instance", "bake-web-1")
    disk = owned("disk", "shop-1")
    found = sweep(Inventory(project="p", instances=(mine, builder), disks=(disk,)), facts)
    assert [one.name for one in found] == ["bake-web-1"]
