"""Which member goes in which stage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_compute import NEW_IMAGE, NOW, OLD_DISK, Cloud

from bakehouse.core.reasons import Reason
from bakehouse.images.labels import MEMBER
from bakehouse.rollout.boot_disks import disk_body
from bakehouse.rollout.instance_facts import member_of
from bakehouse.rollout.plan import BootDisk, Member, Reported, RolloutPlan
from bakehouse.rollout.planner import plan
from bakehouse.rollout.rollout_disks import disk_name, first_try_of, recall
from bakehouse.rollout.strategies.swap import forward

RUN = "0123456789ab"
STAGES = (1, "50%", "100%")


def member(name: str, *, image: str = "100", status: str = "RUNNING", boot: bool = True) -> Member:
    disk = OLD_DISK.model_copy(update={"name": name, "image_id": image})
    return Member(name=name, zone="z", id=f"id-{name}", status=status, boot=disk if boot else None)


def planned(members: list[Member], made: dict[str, Any] | None = None) -> RolloutPlan:
    return plan("web", RUN, NEW_IMAGE, STAGES, members, made or {})


def names(found: RolloutPlan) -> list[list[str]]:
    return [[change.name for change in stage] for stage in found.stages]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, [[], [], []]),
        (1, [["m0"], [], []]),
        (2, [["m0"], [], ["m1"]]),
        (3, [["m0"], ["m1"], ["m2"]]),
    ],
)
def test_fleets_of_0_to_3(count: int, expected: list[list[str]]) -> None:
    assert names(planned([member(f"m{i}") for i in range(count)])) == expected


def test_who_is_on_the_image_is_left_alone_with_a_reason() -> None:
    found = planned([member("a", image="200"), member("b")])
    assert names(found) == [["b"], [], []]
    assert [(s.name, s.reason) for s in found.skipped] == [("a", Reason.ALREADY_ON_IMAGE)]


def test_an_image_with_the_name_of_the_members_own_is_another_image_by_its_id() -> None:
    """A -> B -> A with equal names: names say nothing, ids do."""
    same_name = member("a")
    assert same_name.boot is not None
    boot = same_name.boot.model_copy(update={"image": NEW_IMAGE.self_link})
    found = planned([same_name.model_copy(update={"boot": boot})])
    assert names(found) == [["a"], [], []]
    there = boot.model_copy(update={"image_id": NEW_IMAGE.id, "image": OLD_DISK.image})
    found = planned([same_name.model_copy(update={"boot": there})])
    assert [s.reason for s in found.skipped] == [Reason.ALREADY_ON_IMAGE]


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (3, ["a", "bc", "defg"]),
        (1, ["abcdefg"]),
        (2, ["a", "bcdefg"]),
        (5, ["a", "bc", "defg", "", ""]),
    ],
)
def test_a_file_with_more_stages_or_fewer_since_changes_no_goal(
    last: int, expected: list[str]
) -> None:
    found = plan("web", RUN, NEW_IMAGE, (1, 3, "100%"), [member(n) for n in "abcdefg"], {})
    stages = [found.stage(number, last) for number in range(1, last + 1)]
    assert ["".join(change.name for change in stage) for stage in stages] == expected


def test_who_was_stopped_by_somebody_stays_stopped() -> None:
    found = planned([member("a", status="TERMINATED"), member("b", status="SUSPENDED")])
    assert [s.reason for s in found.skipped] == [Reason.MEMBER_NOT_RUNNING] * 2


def test_a_name_without_an_instance_is_told() -> None:
    found = plan("web", RUN, NEW_IMAGE, STAGES, [], {}, missing=["web-9"])
    assert [(s.name, s.reason) for s in found.skipped] == [("web-9", Reason.MEMBER_MISSING)]


def test_the_way_back_is_in_the_plan() -> None:
    change = planned([member("a")]).changes[0]
    assert (change.old.name, change.old.image_id) == ("a", "100")
    assert RolloutPlan.model_validate(planned([member("a")]).model_dump(mode="json")) == planned(
        [member("a")]
    )


def made_disk(found: RolloutPlan, name: str, users: bool = True) -> dict[str, Any]:
    change = next(c for c in found.changes if c.name == name)
    body = disk_body(forward(found, change, None), NOW)
    return {**body, "creationTimestamp": "2026-11-23", "users": ["x"] if users else []}


def test_a_run_that_plans_again_keeps_what_it_has_changed_first_and_with_what_it_had() -> None:
    first = planned([member("a"), member("b"), member("c")])
    disk = made_disk(first, "b")
    on_new = member("b", image="200")
    assert on_new.boot is not None
    swapped = on_new.model_copy(
        update={"boot": on_new.boot.model_copy(update={"name": disk["name"]})}
    )
    again = planned([member("a"), swapped, member("c")], {disk["name"]: disk})
    assert names(again) == [["b"], ["a"], ["c"]]
    assert again.changes[0].old == next(c.old for c in first.changes if c.name == "b")


@pytest.mark.parametrize("first_is_left", [True, False])
def test_a_run_that_plans_again_finds_the_fresh_disk_of_a_second_try(first_is_left: bool) -> None:
    first = planned([member("a"), member("b")])
    change = next(c for c in first.changes if c.name == "b")
    assert len({change.disk, change.second_disk, "b"}) == 3
    second = forward(first, change, None).again("no health report", "boot-2")
    body = {**disk_body(second, NOW), "creationTimestamp": "2026-11-23", "users": ["x"]}
    made = {change.second_disk: body, "b": {"name": "b"}}
    if first_is_left:
        made |= {change.disk: made_disk(first, "b", users=False)}
    there = member("b", image="200")
    assert there.boot is not None
    boot = there.boot.model_copy(update={"name": change.second_disk})
    again = planned([member("a"), there.model_copy(update={"boot": boot})], made)
    assert again.changes[0] == change
    assert first_try_of(body) == ("no health report", "boot-2")
    assert recall(body) == change.old


def test_what_is_said_of_a_first_try_fits_into_a_description() -> None:
    found = planned([member("a")])
    body = disk_body(forward(found, found.changes[0], None).again("x" * 5_000, "b" * 36), NOW)
    assert len(body["description"]) < 2_048
    assert first_try_of(body) == ("x" * 300, "b" * 36)
    assert first_try_of({"description": "made by hand"})[1] is None


def test_a_member_left_without_its_boot_disk_is_taken_up_by_another_run() -> None:
    disk = made_disk(planned([member("a")]), "a", users=False)
    bare = member("a", status="TERMINATED", boot=False)
    found = plan("web", "another-run", NEW_IMAGE, STAGES, [bare], {disk["name"]: disk})
    assert [c.old.name for c in found.changes] == ["a"]
    lost = plan("web", "another-run", NEW_IMAGE, STAGES, [bare], {})
    assert [s.reason for s in lost.skipped] == [Reason.MEMBER_WITHOUT_DISK]


def test_a_member_left_stopped_is_taken_up_by_another_run() -> None:
    disk = made_disk(planned([member("a")]), "a", users=False)
    stopped = member("a", status="TERMINATED")
    found = plan("web", "another-run", NEW_IMAGE, STAGES, [stopped], {disk["name"]: disk})
    assert names(found) == [["a"], [], []]


def test_a_disk_without_our_description_says_nothing() -> None:
    assert recall({"description": "made by hand", "labels": {MEMBER: "a"}}) is None
    assert recall({}) is None


def test_the_facts_of_a_member_come_from_instance_and_disk() -> None:
    cloud = Cloud()
    disk = {
        "name": "web-1",
        "sourceImageId": "100",
        "sourceImage": OLD_DISK.image,
        "type": OLD_DISK.type,
        "sizeGb": "10",
        "labels": {"team": "web", "git-sha": "b" * 40, "bakehouse-run": "x"},
    }
    found = member_of(cloud.instance(), disk)
    assert found == Member(name="web-1", zone="z", id="7", status="RUNNING", boot=OLD_DISK)
    assert isinstance(found.boot, BootDisk)


@given(st.from_regex(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True), st.text(max_size=12))
def test_disk_names_are_legal_and_tell_images_apart(instance: str, run: str) -> None:
    name = disk_name(instance, run, "100")
    assert len(name) <= 63
    assert name != disk_name(instance, run, "200")
    assert name[0].isalpha()
    assert not name.endswith("-")


# -- what no rollout may change --------------------------------------------------------------------

MANAGER = "projects/123/zones/z/instanceGroupManagers/shop"
REGIONAL = {"boot": True, "source": "projects/p/regions/r/disks/web-1", "deviceName": "boot"}
HERE = "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances"


def read(instance: dict[str, Any], **disk: Any) -> Member:
    made = {"name": "web-1", "id": "9", "type": "t", "sizeGb": "10", "sourceImageId": "100"}
    return member_of({**Cloud().instance(), **instance}, {**made, **disk})


def created_by(value: str) -> dict[str, Any]:
    return {"metadata": {"items": [None, {"key": "a"}, {"key": "created-by", "value": value}]}}


REFUSED = [
    (read(created_by(MANAGER)), Reason.MEMBER_OF_GROUP, "if shop has abandoned it"),
    (
        read(created_by(MANAGER.replace("zones/z", "regions/r"))),
        Reason.MEMBER_OF_GROUP,
        "delete its metadata created-by",
    ),
    (read({"labels": {"bakehouse-hold": "ann"}}), Reason.MEMBER_ON_HOLD, "by ann"),
    (
        read({"disks": [{**REGIONAL, "source": "projects/other/zones/z/disks/web-1"}]}),
        Reason.BOOT_DISK_NOT_REPLACEABLE,
        "web-1 is a disk of the project other",
    ),
    (read({"disks": [REGIONAL]}), Reason.BOOT_DISK_NOT_REPLACEABLE, "web-1 is a regional disk"),
    (
        read({}, users=[f"{HERE}/web-1", f"{HERE}/web-2"]),
        Reason.BOOT_DISK_NOT_REPLACEABLE,
        "web-1 is attached to web-2 too",
    ),
    (
        read({}, diskEncryptionKey={"sha256": "x"}),
        Reason.BOOT_DISK_NOT_REPLACEABLE,
        "encrypted with a key that only its owner has",
    ),
]


@pytest.mark.parametrize(("refused", "reason", "why"), REFUSED)
def test_a_member_in_other_hands_is_left_alone_with_the_reason(
    refused: Member, reason: Reason, why: str
) -> None:
    found = planned([refused, member("b")])
    assert names(found) == [["b"], [], []]
    (skipped,) = found.skipped
    assert skipped.reason is reason
    assert why in skipped.detail
    assert found.refused == (), "the others move"
    assert bool(planned([refused]).refused) is (reason is not Reason.MEMBER_ON_HOLD)


@pytest.mark.parametrize(
    "instance",
    [
        {"deletionProtection": True},  # a swap deletes no instance
        created_by("somebody"),
        {"metadata": {}},
        {"labels": {}},
    ],
)
def test_a_member_that_a_swap_may_change_is_in_the_plan(instance: dict[str, Any]) -> None:
    kms = {"kmsKeyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k"}
    mine = read(instance, users=[f"{HERE}/web-1"], diskEncryptionKey=kms)
    found = planned([mine])
    assert names(found) == [["web-1"], [], []]
    assert found.changes[0].protected is bool(instance.get("deletionProtection")), "it is told"


def test_a_member_in_other_hands_that_is_on_the_image_already_is_no_failure() -> None:
    on_image = read(created_by(MANAGER), sourceImageId="200")
    found = planned([on_image])
    assert [skipped.reason for skipped in found.skipped] == [Reason.ALREADY_ON_IMAGE]
    assert found.refused == ()


@pytest.mark.parametrize(
    ("source", "made_of"),
    [
        ({"sourceSnapshot": "projects/p/global/snapshots/s"}, "the snapshot s"),
        ({"sourceInstantSnapshot": "zones/z/instantSnapshots/i"}, "the instant snapshot i"),
        ({"sourceDisk": "zones/z/disks/d"}, "the disk d"),
        ({}, ""),
        ({"sourceImage": "global/images/i", "sourceSnapshot": "s"}, ""),
    ],
)
def test_what_else_a_boot_disk_was_made_of(source: dict[str, str], made_of: str) -> None:
    boot = read({}, **source).boot
    assert boot is not None
    assert (boot.id, boot.made_of) == ("9", made_of)


def test_whose_old_disk_is_the_only_way_back_is_in_the_plan() -> None:
    found = planned([member("a"), member("b")]).judged({"b": "its image is gone"})
    assert [(c.name, c.only_disk) for c in found.changes] == [("a", ""), ("b", "its image is gone")]
    assert [forward(found, change, None).only_disk for change in found.changes] == [False, True]


def test_a_member_that_a_failed_roll_back_has_left_stopped_is_taken_up_by_another_run() -> None:
    """Its new disk is attached, its old one is not."""
    told = {MEMBER: "a", "bakehouse-role": "previous"}
    old = {"name": "a-old", "labels": told, "creationTimestamp": "2026-11-23T00:00:00Z"}
    stopped = member("a", status="TERMINATED")
    assert names(planned([stopped], {"a-old": old})) == [["a"], [], []]
    in_use = {**old, "users": ["a"]}
    assert [s.reason for s in planned([stopped], {"a-old": in_use}).skipped] == [
        Reason.MEMBER_NOT_RUNNING
    ]


def test_what_a_member_without_a_boot_disk_had_is_told_by_its_new_disk_alone() -> None:
    new = made_disk(planned([member("a")]), "a", users=False)
    told = {MEMBER: "a", "bakehouse-role": "previous"}
    old = {"name": "a", "labels": told, "creationTimestamp": "2026-11-24T00:00:00Z"}
    new["creationTimestamp"] = "2026-11-23T00:00:00Z"
    bare = member("a", status="TERMINATED", boot=False)
    disks = {"a": old, new["name"]: new}
    found = plan("web", "another-run", NEW_IMAGE, STAGES, [bare], disks)
    assert [change.old.name for change in found.changes] == ["a"]
    assert found.changes[0].old.image_id == "100"


def test_members_that_are_ill_come_first() -> None:
    members = [member(name) for name in ("a", "b", "c", "d")]
    reported = [
        Reported(name=m.name, zone="z", at=NOW, ill="unhealthy" if m.name in {"b", "d"} else "")
        for m in members
    ]
    found = plan("web", RUN, NEW_IMAGE, STAGES, members, {}, reported=reported)
    assert names(found) == [["b"], ["d"], ["a", "c"]]
    assert RolloutPlan.model_validate(found.model_dump(mode="json")) == found
