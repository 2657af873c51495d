"""Rules across fleets: a member is of one fleet, and its zones exist."""

from __future__ import annotations

from typing import Any

import pytest

from bakehouse.fleet.model import Fleet
from bakehouse.fleet.rules import between

A, B = "us-central1-a", "us-central1-b"


def fleet(name: str, **members: Any) -> Fleet:
    return Fleet.model_validate({"name": name, "recipe": "web", "members": members})


def told(*fleets: Fleet) -> list[str]:
    return [f"{one.recipe} {one.problem}" for one in between(fleets, {}, {"web"})]


def test_an_instance_of_two_fleets_is_told_with_both() -> None:
    first = fleet("one", instances=["web-1", "web-2"], zones=[A])
    second = fleet("two", instances=["web-2"], zones=[A])
    (found,) = between([first, second], {}, {"web"})
    assert (found.recipe, found.loc) == ("two", ("members", "instances", 0))
    assert found.problem == f"is web-2 in {A}, a member of the fleet one too"
    assert "one.yaml or two.yaml" in found.remedy


def test_an_instance_of_three_fleets_is_told_in_each_but_the_first() -> None:
    same = [fleet(name, instances=["web-1"], zones=[A]) for name in ("a", "b", "c")]
    assert [line.partition(" ")[0] for line in told(*same)] == ["b", "c", "c"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"role": "web"}, {"role": "web"}),
        ({"role": "web"}, {"role": "web", "env": "prod"}),
        ({"role": "web", "env": "prod"}, {"role": "web"}),
    ],
)
def test_labels_that_select_the_same_instances_are_told(first: Any, second: Any) -> None:
    fleets = [fleet("one", labels=first, zones=[A]), fleet("two", labels=second, zones=[A, B])]
    assert told(*fleets) == [f"two match members of the fleet one in {A} too"]


@pytest.mark.parametrize(
    "fleets",
    [
        [fleet("o", instances=["w"], zones=[A]), fleet("t", instances=["w"], zones=[B])],
        [fleet("o", instances=["w"], zones=[A]), fleet("t", instances=["v"], zones=[A])],
        [fleet("o", labels={"a": "1"}, zones=[A]), fleet("t", labels={"a": "2"}, zones=[A])],
        [fleet("o", labels={"a": "1"}, zones=[A]), fleet("t", labels={"a": "1"}, zones=[B])],
        [fleet("o", labels={"a": "1"}, zones=[A]), fleet("t", labels={"b": "1"}, zones=[A])],
        [fleet("o", labels={"a": "1"}, zones=[A]), fleet("t", instances=["v"], zones=[A])],
    ],
)
def test_fleets_that_may_be_apart_are_taken(fleets: list[Fleet]) -> None:
    assert told(*fleets) == []


def test_a_zone_that_does_not_exist_is_told() -> None:
    assert told(fleet("one", instances=["w"], zones=["us-centrl1-a"])) == [
        "one names the region us-centrl1, which is not known"
    ]
    newer = {"name": "o", "recipe": "web", "unlisted": True}
    members = {"instances": ["w"], "zones": ["europe-west99-a"]}
    assert told(Fleet.model_validate({**newer, "members": members})) == []
