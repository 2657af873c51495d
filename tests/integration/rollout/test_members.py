"""What is read of Compute Engine about a fleet and its images."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.support.fake_compute import BASE, OLD_DISK, Cloud

from bakehouse.core.errors import NotFound, PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.members import Members
from bakehouse.rollout import leftovers, members, target_images
from bakehouse.rollout.plan import Change
from bakehouse.rollout.strategies.swap import is_old

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook


def image(name: str, **more: Any) -> dict[str, Any]:
    labels = {"bakehouse-recipe": "web", "bakehouse-state": "promoted", "git-sha": "a" * 40}
    return {
        "name": name,
        "id": "100",
        "selfLink": f"{BASE}/global/images/{name}",
        "status": "READY",
        "diskSizeGb": "10",
        "creationTimestamp": "2026-11-20T00:00:00.000-08:00",
        "labels": labels | more.pop("labels", {}),
        **more,
    }


class Hook:
    """Answers from dictionaries."""

    project = "p"

    def __init__(self, *images: dict[str, Any], **instances: str) -> None:
        self._images = {i["name"]: i for i in images}
        self._instances = instances  # name -> zone
        self.deleted: list[str] = []
        self.lists = 0
        self.disk_found: dict[str, Any] | None = None
        self.instance_found: dict[str, Any] | None = None
        self.refuses: Exception | None = None
        self.disk_refuses: Exception | None = None

    def image(self, name: str, project: str | None = None) -> dict[str, Any] | None:
        assert name, "the client refuses an empty name with a TypeError"
        if self.refuses is not None:
            raise self.refuses
        return self._images.get(name) if project in {None, "p"} else None

    def images(self, filter_: str) -> list[dict[str, Any]]:
        assert filter_.split(" AND ")[0] == "labels.bakehouse-recipe=web"
        assert filter_.split(" AND ")[1:] in ([], ["labels.bakehouse-state=promoted"])
        return list(self._images.values())

    def instance_states(self, zone: str, filter_: str) -> list[dict[str, Any]]:
        assert filter_ == "", "of whatever labels"
        return self.instances(zone, filter_)

    def instances(self, zone: str, filter_: str) -> list[dict[str, Any]]:
        self.lists += 1
        here = [name for name, where in self._instances.items() if where == zone]
        if filter_.startswith("name eq "):
            wanted = re.compile(filter_.removeprefix("name eq ").strip("'"))
            here = [name for name in here if wanted.fullmatch(name)]
        elif filter_:
            assert filter_ == "labels.fleet=web AND labels.tier=front"
        return [{"name": name} for name in here]

    def instance(self, zone: str, name: str) -> dict[str, Any] | None:
        return self.instance_found

    def disk(self, zone: str, name: str) -> dict[str, Any] | None:
        if self.disk_refuses is not None:
            raise self.disk_refuses
        return self.disk_found

    def delete_disk(self, zone: str, name: str, request_id: str) -> None:
        self.deleted.append(name)


def hook(found: Hook) -> ComputeHook:
    return cast("ComputeHook", found)


DEPRECATED = {"state": "DEPRECATED"}


def test_without_a_name_the_newest_promoted_image_is_chosen() -> None:
    older = image("web-1")
    newer = image("web-2", creationTimestamp="2026-11-21T00:00:00.000-08:00")
    gone = image("web-3", creationTimestamp="2026-11-22T00:00:00.000-08:00", deprecated=DEPRECATED)
    assert target_images.choose(hook(Hook(older, newer, gone)), "web", "").name == "web-2"


def test_an_image_may_be_chosen_by_the_hash_of_its_commit() -> None:
    first = image("web-1", id="101", labels={"git-sha": "4f2a9c1" + "0" * 33})
    second = image("web-2", id="102", labels={"git-sha": "4f2a9c1" + "0" * 33})
    second["creationTimestamp"] = "2026-11-21T00:00:00.000-08:00"
    other = image("web-3", id="103", labels={"git-sha": "1234567" + "0" * 33})
    found = Hook(first, second, other)
    for wanted in ("4f2a9c1", "4F2A9C1", "4f2a9c1" + "0" * 33):
        assert target_images.choose(hook(found), "web", wanted).name == "web-2", (
            "the newest of them"
        )
    assert target_images.choose(hook(found), "web", "1234567").name == "web-3", (
        "digits are no id here"
    )
    second["labels"]["bakehouse-state"] = "revoked"
    assert target_images.choose(hook(found), "web", "4f2a9c1").name == "web-1", (
        "one that may be used"
    )
    first["labels"]["bakehouse-state"] = "candidate"
    with pytest.raises(PermanentError, match="web-2: it is revoked"):
        target_images.choose(hook(found), "web", "4f2a9c1")


def test_a_name_that_looks_like_a_hash_is_a_name() -> None:
    named = image("abcdef1")
    of_commit = image("web-2", labels={"git-sha": "abcdef1" + "0" * 33})
    assert target_images.choose(hook(Hook(named, of_commit)), "web", "abcdef1").name == "abcdef1"


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("0000000", "no image of web is of the commit 0000000, nor has any image this name or id"),
        ("4f2a9c1", "4f2a9c1 is the begin of several commits: 4f2a9c1a+, 4f2a9c1b+"),
        ("4f2a9c", "no image 4f2a9c exists in p"),
        ("4f2a9cx", "no image 4f2a9cx exists in p"),
    ],
)
def test_a_hash_that_names_no_image_or_several_is_refused(wanted: str, told: str) -> None:
    hashes = ["4f2a9c1" + "a" * 33, "4f2a9c1" + "b" * 33]
    found = [image(f"web-{n}", labels={"git-sha": sha}) for n, sha in enumerate(hashes)]
    with pytest.raises(PermanentError, match=told):
        target_images.choose(hook(Hook(*found)), "web", wanted)


def test_no_rollout_takes_an_image_of_a_backfill_by_itself() -> None:
    old = hook(Hook(image("web-1", labels={"bakehouse-state": "history"})))
    with pytest.raises(PermanentError, match="web-1 is an image of a backfill"):
        target_images.choose(old, "web", "web-1", by_person=False, of_history=False)
    assert target_images.choose(old, "web", "web-1").name == "web-1", "a person may"


def test_an_image_of_the_history_may_be_chosen_by_name() -> None:
    old = image("web-1", labels={"bakehouse-state": "history"})
    chosen = target_images.choose(hook(Hook(old)), "web", "web-1")
    assert (chosen.id, chosen.git_sha, chosen.disk_gb) == ("100", "a" * 40, 10)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"bakehouse-recipe": "kafka"}, "is an image of kafka; this fleet runs web"),
        ({"bakehouse-state": "candidate"}, "is not promoted"),
        ({"bakehouse-state": "failed"}, "is not promoted"),
        ({"bakehouse-state": "revoked"}, "it is revoked"),
        ({"revoked-base": "77"}, "is built on a revoked image .id 77.; bake web again"),
    ],
)
def test_what_was_never_promoted_is_refused(labels: dict[str, str], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        target_images.choose(hook(Hook(image("web-1", labels=labels))), "web", "web-1")


def test_an_obsolete_image_is_refused_by_name_and_a_marked_one_is_not_the_newest() -> None:
    """Compute Engine would refuse the disk, with the members' line already begun."""
    obsolete = image("web-1", deprecated={"state": "OBSOLETE"})
    with pytest.raises(PermanentError, match="web-1 is OBSOLETE"):
        target_images.choose(hook(Hook(obsolete)), "web", "web-1")
    marked = image("web-2", labels={"revoked-base": "77"})
    chosen = target_images.choose(hook(Hook(image("web-1"), marked)), "web", "")
    assert chosen.name == "web-1"


