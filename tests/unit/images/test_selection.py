"""Which image is newest and usable: one answer for rollouts, drift, bakes and retirement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import count
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.resources import BASE, NOW, Resource, image

from bakehouse.core.errors import PermanentError
from bakehouse.fleet.load import load_fleet
from bakehouse.housekeeping.drift import drift
from bakehouse.images.selection import (
    created_at,
    deprecation_state,
    is_local,
    is_superseded,
    is_usable,
    newest_first,
    newest_local,
    newest_of_family,
    newest_of_recipe,
    newest_promoted,
    newest_two,
    newest_with_content,
    previous,
)
from bakehouse.inventory.model import Inventory
from bakehouse.rollout import target_images
from bakehouse.rollout.plan import BootDisk, Member, Target
from bakehouse.rollout.planner import plan
from bakehouse.rollout.rollout_disks import remember

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.cloud.compute_hook import ComputeHook

FLEET = load_fleet("recipe: web\nmembers: {labels: {a: b}, zones: [us-central1-a]}\n", "web.yaml")

# In the hour that daylight saving repeats, the later moment has the smaller text.
BEFORE_THE_CLOCK_IS_TURNED = "2026-11-01T01:40:00.000-07:00"
AFTER_IT = "2026-11-01T01:20:00.000-08:00"


class Hook:
    """Lists the same images for every filter: what is usable is decided here, not by Google."""

    project = "p"

    def __init__(self, images: list[Resource]) -> None:
        self.listed = images

    def images(self, filter_: str) -> list[Resource]:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        return self.listed


def rollouts_choice(images: list[Resource]) -> str | None:
    try:
        return target_images.choose(cast("ComputeHook", Hook(images)), "web", "").name
    except PermanentError:
        return None


def drifts_newest(images: list[Resource]) -> str | None:
    return drift(FLEET, Inventory("p", images=tuple(images)), NOW).newest


ASKED = pytest.mark.parametrize("newest", [rollouts_choice, drifts_newest])


@ASKED
def test_an_image_that_was_taken_back_into_use_is_usable_for_rollout_and_drift(newest: Any) -> None:
    back = image("web-2", 1, deprecated={"state": "ACTIVE", "deprecated": "2026-11-01T00:00:00Z"})
    assert newest([image("web-1", 2), back]) == "web-2"


@ASKED
def test_in_the_hour_that_daylight_saving_repeats_the_later_moment_is_the_newer(
    newest: Any,
) -> None:
    older = image("web-1", creationTimestamp=BEFORE_THE_CLOCK_IS_TURNED)
    newer = image("web-2", creationTimestamp=AFTER_IT)
    assert newest([older, newer]) == "web-2"
    assert newest([newer, older]) == "web-2"


def test_the_newest_disk_of_a_member_is_found_in_that_hour_too() -> None:
    old: dict[str, Any] = {
        "image": "",
        "image_id": "1",
        "device_name": "",
        "auto_delete": True,
        "type": "t",
    }
    stays = {"users": [], "labels": {"bakehouse-member": "web-1"}}
    disks = {
        name: {
            "name": name,
            "creationTimestamp": moment,
            "description": remember(BootDisk(name=f"before-{name}", size_gb=1, **old)),
            **stays,
        }
        for name, moment in (("d-1", BEFORE_THE_CLOCK_IS_TURNED), ("d-2", AFTER_IT))
    }
    member = Member(name="web-1", zone="z", id="1", status="TERMINATED")
    target = Target(id="9", name="web-9", self_link="x", recipe="web")
    (change,) = plan("web", "run", target, [1], [member], disks).changes
    assert change.old.name == "before-d-2"


@pytest.mark.parametrize(
    "deprecated",
    [None, {}, {"state": ""}, {"state": None}, {"state": "ACTIVE"}, {"replacement": "x"}],
)
def test_nothing_said_of_deprecation_is_active(deprecated: Any) -> None:
    assert deprecation_state({"deprecated": deprecated}) == "ACTIVE"
    assert deprecation_state({}) == "ACTIVE"
    assert is_usable(image("web-1", deprecated=deprecated))


@pytest.mark.parametrize("state", ["DEPRECATED", "OBSOLETE", "DELETED"])
@ASKED
def test_what_is_on_its_way_out_is_not_taken(newest: Any, state: str) -> None:
    assert newest([image("web-2", deprecated={"state": state}), image("web-1", 9)]) == "web-1"


@pytest.mark.parametrize(
    "spoiled",
    [
        image("web-2", labels={"bakehouse-state": "candidate"}),
        image("web-2", labels={"bakehouse-state": "history"}),
        image("web-2", labels={"bakehouse-state": "revoked"}),
        image("web-2", labels={"bakehouse-state": None}),
        image("web-2", labels={"revoked-base": "7"}),
        image("web-2", status="DELETING"),
        image("web-2", recipe="kafka"),
        {**image("web-2"), "labels": None},
    ],
)
@ASKED
def test_what_is_not_usable_is_not_taken(newest: Any, spoiled: Resource) -> None:
    assert newest([spoiled, image("web-1", 9)]) == "web-1"
    assert newest([spoiled]) is None


def test_an_image_without_a_status_counts_as_finished() -> None:
    bare = image("web-1")
    del bare["status"]
    assert is_usable(bare)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-01T09:20:00Z",
        "2026-11-01T09:20:00.000Z",
        "2026-11-01T09:20:00.000000000Z",
        "2026-11-01T01:20:00.000-08:00",
        "2026-11-01T02:20:00-07:00",
        "2026-11-01T09:20:00+00:00",
        "2026-11-01T09:20:00",
    ],
)
def test_every_spelling_of_a_moment_is_the_same_moment(text: str) -> None:
    assert created_at({"creationTimestamp": text}) == datetime(2026, 11, 1, 9, 20, tzinfo=UTC)


def test_fractions_of_a_second_tell_two_images_apart() -> None:
    first = image("b", creationTimestamp="2026-11-01T09:20:00.100Z")
    second = image("a", creationTimestamp="2026-11-01T09:20:00.2Z")
    assert [i["name"] for i in newest_first([first, second])] == ["a", "b"]


def test_the_asset_page_shows_the_newest_two_that_can_be_used() -> None:
    four = [image(f"web-{n}", n) for n in range(4)]
    four[1]["deprecated"] = {"state": "DEPRECATED"}
    assert [i["name"] for i in newest_two(four)] == ["web-0", "web-2"]
    assert newest_two([]) == []


def test_content_upon_a_revoked_base_saves_no_bake_even_while_it_is_not_deprecated() -> None:
    marked = image("web-1", labels={"content-key": "k", "revoked-base": "7"})
    for history in (False, True):
        assert newest_with_content("k", [marked], history=history) is None


# -- whatever stands in a project -----------------------------------------------------------------

NUMBERS = count()
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1))
LABEL = st.sampled_from(["promoted", "history", "candidate", "failed", "revoked", "", None])
DEPRECATED = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "state": st.sampled_from(["ACTIVE", "DEPRECATED", "OBSOLETE", "DELETED", "", None]),
            "deleted": st.text(),
        },
    ),
)


@st.composite
def any_image(draw: st.DrawFn) -> tuple[Resource, datetime]:
    """An image of any state, and the moment of its creation."""
    moment = draw(MOMENTS).replace(tzinfo=UTC)
    text = moment.astimezone(draw(OFFSETS)).isoformat().replace("+00:00", "Z")
    more: dict[str, Any] = {"creationTimestamp": text}
    if draw(st.booleans()):
        more["deprecated"] = draw(DEPRECATED)
    marked = draw(st.sampled_from([None, None, "7"]))
    told = {"bakehouse-state": draw(LABEL), "revoked-base": marked, "content-key": "k"}
    found = image(f"web-{next(NUMBERS)}", labels=told, **more)
    found["status"] = draw(st.sampled_from(["READY", "READY", "READY", "PENDING", "DELETING"]))
    found["recipe"] = draw(st.sampled_from(["web", "web", "jre"]))
    found["labels"]["bakehouse-recipe"] = found.pop("recipe")
    if draw(st.integers(0, 9)) == 0:
        found["labels"] = None
    return found, moment


@given(st.lists(any_image(), max_size=8))
def test_everybody_gets_the_same_answer(drawn: list[tuple[Resource, datetime]]) -> None:
    images = [found for found, _ in drawn]
    moments = {str(found["name"]): moment for found, moment in drawn}
    usable = [
        found
        for found in images
        if (found["labels"] or {}).get("bakehouse-state") == "promoted"
        and (found["labels"] or {}).get("bakehouse-recipe") == "web"
        and "revoked-base" not in found["labels"]
        and found["status"] == "READY"
        and ((found.get("deprecated") or {}).get("state") or "ACTIVE") == "ACTIVE"
    ]
    expected = max((moments[str(i["name"])] for i in usable), default=None)
    told = [
        rollouts_choice(images),
        drifts_newest(images),
        name_of(newest_promoted(images, "web")),
        name_of(newest_with_content("k", [i for i in images if i["labels"] and is_web(i)])),
        name_of(newest_of_family([i for i in images if is_web(i)], "web")),
    ]
    base = newest_of_recipe(images, "web", None)
    told.append(name_of(base.image if base else None))
    for name in told:
        assert (moments[name] if name else None) == expected


@given(st.lists(any_image(), max_size=8))
def test_the_newest_two_and_the_one_before_agree(drawn: list[tuple[Resource, datetime]]) -> None:
    images = [found for found, _ in drawn]
    two = newest_two(images)
    usable = [i for i in images if is_usable(i)]
    assert len(two) == min(2, len(usable))
    if len(two) == 2 and created_at(two[1]) < created_at(two[0]):
        assert previous(usable, str(two[0]["name"])) == two[1]["name"]
    assert not any(is_superseded(i, images) for i in usable), "all have the same content"


def is_web(found: Resource) -> bool:
    return bool((found["labels"] or {}).get("bakehouse-recipe") == "web")


def name_of(found: Mapping[str, Any] | None) -> str | None:
    return str(found["name"]) if found else None


def test_a_replacement_is_named_by_its_link_of_the_same_project() -> None:
    found = newest_of_family([image("web-1", 3), image("web-2", 1)], "web")
    assert found is not None
    assert found["selfLink"] == f"{BASE}/global/images/web-2"
    assert newest_of_family([image("web-1", family="")], "") is None


def local(name: str, days: float = 0, told: dict[str, str] | None = None) -> Resource:
    found = image(name, days)
    found["labels"] |= {"bakehouse-state": "candidate", "bakehouse-local": "tested", **(told or {})}
    return found


def test_an_image_of_a_local_build_counts_for_local_builds_only() -> None:
    made, promoted = local("web-2", 1), image("web-1", 2)

    assert is_local(made)
    assert not is_usable(made)
    assert newest_promoted([made, promoted], "web") == promoted
    assert newest_local([made, promoted], "web") == made
    assert newest_of_recipe([made, promoted], "web", None).image == promoted  # type: ignore[union-attr]
    chosen = newest_of_recipe([made, promoted], "web", None, local=True)
    assert chosen is not None
    assert chosen.image == made


def test_a_local_image_that_is_untested_failed_or_of_other_content_is_not_used() -> None:
    untested = local("web-1", told={"bakehouse-local": "work-tree"})
    failed = local("web-2", told={"bakehouse-state": "failed"})
    other = local("web-3", told={"content-key": "b" * 40})

    assert newest_local([untested, failed], "web") is None
    assert newest_local([other], "web", "a" * 40) is None
    assert newest_local([other], "web", "b" * 40) == other
    assert newest_local([other], "shop") is None
