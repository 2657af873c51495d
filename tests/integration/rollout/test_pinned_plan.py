"""What an edit of the fleet's file in the middle of a rollout changes: nothing of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import of_kind

from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.rollout_events import RolloutEndedEvent

from .test_walk import FLEET, NAMES, events, rollout
from .walk import GROUP

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from .conftest import Images
    from .walk import Rollout


def edit(run: Rollout, text: str) -> None:
    """Airflow parses the file anew, and the run goes on with its tasks."""
    run.fleet = load_fleet(text, "fleets/web.yaml")


@pytest.mark.long
def test_an_edit_in_the_middle_changes_neither_goal_nor_way_back(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-3")
    before = fleet_of.facts()
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    run.image = images.old
    edit(run, FLEET.replace("web-1, web-2, web-3", "web-9") + "on_failure: halt\n")
    run.stage(2)
    assert run.states["replace_2_1"] == "failed", "web-3 was moved to the image of the plan"
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().boot == before.boot, "everybody is back, as the plan has said"


@pytest.mark.long
def test_members_whose_stage_was_removed_are_named_and_nobody_forgets_them(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES)
    before = fleet_of.facts()
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    edit(run, FLEET.replace("[1, 100%]", "[100%]"))
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    said = str(run.errors["verdict"])
    assert said.startswith("web-2, web-3: its stage was removed from the fleet's file")
    assert f"The others run {images.new}; trigger the rollout again" in said
    (ended,) = of_kind(RolloutEndedEvent, events(run))
    assert ended.reason is Reason.STAGES_REMOVED
    assert set(before.boot.values()) <= set(fleet_of.disks()), "the way back stays"
    again = rollout(images.new)
    assert again.through() == "success", again.errors
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.new)


@pytest.mark.long
def test_members_of_a_stage_that_is_removed_before_it_begins_move_with_the_last_one(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new)
    run.begin()
    edit(run, FLEET.replace("[1, 100%]", "[100%]"))
    run.stage(1)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.new)


def test_a_member_gives_its_slot_up_to_one_before_it_that_has_not_ended(
    fleet_of: Members, images: Images
) -> None:
    """The one before has another try to come, for which its stage may have no other slot."""
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    run.select(2)
    run.states["replace_2_0"] = "up_for_retry"
    run.replace_one(2, 1)
    assert run.states["replace_2_1"] == "failed"
    said = str(run.errors["replace_2_1"])
    assert said == "web-3 is not changed: already down: web-2 (max_unavailable 1)"
    assert fleet_of.stops() == {"web-1": 1}


class Waits(list[Any]):
    """The waits of a run; the members that come first have been replaced when the first begins."""

    def __init__(self, run: Rollout, first: list[str]) -> None:
        super().__init__()
        self.run, self.first = run, first

    def append(self, deferred: Any) -> None:
        super().append(deferred)
        self.run.states |= dict.fromkeys(self.first, "success")

    @property
    def kinds(self) -> list[str]:
        return [type(deferred.trigger).__name__ for deferred in self]


def test_where_airflow_knows_no_limit_a_member_further_behind_looks_again_later(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A share of members that labels select is no number when the DAG is parsed."""
    names = [*NAMES, "web-4"]
    fleet_of.create(images.old, names)
    for name in names:
        fleet_of.label(name, "app", "web")
    text = FLEET.replace("instances: [web-1, web-2, web-3]", "labels: {app: web}")
    run = rollout(images.new, text + "max_unavailable: 25%\n")
    run.begin()
    run.stage(1)
    monkeypatch.setattr("bakehouse.rollout.beside.seconds_of_a_turn", lambda _: 0.0)
    run.select(2)
    first = ["replace_2_0", "replace_2_1"]
    run.states |= dict.fromkeys(first, "deferred")
    monkeypatch.setattr("bakehouse.rollout.turn_operator.TURN", timedelta(seconds=0.2))
    run.deferred = waits = Waits(run, first)
    run.replace_one(2, 2)
    assert run.states["replace_2_2"] == "success", run.errors
    assert waits.kinds[:2] == ["DateTimeTrigger", "SwapTrigger"]


def test_a_stage_whose_members_an_older_version_has_selected_goes_on(
    fleet_of: Members, images: Images
) -> None:
    """It has returned no `beside`: the plan and the swaps of the stage say the same."""
    fleet_of.create(images.old, NAMES)
    run = rollout(images.new, FLEET)
    run.begin()
    run.stage(1)
    run.select(2)
    del run.xcoms[f"{GROUP}.select_members_2", -1, "beside"]
    run.replace_one(2, 0)
    assert run.states["replace_2_0"] == "success", run.errors


@pytest.mark.long
def test_a_fleet_goes_there_and_back_and_there_again(fleet_of: Members, images: Images) -> None:
    fleet_of.create(images.old, ["web-1"])
    for image in (images.new, images.old, images.new):
        run = rollout(image, members=["web-1"])
        assert run.through() == "success", run.errors
        assert fleet_of.facts().health == {"web-1": image}