def test_a_rollout_that_goes_on_ends_when_its_image_is_revoked() -> None:
    pinned = target_images.target(image("web-1"))
    target_images.check(hook(Hook(image("web-1"))), pinned)
    with pytest.raises(PermanentError, match="it is revoked"):
        target_images.check(
            hook(Hook(image("web-1", labels={"bakehouse-state": "revoked"}))), pinned
        )
    for found in (Hook(), Hook(image("web-1", id="101"))):
        with pytest.raises(PermanentError, match="does not exist any more"):
            target_images.check(hook(found), pinned)


def test_no_member_goes_back_onto_another_disk_of_a_revoked_image() -> None:
    """Its kept disk is another matter: nothing is made of the image then."""
    revoked = image("web-old", labels={"bakehouse-state": "revoked"})
    assert target_images.previous(hook(Hook(revoked)), OLD_DISK, "web") is None


def test_no_image_at_all_says_what_to_do() -> None:
    with pytest.raises(PermanentError, match="trigger bake__web"):
        target_images.choose(hook(Hook()), "web", "")
    with pytest.raises(PermanentError, match="no image web-9"):
        target_images.choose(hook(Hook()), "web", "web-9")


def test_the_image_a_member_had_is_found_by_id_and_a_reused_name_is_not_taken_for_it() -> None:
    same = target_images.previous(hook(Hook(image("web-old"))), OLD_DISK, "web")
    assert same is not None
    assert same.id == OLD_DISK.image_id
    assert target_images.previous(hook(Hook(image("web-old", id="101"))), OLD_DISK, "web") is None
    assert target_images.previous(hook(Hook()), OLD_DISK, "web") is None


