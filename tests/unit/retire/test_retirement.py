"""Which image goes a stage further: never one that is used, nor the newest; always told why."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.support.resources import BASE, NOW, Resource, image, owned

from bakehouse.core.reasons import Reason
from bakehouse.images.links import image_of
from bakehouse.inventory.model import Inventory
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.model import Keep
from bakehouse.retire.references import Reference, references, with_running_rollouts
from bakehouse.retire.retirement import (
    Action,
    Decision,
    deprecation_body,
    is_done,
    obsolescence_body,
    plan_retirement,
)
from bakehouse.rollout.plan import BootDisk
from bakehouse.rollout.rollout_disks import remember

DAY = timedelta(days=1)
KEEP = Keep(last=2, grace=3 * DAY)


def decide(
    images: list[Resource], keep: Keep = KEEP, used: dict[str, list[Reference]] | None = None
) -> dict[str, Decision]:
    found = plan_retirement(images, {"web": keep}, used or {}, NOW, broken=["torn"])
    return {decision.image: decision for decision in found}


def on_the_way(name: str, body: dict[str, str], **more: Any) -> Resource:
    return image(name, days=90, deprecated=body, **more)


def fleet_of(days: int) -> list[Resource]:
    return [image(f"web-{n}", days=n) for n in range(days)]


def why(decisions: dict[str, Decision]) -> dict[str, tuple[str, str]]:
    return {name: (str(d.do), str(d.reason)) for name, d in decisions.items()}


def test_the_newest_n_stay_and_the_others_are_deprecated_with_a_replacement() -> None:
    images = fleet_of(4)
    found = decide(images)
    assert why(found) == {
        "web-0": ("leave", "familys_newest"),
        "web-1": ("leave", "within_keep"),
        "web-2": ("deprecate", "not_kept"),
        "web-3": ("deprecate", "not_kept"),
    }
    body = found["web-3"].body
    assert body["state"] == "DEPRECATED"
    assert body["replacement"] == images[0]["selfLink"]
    assert body["obsolete"] == (NOW + 3 * DAY).isoformat(timespec="seconds")
    assert body["deleted"] == (NOW + 6 * DAY).isoformat(timespec="seconds")


def test_images_younger_than_the_kept_days_stay() -> None:
    found = decide(fleet_of(8), Keep(last=1, days=5))
    going = [name for name, decision in found.items() if decision.do is Action.DEPRECATE]
    assert going == ["web-5", "web-6", "web-7"]


def test_an_image_goes_stage_by_stage_after_its_own_grace_period() -> None:
    early, due = deprecation_body(NOW - 2 * DAY, 3 * DAY), deprecation_body(NOW - 4 * DAY, 3 * DAY)
    gone = obsolescence_body({"deprecated": due}, NOW - 4 * DAY, 3 * DAY)
    images = [
        *fleet_of(2),
        on_the_way("web-early", early),
        on_the_way("web-due", due),
        on_the_way("web-obsolete", obsolescence_body({"deprecated": due}, NOW - DAY, 3 * DAY)),
        on_the_way("web-gone", gone),
    ]
    found = decide(images)
    assert why(found) == {
        "web-0": ("leave", "familys_newest"),
        "web-1": ("leave", "within_keep"),
        "web-early": ("leave", "grace"),
        "web-due": ("make_obsolete", "not_kept"),
        "web-obsolete": ("leave", "grace"),
        "web-gone": ("delete", "not_kept"),
    }
    body = found["web-due"].body
    assert body["deleted"] == (NOW + 3 * DAY).isoformat(timespec="seconds"), "a whole grace again"


@pytest.mark.parametrize("state", ["DEPRECATED", "OBSOLETE", "DELETED"])
def test_what_somebody_deprecated_by_hand_gets_its_grace_from_now(state: str) -> None:
    found = decide([*fleet_of(2), on_the_way("web-hand", {"state": state})])["web-hand"]
    assert found.do is not Action.DELETE
    assert found.body["deleted"] > NOW.isoformat()


@pytest.mark.parametrize("date", ["soon", "2026-13-01", "12"])
def test_a_date_that_nobody_can_read_is_none(date: str) -> None:
    told = {"state": "DEPRECATED", "obsolete": date}
    assert decide([*fleet_of(2), on_the_way("web-hand", told)])["web-hand"].do is Action.DEPRECATE


def test_never_the_familys_newest_even_when_somebody_deprecated_all() -> None:
    images = [image(f"web-{n}", n, deprecated={"state": "OBSOLETE"}) for n in range(3)]
    found = decide(images, Keep(last=1, grace=DAY))
    assert found["web-0"].reason is Reason.FAMILYS_NEWEST
    other = decide([image("web-0"), image("web-old", 400, family="web-2019")], Keep(last=1))
    assert other["web-old"].reason is Reason.FAMILYS_NEWEST, "of a family that was renamed since"


def test_one_that_a_person_deprecated_does_not_count_among_those_that_are_kept() -> None:
    images = fleet_of(4)
    images[1]["deprecated"] = {"state": "DEPRECATED"}
    found = decide(images)
    assert found["web-1"].reason is Reason.WITHIN_KEEP, "newer than one that is kept"
    assert found["web-2"].do is Action.LEAVE
    assert found["web-3"].do is Action.DEPRECATE


def test_images_whose_recipe_has_no_file_or_a_broken_one_are_left_and_listed() -> None:
    found = decide([image("old-1", 900, "old"), image("torn-1", 900, "torn"), *fleet_of(1)])
    assert why(found)["old-1"] == ("leave", "recipe_gone")
    assert why(found)["torn-1"] == ("leave", "recipe_broken")


def test_history_candidates_failed_ones_and_others_images_are_not_looked_at() -> None:
    images = [image(s, 900, labels={"bakehouse-state": s}) for s in ("history", "candidate")]
    images += [image("failed", 900, labels={"bakehouse-state": "failed"})]
    images += [image("others", 900, labels={"bakehouse-run": None})]
    images += [image("pending", 900, status="PENDING")]
    assert decide(images) == {}


def test_a_pinned_one_stays() -> None:
    pinned = image("web-pinned", 90, labels={"bakehouse-pin": "audit"})
    assert decide([*fleet_of(2), pinned])["web-pinned"].reason is Reason.PINNED


def test_a_revoked_one_counts_nowhere_and_goes_when_nobody_uses_it() -> None:
    told = obsolescence_body({}, NOW - 9 * DAY, 3 * DAY)
    bad = image("web-bad", labels={"bakehouse-state": "revoked"}, deprecated=told)
    images = [bad, *(image(f"web-{n}", n + 1) for n in range(3))]
    found = decide(images)
    assert why(found)["web-bad"] == ("delete", "revoked")
    assert found["web-0"].reason is Reason.FAMILYS_NEWEST
    assert found["web-2"].do is Action.DEPRECATE
    by = {bad["id"]: [Reference(Reason.USED_BY_INSTANCE, "web-1")]}
    assert decide(images, used=by)["web-bad"].do is Action.LEAVE


def test_one_built_upon_a_revoked_one_is_not_kept_for_its_age() -> None:
    told = deprecation_body(NOW - 4 * DAY, 3 * DAY)
    marked = image("web-marked", labels={"revoked-base": "7"}, deprecated=told)
    found = decide([marked, *(image(f"web-{n}", n + 1) for n in range(2))])
    assert why(found)["web-marked"] == ("make_obsolete", "revoked_base")


# -- who uses an image ----------------------------------------------------------------------------


def template(name: str, source: str) -> Resource:
    disks = [{"boot": True, "initializeParams": {"sourceImage": source}}]
    link = f"{BASE}/global/instanceTemplates/{name}"
    return {"name": name, "selfLink": link, "properties": {"disks": disks}}


OLD = image("web-old", 90)
LINKS = [
    OLD["selfLink"],
    "https://compute.googleapis.com/compute/v1/projects/p/global/images/web-old",
    "projects/p/global/images/web-old",
    "global/images/web-old",
]
DISK = {"sourceImageId": OLD["id"], "sourceImage": OLD["selfLink"]}
GROUP = {
    "name": "mig",
    "versions": [{"instanceTemplate": "projects/p/global/instanceTemplates/t"}],
    "instanceTemplate": f"{BASE}/global/instanceTemplates/other",
}
CHILD = image("app-1", 3, "app", labels={"base-image-id": OLD["id"]})
USERS: dict[str, tuple[dict[str, list[Resource]], Reason, str]] = {
    "instance": (
        {"disks": [owned("disk", "web-1", **DISK, users=[f"{BASE}/zones/z/instances/web-1"])]},
        Reason.USED_BY_INSTANCE,
        "web-1",
    ),
    "disk": ({"disks": [owned("disk", "spare", **DISK)]}, Reason.USED_BY_DISK, "spare"),
    "disk_without_the_id": (
        {"disks": [owned("disk", "spare", sourceImage="global/images/web-old")]},
        Reason.USED_BY_DISK,
        "spare",
    ),
    **{
        f"template_{n}": ({"templates": [template("t", link)]}, Reason.USED_BY_TEMPLATE, "t")
        for n, link in enumerate(LINKS)
    },
    "group": (
        {"templates": [template("t", LINKS[1])], "groups": [GROUP]},
        Reason.USED_BY_GROUP,
        "mig, by the template t",
    ),
    "machine_image": (
        {"machine_images": [{"name": "m", "labels": {"base-image-id": OLD["id"]}}]},
        Reason.USED_BY_MACHINE_IMAGE,
        "m",
    ),
    "machine_image_by_link": (
        {
            "machine_images": [
                {"name": "m", "instanceProperties": template("t", LINKS[3])["properties"]}
            ]
        },
        Reason.USED_BY_MACHINE_IMAGE,
        "m",
    ),
    "child_recipe": ({"images": [OLD, CHILD]}, Reason.USED_BY_IMAGE, "app-1"),
}


@pytest.mark.parametrize("user", USERS)
def test_an_image_in_use_stays(user: str) -> None:
    lists, reason, by = USERS[user]
    inventory = Inventory("p", **{"images": (OLD,)} | {k: tuple(v) for k, v in lists.items()})
    found = decide([*fleet_of(2), OLD], used=dict(references(inventory)))["web-old"]
    assert (found.do, found.reason, found.detail) == (Action.LEAVE, reason, by)


def test_a_base_image_of_a_recipe_stays() -> None:
    recipe = load_recipe("base: p/images/web-old\n", "app.yaml")
    found = decide([*fleet_of(2), OLD], used=dict(references(Inventory("p", (OLD,)), [recipe])))
    assert found["web-old"].reason is Reason.USED_BY_RECIPE


def test_an_image_that_a_rollback_needs_stays() -> None:
    """The boot disk that a rollout made says which image was there before it."""
    before = BootDisk(
        name="web-1",
        image_id=OLD["id"],
        image=OLD["selfLink"],
        device_name="d",
        auto_delete=True,
        type="t",
        size_gb=10,
    )
    users = [f"{BASE}/zones/z/instances/web-1"]
    disk = owned("disk", "web-1-new", sourceImageId="7", users=users, description=remember(before))
    found = decide(
        [*fleet_of(2), OLD], used=dict(references(Inventory("p", (OLD,), disks=(disk,))))
    )
    assert found["web-old"].reason is Reason.WAY_BACK


def test_images_of_a_recipe_stay_during_a_rollout_of_its_fleet() -> None:
    images = [*fleet_of(3), image("app-old", 90, "app")]
    used = with_running_rollouts({}, images, {"web": "roll_out__web manual__1 (running) has it"})
    assert decide(images, used=dict(used))["web-2"].reason is Reason.ROLLOUT_GOING_ON
    assert images[3]["id"] not in used


@pytest.mark.parametrize(
    "link",
    [
        "projects/elsewhere/global/images/web-old",
        "projects/p/global/images/family/web-old",
        "projects/p/zones/-/imageFamilyViews/web-old",
        "projects/p/global/images/web-older",
    ],
)
def test_a_link_to_another_image_does_not_count(link: str) -> None:
    assert references(Inventory("p", (OLD,), templates=(template("t", link),))) == {}


def test_full_and_partial_links_are_equal() -> None:
    assert {image_of(link, "p") for link in LINKS} == {("p", "web-old")}


def test_a_stage_is_done_when_the_image_has_its_state() -> None:
    images = [*fleet_of(2), OLD]
    found = decide(images)["web-old"]
    assert not is_done(found, OLD)
    assert is_done(found, {**OLD, "deprecated": found.body})
    assert is_done(found, None)
    assert not is_done(found.model_copy(update={"do": Action.DELETE}), OLD)
