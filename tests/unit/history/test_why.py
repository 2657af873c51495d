"""What each member runs by the ledger, and the five lines that say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.events import (
    NOW,
    at,
    bake,
    held,
    image,
    members,
    planned,
    replaced,
    rolled_back,
    run,
)

from bakehouse.core.reasons import Reason
from bakehouse.history.housekeeping_events import DriftDetail, DriftEvent
from bakehouse.history.member_images import drift_now, member_images
from bakehouse.history.why import lines, why

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent

OLD, NEW = image(1), image(2)


def test_five_lines_say_what_a_member_runs_and_why() -> None:
    events: list[LedgerEvent] = [
        bake(OLD, -2),
        bake(NEW, -1, Reason.PACKAGE_UPDATES, updates="1 other update (jq)"),
        planned(NEW, {"web-1": OLD}, by="jo"),
        replaced(NEW, "web-1", OLD),
        members({"web-1": NEW}, 20),
    ]
    (answer,) = why("web-1", events)
    assert lines(answer, at(22)) == [
        f"web/web-1 runs {NEW} in here-a",
        "from: baked again from commit ccccccc (A page): packages of the"
        " promoted image have updates: 1 other update (jq)",
        "since: 2026-11-25 03:00:00 UTC, 22 h ago; last seen 2026-11-25 23:00:00 UTC, 2 h ago",
        "why: the fleet moves to a new image (run manual__1 by jo)",
        f"replaced: {OLD}",
    ]


def test_a_member_that_went_back_has_replaced_the_image_that_failed() -> None:
    events = [
        planned(NEW, {"web-1": OLD}),
        replaced(NEW, "web-1", OLD),
        rolled_back(OLD, "web-1", 1),
    ]
    (found,) = member_images(events)
    assert (found.image, found.replaced, found.since) == (OLD, NEW, at(1))
    assert found.reason is Reason.STAGE_FAILED


def test_a_member_that_a_rollout_has_removed_again_runs_nothing() -> None:
    back = rolled_back(OLD, "web-1", 1, state="removed")
    assert member_images([replaced(OLD, "web-1", ""), back]) == []


def test_a_look_at_a_fleet_finds_members_that_no_rollout_has_changed_and_drops_those_gone() -> None:
    events = [
        replaced(NEW, "web-1", OLD),
        replaced(NEW, "web-2", OLD),
        members({"web-1": OLD, "web-3": NEW}, 1),
        members({"web-1": OLD, "web-3": NEW}, 2),
    ]
    changed, found = member_images(events)
    assert (changed.member, changed.image, changed.replaced) == ("web-1", OLD, NEW)
    assert changed.reason is Reason.STRAYED
    assert (found.member, found.since, found.seen) == ("web-3", at(1), at(2))
    assert not found.is_since_exact
    assert found.replaced is None


def test_other_metadata_do_not_change_since_when_a_member_runs_its_image() -> None:
    render = replaced(NEW, "web-1", NEW, 5, "manual__2", reason=Reason.NEW_METADATA)
    (found,) = member_images([replaced(NEW, "web-1", OLD), render])
    assert (found.since, found.seen, found.replaced) == (NOW, at(5), OLD)


def test_a_hold_of_the_fleet_is_said() -> None:
    (answer,) = why("web/web-1", [replaced(OLD, "web-1", NEW), held(NEW, 0, OLD)])
    assert f"{NEW} is held back from the fleet web since" in lines(answer, NOW)[3]


def test_a_member_that_nothing_is_known_of() -> None:
    assert why("db-1", [replaced(OLD, "web-1", NEW)]) == []
    assert why("other/web-1", [replaced(OLD, "web-1", NEW)]) == []


def test_a_drift_that_a_later_look_has_not_found_again_is_over() -> None:
    def drift(hours: float, run_id: str) -> DriftEvent:
        detail = DriftDetail(fleet="web", newest=NEW, on_newest=0)
        return DriftEvent(
            **run(hours, run_id, "housekeeping"), reason=Reason.BEHIND, subject="web", detail=detail
        )

    found = drift(1.5, "scheduled__1")
    look = members({"web-1": OLD}, 1)
    assert drift_now([look, found]) == {"web": found}
    assert drift_now([look, found, members({"web-1": NEW}, 25)]) == {}
    assert drift_now([drift(1, "older ledger")]).keys() == {"web"}
