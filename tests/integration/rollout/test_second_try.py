"""A member that fails for its own reason gets a second try, and its image no blame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import ZONE
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import (
    ImageRolledBackEvent,
    MemberReplacedEvent,
    MemberReplacedFailedEvent,
    RolloutEndedEvent,
)
from bakehouse.images.selection import deprecation_state
from bakehouse.rollout import replace

from .walk import RETRIES, Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from bakehouse.rollout.observation import MemberObservation
    from bakehouse.rollout.strategies.swap import Swap
    from devstack.gce_api import Compute

    from .conftest import Images

NAMES = ["web-1", "web-2"]
FLEET = f"recipe: web\nmembers: {{instances: [web-1, web-2], zones: [{ZONE}]}}\nstages: [1, 100%]\n"
FULL: dict[str, Any] = {
    "kind": "operation",
    "code": "ZONE_RESOURCE_POOL_EXHAUSTED",
    "resource": "web-2",
}
REFUSALS = 3  # in a row, which end a try


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.rollout.walk.ERRORS_IN_A_ROW", REFUSALS)


def rollout(image: str, run_id: str) -> Rollout:
    return Rollout(load_fleet(FLEET, "fleets/web.yaml"), run_id, image)


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "stops"),
    [
        ({"method": "compute.instances.start"}, 1),
        ({"method": "compute.disks.insert", "resource": "web-2-*"}, 1),
    ],
    ids=str,
)
def test_a_member_without_capacity_is_tried_once_more_on_a_fresh_disk(
    compute: Compute, fleet_of: Members, images: Images, fault: dict[str, Any], stops: int
) -> None:
    fleet_of.create(images.old, NAMES)
    compute.fault(**{**FULL, **fault, "times": REFUSALS})
    run = rollout(images.new, f"manual__full-{fault['method']}")
    assert run.through() == "success", run.errors
    after = fleet_of.facts()
    assert after.health == dict.fromkeys(NAMES, images.new)
    (change,) = run.xcom("plan")["stages"][1]
    assert after.boot["web-2"] == change["second_disk"]
    assert fleet_of.stops() == {"web-1": 1, "web-2": stops}
    assert fleet_of.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])
    written = read_ledger(ledger_url(), run.run_id)
    told = {e.detail.member: e.detail for e in of_kind(MemberReplacedEvent, written)}
    assert (told["web-1"].first_try, told["web-1"].cause) == ("", "")
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in told["web-2"].first_try
    assert told["web-2"].disk == after.boot["web-2"]


@pytest.mark.long
def test_a_member_without_capacity_at_all_halts_the_line_and_leaves_the_image_its_name(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES)
    before = fleet_of.facts()
    asked = REFUSALS * (2 + RETRIES)  # a task that is tried again goes on in the second try
    compute.fault(method="compute.instances.start", **{**FULL, "times": asked})
    run = rollout(images.new, "manual__always-full")
    assert run.through() == "failed"
    after = fleet_of.facts()
    assert (after.boot, after.identity) == (before.boot, before.identity)
    assert fleet_of.stops() == {"web-1": 2, "web-2": 1}
    assert fleet_of.disks() == sorted([*before.boot.values(), *(f"{n}-data" for n in NAMES)])
    written = read_ledger(ledger_url(), run.run_id)
    assert of_kind(ImageRolledBackEvent, written) == []
    assert deprecation_state(compute.image(images.new)) == "ACTIVE"
    (ended,) = of_kind(RolloutEndedEvent, written)
    assert ended.reason is Reason.STAGE_FAILED
    (failed,) = [o for o in ended.detail.outcomes if (o.way, o.cause) == ("forward", "stock_out")]
    assert failed.member == "web-2"
    (told,) = of_kind(MemberReplacedFailedEvent, written)
    assert (told.detail.member, told.detail.cause) == ("web-2", "stock_out")
    assert (told.reason, told.detail.state) == (Reason.NOT_REPLACED, "stuck")
    assert "the first try: " in str(run.errors["verdict"])


def test_a_host_that_is_lost_while_a_member_boots_is_started_again_not_blamed(
    compute: Compute, fleet_of: Members, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compute Engine restarts it by itself."""
    fleet_of.create(images.old, NAMES)
    fleet_of.configure("web-2", "instant-until", "let-web-2-boot")
    run = rollout(images.new, "manual__host-lost")
    look = replace.look
    lost: list[Any] = []

    def lose(hook: Any, swap: Swap, **how: Any) -> MemberObservation:
        seen = look(hook, swap, **how)
        if not lost and (seen.boot_disk, seen.status) == (swap.disk, "RUNNING"):
            lost.append(compute.fault(kind="host_error", instance="web-2"))
            compute.set_project_attribute("let-web-2-boot")
        return seen

    run.begin()
    run.stage(1)
    monkeypatch.setattr(replace, "look", lose)
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert lost
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.new)
    assert of_kind(MemberReplacedFailedEvent, read_ledger(ledger_url(), run.run_id)) == []