def named(*names: str) -> Members:
    zones = ["us-central1-a", "us-central1-b"]
    return Members.model_validate({"instances": names, "zones": zones})


def test_named_members_keep_their_order_and_the_missing_are_told() -> None:
    wanted = named("web-2", "web-9", "web-1")
    found = Hook(**{"web-1": "us-central1-a", "web-2": "us-central1-b"})
    there, missing = members.instances(hook(found), wanted)
    assert ([i["name"] for i in there], missing) == (["web-2", "web-1"], ["web-9"])


def test_of_two_zones_with_one_name_the_first_counts() -> None:
    class Twice(Hook):
        def instances(self, zone: str, filter_: str) -> list[dict[str, Any]]:
            return [{"name": "web-1", "zone": zone}]

    there, missing = members.instances(hook(Twice()), named("web-1"))
    assert (there, missing) == ([{"name": "web-1", "zone": "us-central1-a"}], [])


def test_how_the_others_stand_costs_a_call_for_each_hundred_of_a_zone() -> None:
    names = {f"web-{number}": f"us-central1-{'ab'[number % 2]}" for number in range(300)}
    found = Hook(**names)
    assert set(members.standing(hook(found), {**names, "web-300": "us-central1-a"})) == set(names)
    assert found.lists == 4


def test_who_of_many_runs_is_one_list_of_each_zone() -> None:
    names = {f"web-{number}": f"us-central1-{'ab'[number % 2]}" for number in range(400)}
    found = Hook(**names, other="us-central1-a")
    wanted = {**names, "web-400": "us-central1-a"}
    assert set(members.statuses(hook(found), wanted)) == set(names)
    assert found.lists == 2
    few = dict(list(names.items())[:20])
    assert set(members.statuses(hook(found), few)) == set(few)


def test_labelled_members_come_from_every_zone_by_name() -> None:
    wanted = Members(
        labels={"fleet": "web", "tier": "front"}, zones=("us-central1-a", "us-central1-b")
    )
    found = Hook(**{"web-2": "us-central1-a", "web-1": "us-central1-b"})
    there, missing = members.instances(hook(found), wanted)
    assert ([i["name"] for i in there], missing) == (["web-1", "web-2"], [])


CHANGE = Change(name="web-1", zone="z", id="7", disk="web-1-12345678", old=OLD_DISK)
OLD = {"id": "5", "name": "web-1", "sourceImageId": "100", "labelFingerprint": "x"}


@pytest.mark.parametrize(
    ("disk", "deleted"), [(None, []), ({"id": "5", "users": ["x"]}, []), ({"id": "5"}, ["d"])]
)
def test_only_a_disk_that_nothing_uses_is_deleted(
    disk: dict[str, Any] | None, deleted: list[str]
) -> None:
    found = Hook()
    found.disk_found = disk
    change = CHANGE.model_copy(update={"disk": "d"})
    leftovers.delete_new(hook(found), change, "d", "request", good=True)
    assert found.deleted == deleted


@pytest.mark.parametrize(("boot", "deleted"), [([], []), ([{"boot": True, "source": "s"}], ["d"])])
def test_the_new_disk_of_a_member_without_any_stays_since_it_says_what_the_member_had(
    boot: list[dict[str, Any]], deleted: list[str]
) -> None:
    found = Hook()
    found.disk_found, found.instance_found = {"id": "5"}, {"disks": boot}
    change = CHANGE.model_copy(update={"disk": "d"})
    leftovers.delete_new(hook(found), change, "d", "request", good=False)
    assert found.deleted == deleted


@pytest.mark.parametrize(
    ("disk", "deleted"),
    [
        (None, []),
        ({**OLD, "users": ["x"]}, []),
        ({**OLD, "sourceImageId": "999"}, []),  # another disk that has got the name since
        (OLD, ["web-1"]),
    ],
)
def test_only_the_very_disk_that_was_taken_out_is_deleted(
    disk: dict[str, Any] | None, deleted: list[str]
) -> None:
    found = Hook()
    found.disk_found = disk
    leftovers.delete_old(hook(found), CHANGE, "request", again=False)
    assert found.deleted == deleted


