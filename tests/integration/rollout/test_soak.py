"""The soak against a real localgce: the members' reports decide, and no clock of theirs."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.deadlines import SOON
from tests.support.ledger import of_kind, read_ledger

from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import RolloutEndedEvent
from bakehouse.images.selection import deprecation_state
from devstack.waiting import wait_until

from .walk import Rollout

if TYPE_CHECKING:
    from tests.flow.fleet import Members

    from devstack.gce_api import Compute

    from .conftest import Images

FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
soak: SOAK
"""
RUNS = count(1)
LONG = "5h"  # no test waits for its end


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bakehouse.rollout.soak_trigger.FIRST_LOOK", 0.0)


def rollout(image: str, soak: str) -> Rollout:
    fleet = load_fleet(FLEET.replace("SOAK", soak), "fleets/web.yaml")
    return Rollout(fleet, f"manual__soak{next(RUNS)}", image)


def fleet(fleet_of: Members, images: Images, member: str, **knobs: str) -> None:
    fleet_of.create(images.old, ["web-1", "web-2"])
    for name in ("web-1", "web-2"):
        fleet_of.configure(name, "instant-report_seconds", "0.5")
    for knob, value in knobs.items():
        fleet_of.configure(member, f"instant-{knob}", value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("knobs", "why"),
    [
        ({"ill_after": "2"}, "unhealthy: app.service has failed (exit-code, exit code 1)"),
        ({"silent_after": "2"}, "the last one said healthy"),
    ],
)
def test_a_member_that_turns_ill_or_silent_in_the_soak_fails_its_stage_and_the_fleet_goes_back(
    fleet_of: Members, images: Images, knobs: dict[str, str], why: str
) -> None:
    fleet(fleet_of, images, "web-1", **knobs)
    before = fleet_of.facts()
    run = rollout(images.new, LONG)
    assert run.through() == "failed"
    assert run.states["replace_1_0"] == "success"
    told = str(run.errors["verify_stage_1"])
    assert told.startswith("stage 1 did not stay healthy: web-1: ")
    assert why in told
    assert "replace_2_0" not in run.states
    assert run.states["roll_back_0"] == "success"
    assert why in str(run.errors["verdict"])
    after = fleet_of.facts()
    assert (after.images, after.boot) == (before.images, before.boot)


def test_a_member_that_is_preempted_in_the_soak_halts_the_line_and_blames_no_image(
    fleet_of: Members, images: Images, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bakehouse.rollout.watch.silence", lambda _: timedelta(0))
    fleet(fleet_of, images, "web-1")
    before = fleet_of.facts()
    run = rollout(images.new, LONG)
    run.begin()
    run.replace(1)
    compute.fault(kind="preempt", instance="web-1")
    wait_until(
        lambda: compute.call("GET", f"{HERE}/instances/web-1")["status"] == "TERMINATED",
        SOON,
        "the preemption",
        every=0.05,
    )
    run.verify(1)
    assert run.states["verify_stage_1"] == "failed"
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().images == before.images
    (ended,) = of_kind(RolloutEndedEvent, read_ledger(ledger_url(), run.run_id))
    causes = [(o.member, o.cause) for o in ended.detail.outcomes if o.state == "unhealthy"]
    assert causes == [("web-1", "host_lost")]
    assert not ended.detail.failed_here
    assert deprecation_state(compute.image(images.new)) == "ACTIVE"


@pytest.mark.long
def test_a_member_of_an_earlier_stage_is_watched_on(
    fleet_of: Members, images: Images, compute: Compute
) -> None:
    fleet(fleet_of, images, "web-1", ill_when="web-1-is-ill")
    run = rollout(images.new, "3s")  # two reports in a row are bad news
    run.begin()
    run.stage(1)
    run.replace(2)
    compute.set_project_attribute("web-1-is-ill")
    run.verify(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert "web-1: unhealthy" in str(run.errors["verify_stage_2"])
    assert fleet_of.facts().images == dict.fromkeys(["web-1", "web-2"], images.old)


@pytest.mark.long
def test_one_unhealthy_report_fails_nothing(fleet_of: Members, images: Images) -> None:
    fleet(fleet_of, images, "web-1", ill_after="1", ill_for="0.5")
    run = rollout(images.new, "3s")
    assert run.through() == "success", run.errors
    assert fleet_of.facts().images == dict.fromkeys(["web-1", "web-2"], images.new)


@pytest.mark.long
def test_images_that_report_once_are_judged_by_that_and_are_the_way_back(
    fleet_of: Members, images: Images
) -> None:
    fleet(fleet_of, images, "web-1", reports="once")
    fleet_of.configure("web-2", "instant-reports", "once")
    run = rollout(images.new, "1s")
    assert run.through() == "success", run.errors
    back = rollout(images.old, "1s")
    assert back.through() == "success", back.errors
    assert fleet_of.facts().health == dict.fromkeys(["web-1", "web-2"], images.old)


@pytest.mark.long
def test_without_a_soak_one_healthy_look_is_enough(fleet_of: Members, images: Images) -> None:
    fleet(fleet_of, images, "web-1")
    text = FLEET.replace("soak: SOAK\n", "")
    run = Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__soak{next(RUNS)}", images.new)
    assert run.through() == "success", run.errors
    assert not [d for d in run.deferred if "SoakTrigger" in str(d.trigger.serialize()[0])]
