"""Rules across fleets: a member is of one fleet, and its zones exist."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.fleet.model import Fleet
from bakehouse.fleet.rules import _in_question, between

A, B = "us-central1-a", "us-central1-b"


def fleet(fleet_name: str, /, **members: Any) -> Fleet:
    return Fleet.model_validate({"name": fleet_name, "recipe": "web", "members": members})


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


ZONES = st.sets(st.sampled_from([A, B]), min_size=1).map(sorted)
LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), min_size=1)
NAMES = st.sets(st.sampled_from(["v", "w", "x"]), min_size=1).map(sorted)
MEMBERS = st.one_of(
    st.fixed_dictionaries({"zones": ZONES, "labels": LABELS}),
    st.fixed_dictionaries({"zones": ZONES, "instances": NAMES}),
)


@given(st.lists(MEMBERS, max_size=8))
def test_of_many_fleets_is_told_what_is_told_of_each_two(members: list[dict[str, Any]]) -> None:
    fleets = [fleet(f"f{number}", **each) for number, each in enumerate(members)]
    assert told(*fleets) == [line for pair in combinations(fleets, 2) for line in told(*pair)]


def test_fleets_with_a_label_in_common_and_one_of_their_own_are_not_compared() -> None:
    labels = [{"env": "prod", "fleet": f"f{number}"} for number in range(50)]
    fleets = [fleet(each["fleet"], labels=each, zones=[A]) for each in labels]
    assert _in_question(fleets) == []
    above = fleet("every", labels={"env": "prod"}, zones=[A])
    assert len(_in_question([*fleets, above])) == 50


def test_a_group_of_two_fleets_is_told_in_the_second() -> None:
    group = {"group": "web", "zones": [A]}
    fleets = [
        Fleet.model_validate({"name": n, "recipe": "web", "strategy": "mig", "members": group})
        for n in ("two", "one")
    ]
    (found,) = between(fleets, {}, {"web"})
    assert (found.recipe, found.loc) == ("two", ("members", "group"))
    assert found.problem == f"is web in {A}, which is the fleet one already"


@pytest.mark.parametrize(
    "fields",
    [
        {"drain": {"deadline": "1m"}},
        {"resume": {"deadline": "1m"}},
        {"busy_limit": "2h"},
        {"progress_deadline": "2h"},
    ],
    ids=str,
)
def test_what_is_told_to_members_is_refused_for_a_group(fields: dict[str, Any]) -> None:
    group = {"group": "web", "zones": [A]}
    given = {"name": "one", "recipe": "web", "strategy": "mig", "members": group, **fields}
    (found,) = between([Fleet.model_validate(given)], {}, {"web"})
    assert found.loc == tuple(fields)
    assert "the group stops its instances itself" in found.problem
    plain = Fleet.model_validate({key: given[key] for key in given.keys() - fields.keys()})
    assert told(Fleet.model_validate(plain.model_dump(mode="json"))) == []


def test_a_group_of_another_zone_is_another_group() -> None:
    fleets = [
        Fleet.model_validate(
            {
                "name": f"web-{zone}",
                "recipe": "web",
                "strategy": "mig",
                "members": {"group": "web", "zones": [zone]},
            }
        )
        for zone in (A, B)
    ]
    assert told(*fleets) == []


@pytest.mark.parametrize(
    ("stages", "after", "expected"),
    [
        (["100%"], [1], "Add a stage before 100%"),
        ([1, "100%"], [1, 2], "Name stages before the last one"),
        ([1, "100%"], [1], None),
    ],
)
def test_an_approval_after_the_last_stage_is_told(
    stages: list[Any], after: list[int], expected: str | None
) -> None:
    one = fleet("web", instances=["web-1"], zones=[A]).model_dump(mode="json")
    asks = Fleet.model_validate({**one, "stages": stages, "approval": {"after": after}})
    found = between([asks], {}, {"web"})
    assert [one.remedy for one in found] == ([expected] if expected else [])
    assert all("no stage follows that one" in one.problem for one in found)


def test_a_member_by_pattern_that_another_fleet_lists_is_told() -> None:
    pattern = fleet("one", name="web-{n}", count=3, zones=[A])
    assert told(pattern, fleet("two", instances=["web-2"], zones=[A])) == [
        f"two is web-2 in {A}, a member of the fleet one too"
    ]
    again = fleet("two", name="web-{n}", count=1, first=3, zones=[A])
    (found,) = between([pattern, again], {}, {"web"})
    assert (found.recipe, found.loc) == ("two", ("members", "name"))
