"""The history as sentences: what kind each bake and rollout is, and what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.events import bake, ended, held, image, outcome, planned, released

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import BuilderFailedDetail, BuilderFailedEvent
from bakehouse.history.story import What, about, story

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent

OLDER, OLD, NEW = image(1), image(2), image(3)


def test_the_same_commit_baked_again_is_a_rebake_that_says_which_updates_or_which_base() -> None:
    events = [
        bake(OLD, 0, Reason.NO_IMAGE_WITH_THIS_CONTENT, subject="A <b>page</b>"),
        bake(NEW, 1, Reason.SECURITY_UPDATES, updates="1 security update (openssl)"),
        bake(image(4), 2, Reason.NO_IMAGE_WITH_THIS_CONTENT, base_image="debian-12-2"),
        bake(image(5), 3, Reason.NO_IMAGE_WITH_THIS_CONTENT, sha="d" * 40),
    ]
    commit, base, updates, first = story(events)
    assert [e.what for e in (first, updates, base, commit)] == [
        What.BAKE,
        What.REBAKE,
        What.REBAKE,
        What.BAKE,
    ]
    assert first.sentence == (
        "baked from commit ccccccc (A <b>page</b>): no promoted image has this content"
    )
    assert updates.sentence.endswith("have security updates: 1 security update (openssl)")
    assert base.sentence.endswith("its base is debian-12-2 instead of debian-12-1")
    assert commit.sentence.startswith("baked from commit ddddddd")


@pytest.mark.parametrize(
    ("had", "goal", "what", "verb"),
    [
        ([OLD, OLD], NEW, What.DEPLOY, "moves to"),
        ([NEW, NEW], OLD, What.ROLL_BACK, "goes back to"),
        ([NEW, OLDER], OLD, What.ROLL_BACK, "goes back to"),
        ([NEW, OLDER, OLDER], OLD, What.DEPLOY, "moves to"),
        (["", "vendor-1"], OLD, What.DEPLOY, "moves to"),
    ],
)
def test_a_rollout_to_an_older_image_is_a_roll_back(
    had: list[str], goal: str, what: What, verb: str
) -> None:
    members = {f"web-{number}": old for number, old in enumerate(had, 1)}
    reached = [outcome(member) for member in members]
    events: list[LedgerEvent] = [
        planned(goal, members, by="jo"),
        ended(goal, 1, "manual__1", Reason.NEW_IMAGE, *reached),
    ]
    (entry,) = story(events)
    assert entry.what is what
    assert entry.sentence.startswith(f"web {verb} {goal}")
    assert " by jo: " in entry.sentence
    assert entry.sentence.endswith(f"rolled out, {len(had)} of {len(had)} members")


def test_a_rollout_that_went_back_by_itself_is_told_twice_with_the_cause() -> None:
    ill = outcome("web-1", state="unhealthy", why="nginx.service has failed", cause="unit_failed")
    events: list[LedgerEvent] = [
        planned(NEW, {"web-1": OLD}),
        ended(NEW, 1, "manual__1", Reason.STAGE_FAILED, ill, outcome("web-1", "back")),
    ]
    back, deploy = story(events)
    assert (deploy.what, back.what) == (What.DEPLOY, What.ROLL_BACK)
    assert "rolled back, 0 of 1 members" in deploy.sentence
    assert back.sentence == (
        f"web went back by itself to {OLD} from {NEW}: web-1: nginx.service has failed"
    )


def test_plans_that_change_nobody_are_not_told() -> None:
    assert story([planned(NEW, {}), planned(NEW, {"web-1": OLD}, plan_only=True)]) == []


def test_other_metadata_are_no_deploy() -> None:
    (entry,) = story([planned(NEW, {"web-1": NEW}, reason=Reason.NEW_METADATA)])
    assert entry.what is What.METADATA
    assert entry.sentence.startswith("web gets other metadata: ")


def test_a_failed_builder_and_a_hold_are_told() -> None:
    made = bake(NEW)
    failed = BuilderFailedEvent(
        **{name: getattr(made, name) for name in ("time", "dag_id", "run_id", "task_id")},
        recipe="web",
        image=NEW,
        git_sha=made.git_sha,
        reason=Reason.INSTALL_FAILED,
        detail=BuilderFailedDetail(builder="b", zone="z", message="line 3: exit code 1"),
    )
    release, hold, builder = story([failed, held(NEW, 0, OLD, 1, why="500s"), released(2)])
    assert builder.sentence == "not baked: the install script failed: line 3: exit code 1"
    assert hold.sentence == f"held back from the fleet web: jo rolled it back to {OLD}: 500s"
    assert release.sentence == "jo released the hold of web"


@pytest.mark.parametrize(
    ("wanted", "images"),
    [
        ("web", {OLD, NEW}),
        (NEW, {NEW}),
        ("dddd", {NEW}),
        ("DDDDDDD", {NEW}),
        ("jre", {image(1, "jre")}),
        ("jre-2026", {image(1, "jre")}),
        ("ddd", set()),
        ("nothing", set()),
    ],
)
def test_what_is_meant_is_guessed_by_name_and_by_the_beginning_of_a_hash(
    wanted: str, images: set[str]
) -> None:
    events = [bake(OLD), bake(NEW, 1, sha="d" * 40), bake(image(1, "jre"), 2)]
    assert {entry.image for entry in about(story(events), wanted)} == images


def test_a_name_goes_before_a_hash() -> None:
    events = [bake(image(1, "cafe")), bake(NEW, 1, sha="cafe" + "0" * 36)]
    assert {entry.recipe for entry in about(story(events), "cafe")} == {"cafe"}
