"""Templates of rollouts go when nobody uses them; those of others are never touched."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from tests.support.resources import BASE, NOW, Resource

from bakehouse.core.reasons import Reason
from bakehouse.housekeeping.sweep import SweepFacts
from bakehouse.housekeeping.template_sweep import fleets_of, plan
from bakehouse.inventory.model import Inventory

FACTS = SweepFacts(NOW)


def template(name: str, days: float, **said: Any) -> Resource:
    """One that was made so many days ago."""
    made = NOW - timedelta(days=days)
    told = {
        "run": "r1",
        "bakehouse-recipe": "web",
        "bakehouse-fleet": "web",
        "group": "web",
        "expires": str(int((made + timedelta(days=7)).timestamp())),
        **said,
    }
    return {
        "name": name,
        "id": name,
        "selfLink": f"{BASE}/global/instanceTemplates/{name}",
        "creationTimestamp": made.isoformat(),
        "description": json.dumps({"bakehouse": told}),
    }


def group(*templates: str) -> Resource:
    link = "https://www.googleapis.com/compute/v1/projects/p/global/instanceTemplates"
    return {"name": "web", "versions": [{"instanceTemplate": f"{link}/{t}"} for t in templates]}


def decided(*templates: Resource, facts: SweepFacts = FACTS, **more: Any) -> dict[str, Any]:
    found = plan(Inventory("p", templates=templates, **more), facts)
    return {one.name: (one.sweep, one.reason) for one in found}


def test_an_unused_template_goes_when_it_has_ended() -> None:
    assert decided(template("a", 8)) == {"a": (True, Reason.EXPIRED)}
    assert decided(template("a", 6)) == {"a": (False, Reason.UNUSED_NOT_LONG)}


@pytest.mark.parametrize("end", ["", "soon", "9" * 40])
def test_a_template_without_a_valid_end_stays(end: str) -> None:
    assert decided(template("a", 99, expires=end)) == {"a": (False, Reason.UNUSED_NOT_LONG)}


def test_a_template_of_any_version_of_a_group_stays() -> None:
    every = [template("a", 99), template("b", 98), template("c", 97)]
    found = decided(*every, groups=(group("a", "b"),))
    assert {name: reason for name, (_, reason) in found.items()} == {
        "a": Reason.USED_BY_GROUP,
        "b": Reason.USED_BY_GROUP,
        "c": Reason.EXPIRED,
    }


def test_a_template_of_a_group_of_the_old_form_stays() -> None:
    old = {"name": "web", "instanceTemplate": "projects/p/global/instanceTemplates/a"}
    assert decided(template("a", 99), groups=(old,))["a"] == (False, Reason.USED_BY_GROUP)


def test_a_template_that_an_instance_was_made_of_stays() -> None:
    """Also one whose group has left it, and that nobody has replaced since."""
    value = "projects/1234/global/instanceTemplates/a"  # Compute Engine names the number there
    item = {"key": "instance-template", "value": value}
    there = {"name": "web-1", "metadata": {"items": [item, None]}}
    assert decided(template("a", 99), instances=(there,))["a"] == (False, Reason.USED_BY_INSTANCE)


def test_the_template_before_the_present_one_is_the_way_back_for_a_week() -> None:
    old, now = template("old", 99), template("now", 3)
    found = decided(old, now, groups=(group("now"),))
    assert found["old"] == (False, Reason.UNUSED_NOT_LONG)
    later = SweepFacts(NOW + timedelta(days=5))
    assert decided(old, now, groups=(group("now"),), facts=later)["old"] == (True, Reason.EXPIRED)
    # one of another group is no successor
    other = template("other", 3, group="db")
    assert decided(old, other)["old"] == (True, Reason.EXPIRED)


def test_no_template_goes_while_a_rollout_of_its_fleet_goes_on() -> None:
    busy = SweepFacts(NOW, busy_fleets={"web": "a run holds it"})
    assert decided(template("a", 99), facts=busy)["a"] == (False, Reason.ROLLOUT_GOING_ON)
    assert fleets_of([template("a", 99), {"name": "x"}]) == {"web"}


@pytest.mark.parametrize("description", ["", "of a person", "{}", '{"bakehouse": 1}', "[1]"])
def test_a_template_of_others_is_no_concern_of_ours(description: str) -> None:
    assert decided({**template("a", 99), "description": description}) == {}
