"""A rollout that is under way survives an upgrade, and a fleet at rest does not notice one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.fake_compute import NEW_IMAGE, Cloud

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.rollout.events import SoakEnded, SwapEnded
from bakehouse.rollout.instance_facts import member_of
from bakehouse.rollout.plan import RolloutPlan
from bakehouse.rollout.planner import plan
from bakehouse.rollout.rollout_disks import recall
from bakehouse.rollout.stored import SCHEMA, Stored
from bakehouse.rollout.strategies.swap import Swap

if TYPE_CHECKING:
    from bakehouse.core.models import Frozen

FORMS = sorted(Path(__file__).with_name("stored").glob("schema-*.json"))
MODELS: dict[str, type[Frozen]] = {
    "plan": RolloutPlan,
    "swap_there": Swap,
    "swap_back": Swap,
    "swap_ended": SwapEnded,
    "soak_ended": SoakEnded,
}


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def is_in(part: Any, whole: Any) -> bool:
    """Whether all that one says the other says too, whatever else it says."""
    if isinstance(part, dict):
        return all(key in whole and is_in(value, whole[key]) for key, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(map(is_in, part, whole))
    return bool(part == whole)


def test_there_is_an_example_of_every_form() -> None:
    assert [path.stem for path in FORMS] == [f"schema-{n}" for n in range(SCHEMA + 1)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_what_a_version_has_stored_says_the_same_to_this_one(path: Path, name: str) -> None:
    stored = read(path)[name]
    found = MODELS[name].model_validate(stored)
    assert is_in(stored, found.model_dump(mode="json"))


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_member_without_a_stored_second_disk_gets_no_second_try(path: Path) -> None:
    """Version 0 had none: the walk ends as it would have, and takes no disk of another."""
    swap = Swap.model_validate(read(path)["swap_there"])
    assert bool(swap.second_disk) == (path.stem != "schema-0")
    assert swap.disks[0] == swap.disk


@pytest.mark.parametrize("model", [RolloutPlan, Swap])
def test_what_a_newer_version_has_stored_is_refused_with_the_remedy(model: type[Stored]) -> None:
    newer = {"schema_version": SCHEMA + 1, "fields": "that nobody knows"}
    with pytest.raises(PermanentError, match=r"newer version of Bakehouse \(form \d; this version"):
        model.model_validate(newer)


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_fleet_at_rest_is_not_touched_after_an_upgrade(path: Path) -> None:
    """Its disks are those that an older version has made, with the labels and texts of that."""
    made = read(path)["disk"]
    there = {**made, "id": "12", "sourceImageId": NEW_IMAGE.id, "status": "READY"}
    instance = Cloud(boot=made["name"]).instance()
    member = member_of(instance, there)
    disks = {made["name"]: {**there, "creationTimestamp": "2026-11-23T09:00:00Z"}}
    found = plan("web", "another-run", NEW_IMAGE, (1, "100%"), [member], disks)
    assert found.changes == ()
    assert [(s.name, s.reason) for s in found.skipped] == [("web-1", Reason.ALREADY_ON_IMAGE)]
    old = recall(made)
    assert old is not None
    assert (old.name, old.id, old.image_id) == ("web-1", "9", "100"), "and its way back is known"
