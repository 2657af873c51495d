"""The image that a rollout went back from is not the newest any more, until a person says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import ZONE
from tests.integration.bake.walk import Walk
from tests.support.ledger import of_kind, read_ledger

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import ImageRolledBackEvent
from bakehouse.rollout import target_images

from .conftest import baked
from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

FLEET = f"recipe: web\nmembers: {{instances: [web-1, web-2], zones: [{ZONE}]}}\nstages: [1, 100%]\n"


@pytest.fixture(scope="module")
def older(server: Compute) -> str:  # ruff: ignore[unused-function-argument]  its connections
    return baked("old", "manual__older")


@pytest.fixture(scope="module")
def bad(older: str) -> str:  # ruff: ignore[unused-function-argument]  it comes first
    return baked("new", "manual__newer")


@pytest.fixture
def newer(bad: str, compute: Compute) -> str:
    """The newest image, on which no member without `color` gets healthy; nobody has marked it."""
    set_state(compute, bad, "ACTIVE")
    return bad


def set_state(compute: Compute, name: str, state: str) -> None:
    """As `gcloud compute images deprecate NAME --state=STATE`."""
    compute.call("POST", f"global/images/{name}/deprecate", json={"state": state})


def rollout(image: str, run_id: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), run_id, image)


def newest(compute: Compute) -> tuple[str, str]:
    """What the family gives, and what an empty form takes."""
    hook = hook_of("google_cloud_default")
    return str(compute.newest_of("web")["name"]), target_images.choose(hook, "web", "").name


def events(run: Rollout) -> list[ImageRolledBackEvent]:
    return of_kind(ImageRolledBackEvent, read_ledger(ledger_url(), run.run_id))


def planned(run_id: str, **params: Any) -> dict[str, Any]:
    """The plan of the next night's bake of the newer content."""
    run = Walk("web", run_id, vars={"page": "new"}, **params)
    run.through("plan_bake")
    return dict(run.handed["plan_bake"])


@pytest.mark.long
def test_the_image_before_is_the_newest_again(
    compute: Compute, fleet_of: Members, older: str, newer: str
) -> None:
    fleet_of.create(older, ["web-1", "web-2"], plain="web-1")
    assert newest(compute) == (newer, newer)
    run = rollout("", "manual__blamed")
    assert run.through() == "failed"
    assert newest(compute) == (older, older)
    assert compute.image(newer)["labels"]["bakehouse-rolled-back"] == "web"
    (event,) = events(run)
    assert (event.image, event.detail.fleet, event.detail.newest) == (newer, "web", older)
    assert [member.member for member in event.detail.members] == ["web-1"]
    told = str(run.errors["verdict"])
    assert f"web-1 is not healthy on {newer}: " in told
    assert f"{newer} is marked as rolled back: the newest image of web is {older} again" in told
    assert f"gcloud compute images deprecate {newer} --project=" in told

    night = planned("scheduled__night")
    assert (night["bake"], night["reason"]) == (False, Reason.ROLLED_BACK)
    assert night["existing_image"] == newer
    assert planned("manual__rolled-back-forced", force=True)["reason"] == Reason.FORCED

    hook = hook_of("google_cloud_default")
    assert target_images.choose(hook, "web", newer).name == newer  # a person may well try it again
    with pytest.raises(PermanentError, match="was rolled back by the fleet web since"):
        target_images.choose(hook, "web", newer, by_person=False)

    set_state(compute, newer, "ACTIVE")  # as the verdict says
    assert newest(compute) == (newer, newer)
    assert planned("scheduled__next")["reason"] == Reason.SAME_CONTENT


@pytest.mark.long
def test_an_image_that_a_person_went_back_to_is_not_marked(
    compute: Compute, fleet_of: Members, older: str, newer: str
) -> None:
    fleet_of.create(newer, ["web-1", "web-2"])
    fleet_of.configure("web-1", "instant-unhealthy", "its disk is full")
    run = rollout(older, "manual__back")
    assert run.through() == "failed"
    assert newest(compute) == (newer, newer)
    assert (events(run), compute.image(older).get("deprecated")) == ([], None)
    assert "marked" not in str(run.errors["verdict"])


@pytest.mark.long
def test_with_halt_a_person_decides(
    compute: Compute, fleet_of: Members, older: str, newer: str
) -> None:
    fleet_of.create(older, ["web-1", "web-2"], plain="web-1")
    run = rollout(newer, "manual__halt", FLEET + "on_failure: halt\n")
    assert run.through() == "failed"
    assert (newest(compute), events(run)) == ((newer, newer), [])


@pytest.mark.long
def test_a_mark_that_is_refused_is_part_of_the_verdict(
    compute: Compute, fleet_of: Members, older: str, newer: str
) -> None:
    fleet_of.create(older, ["web-1", "web-2"], plain="web-1")
    compute.fault(kind="http", status=403, times=99, method="compute.images.deprecate")
    run = rollout(newer, "manual__refused")
    assert run.through() == "failed"
    compute.forget()
    told = str(run.errors["verdict"])
    assert f"{newer} is still the newest image of web: it could not be marked" in told
    assert "--state=DEPRECATED" in told
    assert fleet_of.facts().images == dict.fromkeys(["web-1", "web-2"], older)