def test_a_disk_with_the_name_of_the_old_one_is_told_from_it_by_its_id() -> None:
    restored = OLD_DISK.model_copy(update={"id": "5", "image": "", "image_id": ""})
    assert is_old({"id": "5"}, restored)
    assert not is_old({"id": "6"}, restored)
    assert not is_old(None, restored)


ELSEWHERE = OLD_DISK.image.replace("/projects/p/", "/projects/other/")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"image": "", "image_id": "", "made_of": "the snapshot s"}, "made of the snapshot s"),
        ({"image": "", "image_id": ""}, "made of no image"),
        ({"image_id": ""}, "made of no image"),
        ({"image_id": "999"}, r"web-old \(id 999\) does not exist any more in p"),
        ({"image": ELSEWHERE}, r"web-old \(id 100\) does not exist any more in other"),
    ],
)
def test_a_disk_that_no_image_can_make_again_says_why(change: dict[str, Any], why: str) -> None:
    old = OLD_DISK.model_copy(update=change)
    found = hook(Hook(image("web-old")))
    assert re.search(why, target_images.only_disk(found, old))
    assert target_images.previous(found, old, "web") is None
    assert target_images.only_disk(found, OLD_DISK) == ""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"labels": {"bakehouse-state": "revoked"}}, "it is revoked"),
        ({"labels": {"revoked-base": "7"}}, "built on a revoked image"),
        ({"deprecated": {"state": "OBSOLETE"}}, "is OBSOLETE"),
        ({"deprecated": {"state": "DELETED"}}, "is DELETED"),
        ({"status": "DELETING"}, "is DELETING"),
        ({"status": "FAILED"}, "is FAILED"),
    ],
)
def test_an_image_that_is_there_and_of_which_nothing_is_made_says_why(
    more: dict[str, Any], why: str
) -> None:
    assert why in target_images.only_disk(hook(Hook(image("web-old", **more))), OLD_DISK)


@pytest.mark.parametrize("error", [PermanentError("HTTP 403"), NotFound("no such project")])
def test_an_image_that_may_not_be_read_counts_as_gone(error: Exception) -> None:
    found = Hook()
    found.refuses = error
    assert target_images.only_disk(hook(found), OLD_DISK) == f"its image cannot be read: {error}"
    assert target_images.previous(hook(found), OLD_DISK, "web") is None


def test_an_image_that_cannot_be_read_just_now_is_asked_for_again() -> None:
    found = Hook()
    found.refuses = TransientError("HTTP 503")
    with pytest.raises(TransientError):
        target_images.only_disk(hook(found), OLD_DISK)


def test_a_member_whose_boot_disk_may_not_be_read_is_refused_alone() -> None:
    found = Hook()
    found.disk_refuses = PermanentError("HTTP 403")
    (member,) = members.fleet_members(hook(found), [Cloud().instance()])
    assert (member.boot, member.refused) == (None, Reason.BOOT_DISK_NOT_REPLACEABLE)
    assert member.refused_why == "HTTP 403"


class Disks(Hook):
    """Has disks, of which lists leave out `young`; counts the reads."""

    def __init__(self, refuses: Exception | None = None) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.list_refuses = refuses

    def disk(self, zone: str, name: str) -> dict[str, Any] | None:
        self.reads.append(name)
        return {**Cloud().disks["web-1"], "name": name, "type": "pd", "sizeGb": "9"}

    def disks(self, zone: str, filter_: str) -> list[dict[str, Any]]:
        self.lists += 1
        if self.list_refuses is not None:
            raise self.list_refuses
        names = filter_.removeprefix("name eq ").strip("'").split("|")
        every = [Disks().disk(zone, name) for name in names if name != "young"]
        return [disk for disk in every if disk is not None]


def booting_from(*disks: str) -> list[dict[str, Any]]:
    return [replace(Cloud(), boot=disk).instance() for disk in disks]


def test_the_boot_disks_of_many_members_are_listed_and_one_that_no_list_has_is_read() -> None:
    names = [*(f"boot-{number}" for number in range(members.FEW)), "young"]
    found = Disks()
    there = members.fleet_members(hook(found), booting_from(*names))
    assert [member.boot.name for member in there if member.boot] == names
    assert (found.lists, found.reads) == (1, ["young"])


def test_where_the_list_of_boot_disks_is_refused_each_is_read() -> None:
    names = [f"boot-{number}" for number in range(members.FEW + 1)]
    found = Disks(PermanentError("HTTP 403"))
    there = members.fleet_members(hook(found), booting_from(*names))
    assert [member.boot.name for member in there if member.boot] == found.reads == names
