"""No member gets an image that cannot read its data, forward or back; on instant machines."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.ledger import of_kind, read_ledger

from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import RolloutEndedEvent, RolloutPlannedEvent
from bakehouse.images.formats import FormatRange
from bakehouse.rollout import members
from bakehouse.rollout.guest_orders import GuestOrders
from bakehouse.rollout.plan import RolloutPlan, WayBack

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from bakehouse.rollout.orders import Answer, Order
    from devstack.gce_api import Compute

    from .conftest import Images

RUNS = count(1)
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""
BEFORE, AFTER = "format metadata.version 29", "format metadata.version 33"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.rollout.guest_orders.PAUSES", (0.05,))
    monkeypatch.setattr("bakehouse.rollout.handover.ASK_AGAIN", 0.1)
    monkeypatch.setattr("bakehouse.rollout.ask_trigger.FIRST_LOOK", 0.0)
    monkeypatch.setattr("bakehouse.rollout.gate_survey_trigger.FIRST_LOOK", 0.0)


def declare(monkeypatch: pytest.MonkeyPatch, greatest: dict[str, int]) -> None:
    """What the manifests of images say, by name."""
    reads = {name: (FormatRange("metadata.version", 7, most),) for name, most in greatest.items()}
    monkeypatch.setattr(
        "bakehouse.rollout.planning.reads_of", lambda _ledger, name: reads.get(name, ())
    )


def rollout(image: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__formats{next(RUNS)}", image)


def says(compute: Compute, name: str, gate: str) -> None:
    path = f"{HERE}/instances/{name}"
    metadata = compute.call("GET", path)["metadata"]
    items = [item for item in metadata["items"] if item["key"] != "instant-gate"]
    body = {**metadata, "items": [*items, {"key": "instant-gate", "value": gate}]}
    compute.call("POST", f"{path}/setMetadata", json=body)


def create(fleet_of: Members, image: str, gate: str, plain: str = "") -> None:
    fleet_of.create(image, ["web-1", "web-2"], plain=plain, more={"instant-gate": gate})


def ended(run: Rollout) -> Any:
    (event,) = of_kind(RolloutEndedEvent, read_ledger(ledger_url(), run.run_id))
    return event.detail


def test_the_plan_refuses_an_image_that_cannot_read_the_data(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {images.old: 33, images.new: 29})
    create(fleet_of, images.old, AFTER)
    run = rollout(images.new)
    run.through()
    assert fleet_of.stops() == {}
    why = f"metadata.version 33 is finalised, {images.new} cannot read it (it reads 7 to 29)"
    assert str(run.errors["plan"]).startswith(why)
    assert run.states["plan"] == "failed"


@pytest.mark.long
def test_the_plan_says_that_the_way_back_is_closed_and_the_rollout_goes_on(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {images.old: 29, images.new: 33})
    create(fleet_of, images.old, AFTER)
    run = rollout(images.new)
    assert run.through() == "success", run.errors
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    assert {change.way_back for change in plan.changes} == {WayBack.UNREADABLE}
    (event,) = of_kind(RolloutPlannedEvent, read_ledger(ledger_url(), run.run_id))
    assert {member.way_back for member in event.detail.members} == {"unreadable"}


def test_a_member_is_not_stopped_for_an_image_that_cannot_read_its_data_any_more(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has finalised a format since the plan was made."""
    declare(monkeypatch, {images.old: 33, images.new: 29})
    create(fleet_of, images.old, BEFORE)
    run = rollout(images.new)
    run.begin()
    assert run.states["plan"] == "success", run.errors
    says(compute, "web-1", AFTER)
    run.stage(1)
    why = f"metadata.version 33 is finalised, {images.new} cannot read it (it reads 7 to 29)"
    assert why in str(run.errors["replace_1_0"])
    assert fleet_of.stops() == {}


@pytest.mark.long
def test_a_rollout_that_fails_goes_back_while_the_old_image_reads_the_data(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {images.old: 29, images.new: 33})
    create(fleet_of, images.old, BEFORE, plain="web-2")
    run = rollout(images.new)
    assert run.through() == "failed"
    assert ended(run).state == "rolled_back"
    assert fleet_of.facts().health == dict.fromkeys(["web-1", "web-2"], images.old)


@pytest.mark.long
def test_data_that_were_finalised_in_the_middle_keep_a_failed_rollout_from_going_back(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(monkeypatch, {images.old: 29, images.new: 33})
    create(fleet_of, images.old, BEFORE, plain="web-2")
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    says(compute, "web-1", AFTER)
    stops = fleet_of.stops()
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    why = f"metadata.version 33 is finalised, {images.old} cannot read it (it reads 7 to 29)"
    assert f"the way back is closed: {why}" in str(run.errors["verdict"])
    assert run.xcom("plan_rollback") == []
    assert ended(run).state == "halted"
    assert fleet_of.stops()["web-1"] == stops["web-1"], "the one that works is left alone"
    assert fleet_of.facts().health["web-1"] == images.new


def test_who_is_down_is_read_once_for_the_turn_and_the_gate(
    fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings: list[int] = []
    statuses = members.statuses

    def noted(*of: Any) -> dict[str, Any]:
        readings.append(1)
        return statuses(*of)

    fleet_of.create(images.old, ["web-1", "web-2"], more={"instant-gate": "batch web-1"})
    text = FLEET.replace("stages: [1, 100%]", "stages: [100%]\nmax_unavailable: 2")
    run = rollout(images.new, text)
    run.members = ["web-1"]
    run.begin()
    monkeypatch.setattr(members, "statuses", noted)
    run.stage(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert len(readings) == 1


@pytest.mark.long
def test_members_that_no_set_names_together_are_not_down_together(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, tuple[str, ...]]] = []
    ask = GuestOrders.ask

    async def noted(self: GuestOrders, order: Order, *rest: Any, **more: Any) -> Answer | None:
        told.append((order.value, tuple(more.get("beside") or ())))
        return await ask(self, order, *rest, **more)

    monkeypatch.setattr(GuestOrders, "ask", noted)
    text = FLEET.replace("stages: [1, 100%]", "stages: [100%]\nmax_unavailable: 2")
    scripts = {"instant-gate": "batch web-2", "instant-drain": "moved 3"}
    fleet_of.create(images.old, ["web-1", "web-2"], more=scripts)
    compute.call("POST", f"{HERE}/instances/web-1/stop")
    run = rollout(images.new, f"{text}gate: {{deadline: 1s}}\n")
    run.members = ["web-2"]
    run.begin()
    run.stage(1)
    assert "not together with web-1 (alone)" in str(run.errors["replace_1_0"])
    assert "web-2" not in fleet_of.stops()
    says(compute, "web-2", "batch web-1 web-2")
    again = rollout(images.new, text)
    again.members = ["web-2"]
    assert again.through() == "success", again.errors
    assert fleet_of.stops()["web-2"] == 1
    assert ("drain", ("web-1",)) in told, "a drain judges as its gate did"
