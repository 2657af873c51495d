"""Members of every odd kind in one fleet, judged in the plan, before the first stop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE
from tests.support.ledger import of_kind

from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import MemberSkippedEvent, RolloutPlannedEvent
from bakehouse.rollout.plan import RolloutPlan, WayBack

from .test_walk import FLEET, events, rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images
    from .walk import Rollout

ODD = ["grouped", "held", "kept", "plain", "restored", "stopped", "unreadable"]
TEXT = FLEET.replace("web-1, web-2, web-3", ", ".join(ODD))


def planned(run: Rollout) -> RolloutPlan:
    return RolloutPlan.model_validate(run.xcom("plan"))


def odd_fleet(fleet_of: Members, image: str) -> None:
    """One member of each kind; `kept` is plain but that its image cannot be read later."""
    fleet_of.create(image, ODD)
    manager = f"projects/1/{HERE}/instanceGroupManagers/shop"
    fleet_of.configure("grouped", "created-by", manager)
    fleet_of.label("held", "bakehouse-hold", "ann")
    fleet_of.restore("restored")
    fleet_of.stop("stopped")


def test_every_odd_member_is_judged_with_its_reason_and_counted(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    odd_fleet(fleet_of, images.old)
    boot = fleet_of.facts().boot["unreadable"]
    compute.forget()
    compute.fault(kind="http", status=403, times=99, method="compute.disks.get", resource=boot)
    run = rollout(images.new, TEXT)
    run.begin()
    compute.forget()
    assert run.states["plan"] == "success", run.errors
    made = planned(run)
    left = {skipped.name: (skipped.reason, skipped.detail) for skipped in made.skipped}
    assert left["grouped"][0] is Reason.MEMBER_OF_GROUP
    assert left["held"] == (Reason.MEMBER_ON_HOLD, "by ann")
    assert left["stopped"] == (Reason.MEMBER_NOT_RUNNING, "TERMINATED")
    assert left["unreadable"][0] is Reason.BOOT_DISK_NOT_REPLACEABLE
    assert sum(made.left.values()) == len(left) == 4
    ways = {change.name: change.way_back for change in made.changes}
    assert ways == {
        "kept": WayBack.DISK,
        "plain": WayBack.DISK,
        "restored": WayBack.ONLY_DISK,
    }
    (blocker,) = made.blockers
    assert blocker.why.startswith("already down: stopped (it is TERMINATED); max_unavailable is 1.")
    assert fleet_of.stops() == {}
    assert len(of_kind(MemberSkippedEvent, events(run))) == 4
    (told,) = of_kind(RolloutPlannedEvent, events(run))
    assert told.detail.left == {str(reason): count for reason, count in made.left.items()}
    assert told.detail.blockers == (f"max_unavailable: {blocker.why}",)


@pytest.mark.long
def test_an_image_that_answers_403_or_is_gone_leaves_the_kept_disk_as_the_only_way_back(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1", "web-2"], plain="web-2")
    before = fleet_of.facts()
    refused: dict[str, Any] = {"kind": "http", "status": 403, "times": 99}
    compute.fault(**refused, method="compute.images.get", resource=images.old)
    run = rollout(images.new, members=["web-1", "web-2"])
    run.begin()
    assert {c.name: c.way_back for c in planned(run).changes} == dict.fromkeys(
        ["web-1", "web-2"], WayBack.ONLY_DISK
    )
    assert "its image cannot be read: " in planned(run).changes[0].only_disk
    run.stage(1)
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().boot == before.boot, "both are back, though nobody could read the image"


def test_a_fleet_of_which_a_member_is_down_takes_no_other_until_it_is_held(
    fleet_of: Members, images: Images
) -> None:
    names = ["web-1", "web-2"]
    text = FLEET.replace("web-1, web-2, web-3", "web-1, web-2")
    fleet_of.create(images.old, names)
    fleet_of.stop("web-2")
    run = rollout(images.new, text)
    assert run.through() == "failed"
    said = str(run.errors["replace_1_0"])
    assert said == "web-1 is not changed: already down: web-2 (max_unavailable 1)"
    stops = {"web-2": 1}
    assert fleet_of.stops() == stops, "by hand"
    fleet_of.label("web-2", "bakehouse-hold", "bob")
    again = rollout(images.new, text)
    assert again.through() == "success", again.errors
    assert fleet_of.stops() == {**stops, "web-1": 1}
