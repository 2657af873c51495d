"""After a roll-back by hand nothing brings the image back by itself, until somebody releases it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType
from tests.flow.fleet import ZONE
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError
from bakehouse.fleet.load import load_fleet
from bakehouse.history.fleet_events import HoldReleasedEvent, ImageHeldEvent
from bakehouse.history.hold_store import read_hold
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import RolloutPlannedEvent

from .conftest import baked
from .walk import GROUP, Rollout

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

RUNS = count(1)
NAMES = ["web-1", "web-2"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: [100%]
max_unavailable: 2
"""


@pytest.fixture(autouse=True)
def _own_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}/ledger")
    # the statements of the images are in the ledger of the bakes
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_UNSIGNED_IMAGES", "allow")


def rollout(run_id: str, image: str = "", run_type: str = "manual", **params: Any) -> Rollout:
    """By a person whose form has this image; or of an asset, which names the image itself."""
    # a run's id decides its disks and the ids of its requests, which the server knows from before
    run = Rollout(load_fleet(FLEET, "fleets/web.yaml"), f"{run_id}_{next(RUNS)}", image)
    by_hand = run_type == "manual"
    run.params = {"image": image if by_hand else None, **params}
    run.run.run_type = DagRunType(run_type)
    run.run.triggering_user_name = "jo" if by_hand else None
    return run


def back(images: Images, run_id: str = "manual__held-back", **params: Any) -> Rollout:
    """Roll the fleet back by hand."""
    run = rollout(run_id, images.old, why="500s since noon", **params)
    assert run.through() == "success", run.errors
    return run


def comes(run: Rollout) -> bool:
    """Whether a run gets past the choice of its image, and is skipped otherwise."""
    state = run.choose()
    assert state in {"success", "skipped"}, run.errors
    return state == "success"


def note(run: Rollout) -> str:
    return str(run.xcom("choose_image", "note"))


def test_a_roll_back_by_hand_holds_the_image_for_follow_and_for_an_empty_form(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, NAMES)
    run = back(images)
    (held,) = of_kind(ImageHeldEvent, read_ledger(ledger_url(), run.run_id))
    assert (held.image, held.detail.instead, held.detail.by) == (images.new, images.old, "jo")
    (planned,) = of_kind(RolloutPlannedEvent, read_ledger(ledger_url(), run.run_id))
    assert planned.detail.by == "jo"
    follow = rollout("asset__1", images.new, "asset_triggered")
    assert not comes(follow)
    assert f"{images.new} is held back from the fleet web since" in note(follow)
    assert "by jo, who rolled it back" in note(follow)
    assert "500s since noon" in note(follow)
    assert not comes(rollout("scheduled__1", "", "scheduled"))
    assert not comes(rollout("manual__empty"))
    assert comes(rollout("asset__2", images.old, "asset_triggered")), "the fleet is on it"
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.old)


@pytest.mark.long
def test_a_person_releases_it_and_only_that(fleet_of: Members, images: Images) -> None:
    fleet_of.create(images.new, NAMES)
    back(images)
    released = rollout("manual__release", release=True, why="it was the network")
    assert not comes(released)
    assert note(released).startswith(f"released: {images.new} is held back")
    (event,) = of_kind(HoldReleasedEvent, read_ledger(ledger_url(), released.run_id))
    assert (event.detail.by, event.detail.why) == ("jo", "it was the network")
    assert read_hold(ledger_url(), "web") is None
    assert comes(rollout("asset__1", images.new, "asset_triggered"))
    again = rollout("manual__again", release=True)
    assert not comes(again)
    assert note(again) == "web has no hold: nothing to release"


def test_a_release_takes_no_image(images: Images) -> None:
    run = rollout("manual__both", images.new, release=True)
    assert run.choose() == "failed"
    refused = run.errors["choose_image"]
    assert isinstance(refused, PermanentError)
    assert "release only releases the hold" in str(refused)


@pytest.mark.long
@pytest.mark.parametrize("form", [{}, {"force": True}])
def test_naming_the_image_or_force_rolls_it_out_and_ends_the_hold(
    fleet_of: Members, images: Images, form: dict[str, Any]
) -> None:
    fleet_of.create(images.new, NAMES)
    back(images)
    run = rollout("manual__forward", "" if form else images.new)
    run.force = bool(form)
    assert run.through() == "success", run.errors
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.new)
    assert read_hold(ledger_url(), "web") is None


@pytest.mark.long
def test_a_newer_image_comes_by_itself_and_ends_the_hold(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, NAMES)
    back(images)
    newer = baked("old", "manual__held-newer")
    try:
        run = rollout("asset__newer", newer, "asset_triggered")
        assert run.through() == "success", run.errors
        assert read_hold(ledger_url(), "web") is None
    finally:
        fleet_of.delete()
        compute.call("DELETE", f"global/images/{newer}")


@pytest.mark.parametrize(
    "form", [{"plan_only": True}, {"members": ["web-1"]}], ids=["plan", "members"]
)
def test_a_plan_and_a_roll_back_of_some_members_hold_nothing(
    fleet_of: Members, images: Images, form: dict[str, Any]
) -> None:
    fleet_of.create(images.new, NAMES)
    run = rollout("manual__held-part", images.old, **form)
    run.members = form.get("members", [])
    run.begin()
    assert not run.errors, run.errors
    assert read_hold(ledger_url(), "web") is None


def test_going_forward_holds_nothing_and_neither_does_a_run_without_a_person(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES)
    rollout("manual__forward", images.new).begin()
    assert read_hold(ledger_url(), "web") is None
    fleet_of.delete()
    fleet_of.create(images.new, NAMES)
    night = rollout("asset__old", images.old, "asset_triggered")
    night.begin()
    assert night.xcom("plan")["image"]["name"] == images.old
    assert read_hold(ledger_url(), "web") is None


def test_the_hold_stands_before_the_first_stop(fleet_of: Members, images: Images) -> None:
    fleet_of.create(images.new, NAMES)
    run = rollout("manual__killed", images.old)
    run.begin()
    assert run.xcom("plan") is not None, GROUP
    assert fleet_of.stops() == {}
    hold = read_hold(ledger_url(), "web")
    assert hold is not None
    assert hold.image == images.new
