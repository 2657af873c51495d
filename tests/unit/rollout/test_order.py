"""In which order members change, and how many may be down."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.fake_compute import NEW_IMAGE, NOW, OLD_DISK, Cloud

from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.fleet.stages import at_most
from bakehouse.recipe.load import Mistakes
from bakehouse.rollout.gates import down_for_long, others_are_up
from bakehouse.rollout.instance_facts import member_of
from bakehouse.rollout.order import key_of, natural, time_of_turns
from bakehouse.rollout.plan import Member, Reported, RolloutPlan
from bakehouse.rollout.planner import plan

FLEET = "recipe: web\nmembers: {instances: [a, b, c], zones: [us-central1-a]}\n"
BY_LABELS = "recipe: web\nmembers: {labels: {app: web}, zones: [us-central1-a]}\n"


def member(name: str, key: str = "", **more: Any) -> Member:
    disk = OLD_DISK.model_copy(update={"name": name})
    facts = {"zone": "z", "id": name, "status": "RUNNING", "boot": disk, "key": key, **more}
    return Member(name=name, **facts)


def report(name: str, ill: str = "") -> Reported:
    return Reported(name=name, zone="z", at=NOW, ill=ill)


def planned(members: list[Member], ill: str = "", **more: Any) -> RolloutPlan:
    reported = [report(m.name, "unhealthy" if m.name in ill else "") for m in members]
    return plan("web", "run", NEW_IMAGE, ("100%",), members, {}, reported=reported, **more)


def names(found: RolloutPlan) -> str:
    return " ".join(change.name for change in found.changes)


def test_unhealthy_members_come_first_then_the_key_orders_and_leaders_are_last() -> None:
    members = [member(n, k) for n, k in (("a", "10"), ("b", "9"), ("c", "1"), ("d", ""))]
    assert names(planned(members)) == "c b a d", "numbers count as numbers, no key comes last"
    assert names(planned(members, leaders={"c"})) == "b a d c"
    found = planned(members, ill="ac", leaders={"c"})
    assert names(found) == "a c b d", "an ill leader is ill before all"
    assert found.leaders == ("c",)


def test_without_a_key_the_order_is_that_of_the_list() -> None:
    assert names(planned([member("c"), member("a"), member("b")])) == "c a b"


@pytest.mark.parametrize(
    ("order_by", "key"),
    [
        ("name", "web-1"),
        ("zone", "z"),
        ("labels.broker", "7"),
        ("metadata.rack", "r2"),
        ("labels.none", ""),
        ("metadata.none", ""),
        (None, ""),
    ],
)
def test_a_member_has_the_key_that_the_fleet_orders_by(order_by: str | None, key: str) -> None:
    items = [None, {"key": "rack", "value": "r2"}, {"key": "empty"}]
    told = {"labels": {"broker": "7"}, "metadata": {"items": items}}
    instance = {**Cloud().instance(), **told}
    assert key_of(instance, order_by) == key
    assert member_of(instance, None, order_by).key == key


def test_numbers_in_names_are_numbers() -> None:
    assert sorted(["web-10", "web-9", "web", "web-2b", "web-2"], key=natural) == [
        "web",
        "web-2",
        "web-2b",
        "web-9",
        "web-10",
    ]


@pytest.mark.parametrize(
    "key", ["size", "label.x", "labels.", "labels.X", "metadata", "", "labels.a b"]
)
def test_a_key_that_no_member_has_is_refused_in_the_file(key: str) -> None:
    with pytest.raises(Mistakes, match="is none of name, zone, labels"):
        load_fleet(f"{FLEET}order_by: '{key}'\n", "include/fleets/web.yaml")


@pytest.mark.parametrize(
    ("limit", "members", "down"),
    [
        (1, 9, 1),
        (3, 2, 3),
        ("50%", 5, 2),
        ("10%", 3, 1),
        ("1%", 0, 1),
        ("34%", 3, 1),
        ("100%", 7, 7),
        ("20%", 1000, 200),
    ],
)
def test_a_share_is_rounded_down_but_never_to_none(
    limit: int | str, members: int, down: int
) -> None:
    assert at_most(limit, members) == down


def test_a_share_is_of_the_whole_fleet_whoever_is_to_change() -> None:
    held = {"refused": Reason.MEMBER_ON_HOLD}
    members = [*(member(n) for n in "abcd"), member("e", **held), member("f", **held)]
    found = planned(members, only={"a"}, max_unavailable="50%")
    assert names(found) == "a"
    assert found.rules is not None
    assert found.rules.max_unavailable == 2, "of the four that may be down at all"


@pytest.mark.parametrize("limit", ["0", "-1", "0%", "101%", "1.5", "half", "true", "'1'", "[1]"])
def test_a_limit_that_is_no_limit_is_refused(limit: str) -> None:
    with pytest.raises(Mistakes, match="neither a count of members, at least 1, nor a share"):
        load_fleet(f"{FLEET}max_unavailable: {limit}\n", "include/fleets/web.yaml")


def test_airflow_bounds_what_is_known_when_the_file_is_parsed() -> None:
    def at_once(text: str) -> int | None:
        return load_fleet(text, "fleets/web.yaml").most_at_once()

    assert at_once(FLEET + "max_unavailable: 67%\n") == 2
    assert at_once(FLEET + "max_unavailable: 5\n") == 5
    assert at_once(BY_LABELS + "max_unavailable: 5\n") == 5
    assert at_once(BY_LABELS + "max_unavailable: 50%\n") is None


@pytest.mark.parametrize("ill", ["a", "ab", "abcd"])
def test_a_fleet_of_which_one_two_or_all_are_ill_takes_a_fixing_image_ill_ones_first(
    ill: str,
) -> None:
    """Each member in turn: it may be changed, and healthy ones never exceed the limit."""
    members = [member(n) for n in "dcba"]
    found = planned(members, ill=ill)
    assert names(found).replace(" ", "")[: len(ill)] == "".join(sorted(ill, reverse=True))
    assert down_for_long(found) is None
    still, up = dict.fromkeys(ill, "unhealthy"), {n: {"status": "RUNNING"} for n in "abcd"}
    for change in found.changes:
        gate = others_are_up(change.name, up, up, 1, still)
        assert gate.open, gate.why
        still.pop(change.name, None)
        down = {**up, change.name: {"status": "STOPPING"}}
        healthy = [n for n in "abcd" if n not in still and n != change.name]
        assert not any(others_are_up(n, up, down, 1, still).open for n in healthy)


def test_a_member_that_stays_down_is_named_as_the_blocker() -> None:
    off = member("d", status="TERMINATED")
    reported = [report("a"), report("b", "unhealthy"), report("d", "it is TERMINATED")]
    found = plan(
        "web", "run", NEW_IMAGE, ("100%",), [member("a"), member("b"), off], {}, (), reported
    )
    blocker = down_for_long(found)
    assert blocker is not None
    assert blocker.why.startswith("already down: d (it is TERMINATED); max_unavailable is 1")
    assert blocker.members == ("a",), "b is ill itself: its replacement takes nothing away"
    two = plan(
        "web",
        "run",
        NEW_IMAGE,
        ("100%",),
        [member("a"), off],
        {},
        (),
        reported,
        max_unavailable=3,
    )
    assert down_for_long(two) is None


def test_turns_that_overlap_take_as_long_as_the_longest_row() -> None:
    assert time_of_turns([3, 3, 3, 3], 1) == 12
    assert time_of_turns([3, 3, 3, 3], 2) == 6
    assert time_of_turns([9, 1, 1, 1], 2) == 9
    assert time_of_turns([], 2) == 0
