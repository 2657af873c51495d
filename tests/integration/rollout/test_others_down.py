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
def run(fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """A rollout whose first stage has passed; then its member is lost."""
    monkeypatch.setattr("bakehouse.rollout.turn_operator.TURN", timedelta(seconds=0.2))
    fleet_of.create(images.old, NAMES)
    found = rollout(images.new, FLEET)
    found.begin()
    found.stage(1)
    fleet_of.stop("web-1")
    return found


def test_the_line_goes_on_when_the_member_is_back(
    run: Rollout, fleet_of: Members, images: Images
) -> None:
    told: list[Any] = []

    def back(key: str, value: Any) -> None:
        if key == "waits":
            told.append(value and (value["member"], value["why"]))
            if value and value["member"] == "web-2":
                fleet_of.restart("web-1")

    run.on_push = back
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
