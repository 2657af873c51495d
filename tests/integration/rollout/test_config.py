"""A rollout of metadata: no machine is stopped, and what fails goes back; on instant machines."""

from __future__ import annotations

import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import MemberReplacedEvent, RolloutEndedEvent
from bakehouse.rollout.plan import RolloutPlan

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

RUNS = count(1)
NAMES = ["web-1", "web-2"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.rollout.guest_orders.PAUSES", (0.05,))
    monkeypatch.setattr("bakehouse.rollout.handover.ASK_AGAIN", 0.1)
    monkeypatch.setattr("bakehouse.rollout.handover.RESUME_PAUSE", 0.1)


def rollout(metadata: dict[str, str | None], more: str = "") -> Rollout:
    run = Rollout(load_fleet(FLEET + more, "fleets/web.yaml"), f"manual__config{next(RUNS)}")
    run.params["metadata"] = metadata
    return run


def metadata_of(compute: Compute, name: str) -> dict[str, str]:
    items = compute.call("GET", f"{HERE}/instances/{name}")["metadata"]["items"]
    return {item["key"]: item["value"] for item in items}


def lose(compute: Compute, name: str, key: str) -> None:
    path = f"{HERE}/instances/{name}"
    has = compute.call("GET", path)["metadata"]
    items = [item for item in has["items"] if item["key"] != key]
    compute.call("POST", f"{path}/setMetadata", json={**has, "items": items})


def answers(compute: Compute, name: str) -> dict[str, Any]:
    path = f"{HERE}/instances/{name}/getGuestAttributes"
    found = compute.call("GET", path, params={"queryPath": "bakehouse/"})["queryValue"]["items"]
    return {item["key"]: json.loads(item["value"]) for item in found}


@pytest.mark.long
def test_members_get_other_metadata_without_a_stop(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, NAMES, more={"instant-gate": "well", "instant-drain": "moved"})
    before = fleet_of.facts()
    run = rollout({"color": "blue", "greeting": "good day", "motd": "hello"})
    assert run.through() == "success", run.errors
    after = fleet_of.facts()
    assert (after.boot, after.images, after.health) == (before.boot, before.images, before.health)
    assert fleet_of.stops() == {}
    for name in NAMES:
        told = answers(compute, name)
        assert (told["answer-gate"]["state"], told["answer-drain"]["state"]) == ("ok", "ok")
        assert told["answer-render"]["state"] == "ok"
        assert "-red\n+blue" in told["answer-render"]["detail"]
        has = metadata_of(compute, name)
        assert (has["color"], has["motd"], has["bakehouse-role"]) == ("blue", "hello", "member")
        assert {"bakehouse-order", "bakehouse-metadata-before"}.isdisjoint(has)
    events = read_ledger(ledger_url(), run.run_id)
    replaced = of_kind(MemberReplacedEvent, events)
    assert {event.detail.member for event in replaced} == set(NAMES)
    assert {event.reason for event in replaced} == {Reason.NEW_METADATA}
    assert "changed: " in replaced[0].detail.why
    again = rollout({"color": "blue"})
    assert again.through() in {"success", "skipped"}
    skipped = again.xcom("plan")["skipped"]
    assert [one["reason"] for one in skipped] == ["metadata_as_wanted"] * 2


def test_what_fails_goes_back_to_the_metadata_that_it_had_and_no_image_is_blamed(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, NAMES)
    before = {name: metadata_of(compute, name) for name in NAMES}
    image = next(one for one in compute.images() if one["name"] == images.new)
    run = rollout({"color": None})
    assert run.through() == "failed"
    error = str(run.errors["replace_1_0"])
    assert "'color' is undefined" in error
    assert {name: metadata_of(compute, name) for name in NAMES} == before
    assert "answer-render" not in answers(compute, "web-2"), "the line has halted"
    assert answers(compute, "web-1")["answer-render"]["state"] == "ok"
    assert fleet_of.stops() == {}
    assert run.states["roll_back_0"] == "success"
    after = next(one for one in compute.images() if one["name"] == images.new)
    assert (after.get("deprecated"), after["labels"]) == (image.get("deprecated"), image["labels"])
    (ended,) = of_kind(RolloutEndedEvent, read_ledger(ledger_url(), run.run_id))
    assert not ended.detail.failed_here


@pytest.mark.long
def test_a_plan_that_is_made_again_in_the_middle_keeps_the_metadata_to_go_back_to(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    """The second member has lost an attribute meanwhile, without which it does not render."""
    fleet_of.create(images.new, NAMES)
    before = {name: metadata_of(compute, name) for name in NAMES}
    run = rollout({"color": "blue"})
    run.begin()
    run.stage(1)
    assert metadata_of(compute, "web-1")["color"] == "blue"
    lose(compute, "web-2", "greeting")
    run.begin()  # somebody has cleared `plan` and what is behind it
    plan = RolloutPlan.model_validate(run.xcom("plan"))
    assert plan.begun == ("web-1",)
    assert plan.changes[0].metadata is not None
    assert plan.changes[0].metadata.before == {"color": "red"}
    run.stage(1)
    run.replace(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert metadata_of(compute, "web-1") == before["web-1"]


def test_a_closed_gate_keeps_the_metadata_as_they_are(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, NAMES, more={"instant-gate": "blocked: orders-7 lags"})
    run = rollout({"color": "blue"}, "gate: {deadline: 1s}\n")
    assert run.through() == "failed"
    assert "blocked, gate: orders-7 lags" in str(run.errors["replace_1_0"])
    assert metadata_of(compute, "web-1")["color"] == "red"


def test_an_image_that_cannot_render_again_is_refused_before_anything_changes(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, NAMES, more={"instant-reports": "once"})
    run = rollout({"color": "blue"})
    run.through()
    assert isinstance(run.errors["plan"], PermanentError)
    assert Reason.CANNOT_RENDER.text in str(run.errors["plan"])
    assert metadata_of(compute, "web-1")["color"] == "red"


def test_metadata_and_an_image_are_two_rollouts(fleet_of: Members, images: Images) -> None:
    fleet_of.create(images.new, NAMES)
    run = rollout({"color": "blue"})
    run.image = images.old
    run.begin()
    assert "metadata are changed without an image" in str(run.errors["choose_image"])
