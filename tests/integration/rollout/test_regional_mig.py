"""A fleet that is a managed instance group of a region, moved by a real localgce."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.flow.group import Group

from bakehouse.fleet.load import load_fleet
from bakehouse.images.links import region_of
from bakehouse.rollout import mig_calls

from .test_mig import _quick, events, passing
from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.gce_api import Compute

    from .conftest import Images

REGION = region_of(ZONE)
ZONES = [f"{REGION}-{letter}" for letter in "abc"]
LIMITS = {"maxSurge": {"fixed": 0}, "maxUnavailable": {"fixed": 3}}
FLEET = f"""\
recipe: web
strategy: mig
members: {{group: web, zones: [{", ".join(ZONES)}]}}
stages: [1, 100%]
max_unavailable: 3
health_deadline: 20s
"""
RUNS = count(1)
__all__ = ["_quick"]  # a fixture of all groups


@pytest.fixture
def group(compute: Compute) -> Iterator[Group]:
    yield (found := Group(compute, f"regions/{REGION}"))
    found.delete()


def create(group: Group, image: str, size: int = 3, **more: Any) -> None:
    zones = [{"zone": f"zones/{zone}"} for zone in ZONES]
    group.create(image, size, distributionPolicy={"zones": zones}, **more)


def rollout(image: str, text: str = FLEET) -> Rollout:
    return Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__region{next(RUNS)}", image)


def test_a_canary_in_one_of_its_zones_moves_and_then_the_others(
    group: Group, images: Images
) -> None:
    create(group, images.old)
    policy = group.get()["updatePolicy"]
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    assert run.states["verify_stage_1"] == "success", run.errors
    assert sorted(group.instances().values()) == sorted([images.new, images.old, images.old])
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success", run.errors
    assert set(group.instances().values()) == {images.new}
    assert group.get()["updatePolicy"] == policy
    replaced = [event for event in events(run) if event.kind == "member_replaced"]
    assert {event.detail.member for event in replaced} == set(group.instances())
    assert all(event.detail.disk for event in replaced), "each was found in its own zone"


def test_an_image_whose_instances_are_ill_goes_back_in_all_zones(
    group: Group, images: Images
) -> None:
    create(group, images.old, color="")  # which the new image needs
    before = group.versions()
    run = rollout(images.new)
    assert run.through() == "failed"
    assert (group.versions(), set(group.instances().values())) == (before, {images.old})


def test_an_instance_that_says_nothing_is_recreated_in_its_zone(
    group: Group, images: Images, compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(group, images.old, size=1)
    silent = f"let-region-{next(RUNS)}-boot"
    group.patch(allInstancesConfig={"properties": {"metadata": {"instant-until": silent}}})
    recreate, clock = mig_calls.recreate, passing(monkeypatch)
    asked: list[str] = []

    def heal(hook: Any, move: Any, instances: Any, request: str) -> Any:
        asked.extend(one.zone for one in instances)
        compute.set_project_attribute(silent)
        clock.stands = True
        return recreate(hook, move, instances, request)

    monkeypatch.setattr(mig_calls, "recreate", heal)
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    assert run.states["replace_1_0"] == "success", run.errors
    assert asked == [ZONES[0]]


def test_zones_and_limits_that_it_does_not_have_are_refused_before_anything_changes(
    group: Group, images: Images
) -> None:
    create(group, images.old)
    text = FLEET.replace(f", {ZONES[2]}", "").replace("max_unavailable: 3", "max_unavailable: 50%")
    run = rollout(images.new, text)
    run.begin()
    said = str(run.errors["plan"])
    assert f"say zones: [{', '.join(ZONES)}]" in said
    assert "max_unavailable is 1 of 3 instances" in said
    assert set(group.instances().values()) == {images.old}


def test_a_file_that_names_one_zone_is_told_the_zones_of_the_region(
    group: Group, images: Images
) -> None:
    create(group, images.old, size=0)
    text = FLEET.replace(", ".join(ZONES), ZONES[0]).replace("unavailable: 3", "unavailable: 1")
    run = rollout(images.new, text)
    run.begin()
    assert f"but one in {REGION}: say zones: [{', '.join(ZONES)}]" in str(run.errors["plan"])
    assert HERE.endswith(ZONES[0])
