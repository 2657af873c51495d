"""A member that goes down in the middle of a rollout stops the line, and is waited for."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.ledger import of_kind

from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.wait_events import WaitedEvent, WaitsEvent

from .test_walk import FLEET, NAMES, events, rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from .conftest import Images
    from .walk import Rollout

WHY = "already down: web-1 (max_unavailable 1)"


@pytest.fixture
def begun(fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout whose first stage has passed."""
    monkeypatch.setattr("bakehouse.rollout.turn_operator.TURN", timedelta(seconds=0.2))
    fleet_of.create(images.old, NAMES)
    found = rollout(images.new, FLEET)
    found.begin()
    found.stage(1)
    return found


@pytest.fixture
def run(begun: Rollout, fleet_of: Members) -> Rollout:
    """A rollout whose first stage has passed; then its member is lost."""
    fleet_of.stop("web-1")
    return begun


@pytest.fixture
def one_on_its_way(begun: Rollout, fleet_of: Members) -> Rollout:
    """A rollout in its second stage, of which web-3 is down in the middle of its swap."""
    begun.select(2)
    begun.states["replace_2_0"] = "success"  # that of web-2 let it go first
    begun.replace_one(2, 1)
    begun.states |= {"replace_2_0": None, "replace_2_1": "deferred"}
    fleet_of.stop("web-3")
    return begun


def back_when_waited_for(run: Rollout, fleet_of: Members, name: str) -> list[Any]:
    """Restart this member as soon as web-2 waits; returns what is told of waits from now on."""
    told: list[Any] = []

    def push(key: str, value: Any) -> None:
        if key == "waits":
            told.append(value and (value["member"], value["why"]))
            if value and value["member"] == "web-2":
                fleet_of.restart(name)

    run.on_push = push
    return told


def test_the_line_goes_on_when_the_member_is_back(
    run: Rollout, fleet_of: Members, images: Images
) -> None:
    told = back_when_waited_for(run, fleet_of, "web-1")
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert told == [("web-2", WHY), None]
    (waits,) = of_kind(WaitsEvent, events(run))
    assert (waits.reason, waits.detail.member, waits.detail.why) == (
        Reason.GATE_CLOSED,
        "web-2",
        WHY,
    )
    (waited,) = of_kind(WaitedEvent, events(run))
    assert waited.detail.why == "the others are up again"
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.new)


def test_one_behind_it_that_is_on_its_way_is_waited_for_within_the_same_try(
    one_on_its_way: Rollout, fleet_of: Members, images: Images
) -> None:
    """A broker that has died in the middle of a rollout may recover its logs for long."""
    told = back_when_waited_for(one_on_its_way, fleet_of, "web-3")
    one_on_its_way.replace_one(2, 0)
    assert one_on_its_way.states["replace_2_0"] == "success", one_on_its_way.errors
    assert told == [("web-2", "already down: web-3 (max_unavailable 1)"), None]
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.new)


def test_one_on_its_way_whose_task_waits_for_its_next_try_gets_the_slot(
    one_on_its_way: Rollout, fleet_of: Members
) -> None:
    one_on_its_way.states["replace_2_1"] = "up_for_retry"
    before = fleet_of.stops()
    one_on_its_way.replace_one(2, 0)
    said = str(one_on_its_way.errors["replace_2_0"])
    assert said == "web-2 is not changed: already down: web-3 (max_unavailable 1)"
    assert fleet_of.stops() == before


def test_one_behind_it_that_is_dead_and_waits_for_its_turn_gets_it(
    begun: Rollout, fleet_of: Members
) -> None:
    """Both would wait for each other."""
    begun.select(2)
    fleet_of.stop("web-3")
    before = fleet_of.stops()
    begun.states["replace_2_1"] = "deferred"
    begun.replace_one(2, 0)
    said = str(begun.errors["replace_2_0"])
    assert said == "web-2 is not changed: already down: web-3 (max_unavailable 1)"
    assert fleet_of.stops() == before


def test_nobody_else_is_touched_when_it_stays_down_for_too_long(
    run: Rollout, fleet_of: Members
) -> None:
    run.fleet = load_fleet(FLEET + "gate: {deadline: 1s, hint: look at web-1}\n", "fleets/web.yaml")
    before = fleet_of.stops()
    run.stage(2)
    assert fleet_of.stops() == before
    said = str(run.errors["replace_2_0"])
    assert WHY in said
    assert "It has waited since 2" in said
    assert "Hint: look at web-1" in said
