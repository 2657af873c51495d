"""The way back that the data of a fleet have closed, before the first member is stopped."""

from __future__ import annotations

from typing import Any

from tests.support.fake_compute import NEW_IMAGE, OLD_DISK

from bakehouse.images.formats import FormatRange
from bakehouse.images.links import resource_name
from bakehouse.rollout.config_change import MetadataChange
from bakehouse.rollout.plan import Member, RolloutPlan, WayBack
from bakehouse.rollout.plan_text import in_one_line, plan_lines
from bakehouse.rollout.planner import plan
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.strategies.swap import back, forward
from bakehouse.rollout.way_back import Reads, image_names, refusal, with_formats

OLD = resource_name(OLD_DISK.image)
NAMES = ["web-1", "web-2", "web-3"]
READS: Reads = {
    OLD: (FormatRange("metadata.version", 7, 29),),
    NEW_IMAGE.name: (FormatRange("metadata.version", 7, 33),),
}


def member(name: str, **changes: Any) -> Member:
    boot = OLD_DISK.model_copy(update={"name": name})
    fields: dict[str, Any] = {"name": name, "zone": "z", "id": f"id-{name}", "boot": boot}
    return Member(**{"status": "RUNNING", **fields, **changes})


def planned(*members: Member) -> RolloutPlan:
    every = members or tuple(member(name) for name in NAMES)
    return plan("web", "0123456789ab", NEW_IMAGE, (1, "100%"), every, {})


def told(version: int, reads: Reads = READS, names: list[str] | None = None) -> RolloutPlan:
    said = {name: {"metadata.version": version} for name in (NAMES if names is None else names)}
    return with_formats(planned(), said, reads)


def ways(found: RolloutPlan) -> set[WayBack]:
    return {change.way_back for change in found.changes}


def text(found: RolloutPlan) -> str:
    return "\n".join(plan_lines(found)) + "\n"


def test_the_plan_names_the_images_whose_formats_count() -> None:
    assert image_names(planned()) == (NEW_IMAGE.name, OLD)


def test_the_way_back_is_open_while_the_old_image_reads_the_data_and_says_until_when() -> None:
    found = told(29)
    assert ways(found) == {WayBack.DISK}
    assert "way back: open\n" in text(found)
    assert (
        "  web-1, web-2, web-3: closes when metadata.version above 29 is finalised, which"
        f" {OLD} cannot read\n" in text(found)
    )
    assert "no way back" not in in_one_line(found)
    assert refusal(found) == ""


def test_the_way_back_is_closed_once_a_format_is_finalised_that_the_old_image_cannot_read() -> None:
    found = told(33)
    assert ways(found) == {WayBack.UNREADABLE}
    assert "way back: closed for 3 of 3\n" in text(found)
    assert (
        f"  web-1, web-2, web-3: closed: metadata.version 33 is finalised, {OLD} cannot read it"
        " (it reads 7 to 29)\n" in text(found)
    )
    assert "no way back for web-1, web-2, web-3" in in_one_line(found)
    assert refusal(found) == "", "the new image reads them"


def test_who_says_nothing_is_taken_to_have_what_the_others_have() -> None:
    assert ways(told(33, names=["web-2"])) == {WayBack.UNREADABLE}
    assert ways(told(33, names=[])) == {WayBack.DISK}, "nobody says anything"


def test_members_that_say_different_versions_are_judged_each_by_its_own() -> None:
    said = {"web-1": {"metadata.version": 33}, "web-2": {"metadata.version": 29}}
    found = with_formats(planned(), said, READS)
    by_name = {change.name: change.way_back for change in found.changes}
    assert by_name == {
        "web-1": WayBack.UNREADABLE,
        "web-2": WayBack.DISK,
        "web-3": WayBack.UNREADABLE,
    }
    assert "way back: closed for 2 of 3\n" in text(found)


def test_a_rollout_to_an_image_that_cannot_read_the_data_is_refused() -> None:
    reads = {**READS, NEW_IMAGE.name: (FormatRange("metadata.version", 7, 30),)}
    found = told(33, reads)
    why = "metadata.version 33 is finalised, web-new cannot read it (it reads 7 to 30)"
    assert found.unreadable == why
    assert refusal(found).startswith(f"{why}: its service would not start on the data of web")
    assert refusal(found).endswith("Nothing was changed: choose an image that reads them")
    assert f"\nrefused: {why}\n" in text(found)
    assert in_one_line(found) == f"refused: {why}"


def test_images_that_declare_nothing_are_not_judged() -> None:
    found = told(33, {OLD: (), NEW_IMAGE.name: ()})
    assert (ways(found), found.unreadable) == ({WayBack.DISK}, "")
    assert "closes" not in text(found)


def test_a_format_that_only_the_new_image_knows_closes_the_way_back_too() -> None:
    goal = (*READS[NEW_IMAGE.name], FormatRange("share.version", 0, 1))
    said = {name: {"metadata.version": 29, "share.version": 0} for name in NAMES}
    found = with_formats(planned(), said, {**READS, NEW_IMAGE.name: goal})
    assert found.changes[0].closes == (
        "when metadata.version above 29 is finalised or share.version above 0 is finalised,"
        f" which {OLD} cannot read"
    )


def test_other_metadata_move_nobody_to_another_image() -> None:
    change = MetadataChange(before={}, after={"a": "b"})
    found = planned(member("web-1", strategy=Strategy.RENDER, metadata=change))
    judged = with_formats(found, {"web-1": {"metadata.version": 99}}, READS)
    assert judged == found


def test_a_member_that_is_to_be_created_has_no_way_back_and_counts_for_the_goal() -> None:
    found = planned(member("web-1"), member("web-2", strategy=Strategy.CREATE))
    judged = with_formats(found, {"web-1": {"metadata.version": 33}}, READS)
    by_name = {change.name: change.way_back for change in judged.changes}
    assert by_name == {"web-1": WayBack.UNREADABLE, "web-2": WayBack.NOTHING}


def test_a_swap_and_its_way_back_know_what_their_images_read() -> None:
    found = told(29)
    swap = forward(found, found.changes[0], None)
    assert swap.reads == READS[NEW_IMAGE.name]
    assert back(swap, None, kept=True, health=None).reads == READS[OLD]


def test_the_plan_is_stored_with_all_of_it() -> None:
    found = told(33)
    assert RolloutPlan.model_validate(found.model_dump(mode="json")) == found
