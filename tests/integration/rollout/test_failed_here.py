"""An image that has failed in a fleet is not tried there again by itself, and elsewhere it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import ZONE
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import ImageRolledBackEvent, RolloutEndedEvent
from bakehouse.images.selection import deprecation_state

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

NAMES = ["web-1", "web-2", "web-3"]
MARK = "bakehouse-failed-in-web"
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2, web-3], zones: [{ZONE}]}}
stages: [1, 100%]
"""


def rollout(image: str, run_id: str, more: str = "", name: str = "web") -> Rollout:
    return Rollout(load_fleet(FLEET + more, f"fleets/{name}.yaml"), run_id, image)


def ended(run: Rollout) -> RolloutEndedEvent:
    (found,) = of_kind(RolloutEndedEvent, read_ledger(ledger_url(), run.run_id))
    return found


@pytest.mark.long
def test_an_image_that_has_failed_here_is_tried_again_only_if_it_is_forced(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    """With `halt` nothing is blamed, so the image is still the newest of its family."""
    fleet_of.create(images.old, NAMES, plain="web-1")
    run = rollout(images.new, "manual__1", "on_failure: halt\n")
    assert run.through() == "failed"
    assert compute.image(images.new)["labels"][MARK] == "manual__1"
    assert (ended(run).detail.failed_here, ended(run).detail.state) == (True, "halted")
    told = str(run.errors["verdict"])
    assert "Nothing goes back by itself (on_failure: halt)" in told
    assert f"No rollout of web takes {images.new} by itself any more" in told
    fleet_of.delete()
    fleet_of.create(images.old, NAMES)
    for image in ("", images.new):  # an empty form; the end of a bake, or a run that follows
        night = rollout(image, f"scheduled__{image}")
        night.begin()
        refused = night.errors["choose_image"]
        assert isinstance(refused, PermanentError)
        assert f"{images.new} has failed in the fleet web (run manual__1)" in str(refused)
        assert night.states["choose_image"] == "failed"
    assert fleet_of.stops() == {}

    other = rollout(images.new, "manual__other", name="other")
    other.begin()
    assert other.states["plan"] == "success", "another fleet is not affected"

    part = rollout(images.new, "manual__part")
    part.force, part.members = True, ["web-3"]
    assert part.through() == "success", part.errors
    assert MARK in compute.image(images.new)["labels"], "one member is not the fleet"

    forced = rollout("", "manual__forced")
    forced.force = True
    assert forced.through() == "success", forced.errors
    assert MARK not in compute.image(images.new)["labels"]
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.new)


@pytest.mark.long
def test_an_image_that_a_fleet_went_back_from_stays_failed_when_its_blame_is_taken_away(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-1")
    assert rollout(images.new, "manual__2").through() == "failed"
    path = f"global/images/{images.new}/deprecate"
    compute.call("POST", path, json={"state": "ACTIVE"})
    night = rollout("", "scheduled__2")
    night.begin()
    assert "tick force there" in str(night.errors["choose_image"])


def test_a_mark_that_is_refused_is_told(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-1")
    compute.fault(kind="http", status=403, times=99, method="compute.images.setLabels")
    run = rollout(images.new, "manual__3", "on_failure: halt\n")
    assert run.through() == "failed"
    told = str(run.errors["verdict"])
    assert f"{images.new} could not be marked as failed in the fleet web (" in told


@pytest.mark.long
def test_beyond_halt_after_the_fleet_stays_and_the_image_keeps_its_family(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-3")
    run = rollout(images.new, "manual__4", "halt_after: 50%\n")
    assert run.through() == "failed"
    assert run.states["roll_back"] == "skipped"
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.new)
    told = str(run.errors["verdict"])
    assert "Nothing goes back by itself (halt_after: 50%, and 2 of 3 members have moved)" in told
    assert ended(run).detail.state == "halted"
    assert of_kind(ImageRolledBackEvent, read_ledger(ledger_url(), run.run_id)) == []
    assert deprecation_state(compute.image(images.new)) == "ACTIVE"


@pytest.mark.long
@pytest.mark.parametrize("plain", ["web-1", "web-2"])
def test_up_to_halt_after_the_fleet_goes_back(
    fleet_of: Members, images: Images, plain: str
) -> None:
    fleet_of.create(images.old, NAMES, plain=plain)
    run = rollout(images.new, f"manual__5-{plain}", "halt_after: 50%\n")
    assert run.through() == "failed"
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.old)
    assert ended(run).detail.state == "rolled_back"


@pytest.mark.long
def test_the_way_back_goes_in_reverse_order_without_soak_or_approval(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-3")
    run = rollout(images.new, "manual__6")
    run.begin()
    run.stage(1)
    run.stage(2)
    there = fleet_of.calls("compute.instances.stop")
    assert sorted(there) == NAMES
    asks = "soak: 5h\napproval: {after: [1, 2], timeout: 24h}\n"  # and nobody answers
    run.fleet = rollout(images.new, "", asks).fleet
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.calls("compute.instances.stop") == [*there, *reversed(there)]
    assert fleet_of.facts().health == dict.fromkeys(NAMES, images.old)
