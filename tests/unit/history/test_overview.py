"""The rows of `bakehouse images` and `bakehouse rollouts`, from the ledger's events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import (
    BakeDetail,
    BakeEvent,
    CommitRecord,
    PromotionDetail,
    PromotionEvent,
    VerdictDetail,
    VerdictEvent,
)
from bakehouse.history.housekeeping_events import RevokedDetail, RevokedEvent
from bakehouse.history.overview import images, rollouts
from bakehouse.history.rollout_events import (
    MemberOutcome,
    RolloutEndedDetail,
    RolloutEndedEvent,
    RolloutPlannedDetail,
    RolloutPlannedEvent,
)
from bakehouse.history.wait_events import WaitDetail, WaitedEvent, WaitsEvent

if TYPE_CHECKING:
    from bakehouse.history.events import LedgerEvent

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
COMMIT = CommitRecord(sha="c" * 40, ref="HEAD", subject="A page", author_time=NOW, author="Jo")


def of(image: str, hours: int = 0) -> dict[str, Any]:
    return {
        "time": NOW + timedelta(hours=hours),
        "dag_id": "bake__web",
        "run_id": f"manual__{image}",
        "task_id": "t",
        "recipe": image.partition("-")[0],
        "image": image,
        "git_sha": COMMIT.sha,
    }


def bake(image: str, hours: int = 0) -> BakeEvent:
    detail = BakeDetail(
        image_id="1",
        content_key="k",
        base_image="debian-12",
        builder="b",
        seconds=1,
        packages=4,
        commit=COMMIT,
    )
    return BakeEvent(**of(image, hours), reason=Reason.FORCED, detail=detail)


def promotion(image: str, reason: Reason, family: str | None) -> PromotionEvent:
    detail = PromotionDetail(family=family, image_id="1")
    return PromotionEvent(**of(image), reason=reason, detail=detail)


def verdict(image: str, reason: Reason) -> VerdictEvent:
    detail = VerdictDetail(message="nginx.service has failed")
    return VerdictEvent(**of(image), reason=reason, detail=detail)


def revoked(image: str) -> RevokedEvent:
    detail = RevokedDetail(why="CVE-2026-1", image_id="1")
    return RevokedEvent(**of(image), reason=Reason.REVOKED, detail=detail)


def planned(run: str, stages: tuple[tuple[str, ...], ...], hours: int = 0) -> RolloutPlannedEvent:
    detail = RolloutPlannedDetail(fleet="web", image_id="1", stages=stages)
    common = {**of("web-1", hours), "dag_id": "roll_out__web", "run_id": run}
    return RolloutPlannedEvent(**common, reason=Reason.NEW_IMAGE, detail=detail)


def ended(run: str, reason: Reason, *outcomes: MemberOutcome) -> RolloutEndedEvent:
    detail = RolloutEndedDetail(fleet="web", image_id="1", outcomes=outcomes)
    common = {**of("web-1"), "dag_id": "roll_out__web", "run_id": run}
    return RolloutEndedEvent(**common, reason=reason, detail=detail)


def moved(member: str, way: Any = "forward") -> MemberOutcome:
    return MemberOutcome(member=member, way=way, state="replaced", why="", image="web-1", disk="d")


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "candidate"),
        ([verdict("web-1", Reason.SMOKE_FAILED)], "smoke_failed"),
        ([verdict("web-1", Reason.SMOKE_PASSED)], "smoke_passed"),
        (
            [
                verdict("web-1", Reason.SMOKE_PASSED),
                promotion("web-1", Reason.PROMOTED, "web"),
            ],
            "promoted",
        ),
        ([promotion("web-1", Reason.KEPT_AS_HISTORY, None)], "kept_as_history"),
        ([promotion("web-1", Reason.PROMOTED, "web"), revoked("web-1")], "revoked"),
    ],
)
def test_the_state_of_an_image_is_what_became_of_it_last(
    events: list[LedgerEvent], state: str
) -> None:
    (row,) = images([bake("web-1"), *events])
    assert row.state == state


def test_images_are_listed_newest_first_and_by_recipe() -> None:
    found = images([bake("web-1"), bake("jre-1", 1), bake("web-2", 2)], "web")
    assert [row.image for row in found] == ["web-2", "web-1"]


def test_what_is_told_of_an_image_without_a_bake_makes_no_row() -> None:
    assert images([revoked("elsewhere-1")]) == []


def test_a_rollout_is_under_way_until_it_has_ended() -> None:
    stages = (("web-1",), ("web-2",))
    (row,) = rollouts([planned("r", stages)])
    assert (row.state, row.moved, row.members) == ("under way", 0, 2)
    (row,) = rollouts(
        [planned("r", stages), ended("r", Reason.NEW_IMAGE, moved("web-1"), moved("web-2"))]
    )
    assert (row.state, row.moved, row.members) == ("rolled out", 2, 2)


def test_a_member_that_went_back_is_not_counted_as_moved() -> None:
    events: list[LedgerEvent] = [
        planned("r", (("web-1",), ("web-2",))),
        ended("r", Reason.NOT_HEALTHY, moved("web-1"), moved("web-1", "back")),
    ]
    assert (rollouts(events)[0].state, rollouts(events)[0].moved) == ("rolled back", 0)


def test_a_rollout_whose_members_did_not_all_get_back_has_failed() -> None:
    stuck = moved("web-1", "back").model_copy(update={"state": "stuck"})
    events: list[LedgerEvent] = [
        planned("r", (("web-1",),)),
        ended("r", Reason.NOT_ROLLED_BACK, stuck),
    ]
    assert rollouts(events)[0].state == "failed"


def test_a_rollout_that_moves_nobody_has_nothing_to_do() -> None:
    assert rollouts([planned("r", ())])[0].state == "nothing to do"


def test_rollouts_are_listed_newest_first_and_by_fleet() -> None:
    found = rollouts([planned("old", ()), planned("new", (), 1)], "web")
    assert [row.run_id for row in found] == ["new", "old"]
    assert rollouts([planned("old", ())], "other") == []


STAGES = (("web-1",), ("web-2",))


def wait(kind: type[Any], run: str, why: str) -> Any:
    detail = WaitDetail(what="web", since=NOW + timedelta(hours=1), why=why)
    common = {**of("web-2", 1), "dag_id": "roll_out__web", "run_id": run}
    return kind(**common, reason=Reason.FROZEN, subject=why, detail=detail)


def test_a_rollout_that_waits_says_since_when_and_why_until_it_goes_on() -> None:
    begun = [planned("r", STAGES), wait(WaitsEvent, "r", "frozen by ann")]
    (row,) = rollouts(begun)
    assert (row.state, row.why) == ("waits", "since 2026-11-25 04:00:00 UTC: frozen by ann")
    (row,) = rollouts([*begun, wait(WaitedEvent, "r", "it has ended")])
    assert (row.state, row.why) == ("under way", "")


def test_a_rollout_whose_run_somebody_has_ended_is_stopped() -> None:
    outcome = MemberOutcome(
        member="web-1", way="forward", state="bare", why="off", image="web-2", disk="d"
    )
    detail = RolloutEndedDetail(fleet="web", image_id="1", outcomes=(outcome,))
    common = {**of("web-2", 1), "dag_id": "roll_out__web", "run_id": "r"}
    ended = RolloutEndedEvent(**common, reason=Reason.STOPPED, subject="web", detail=detail)
    (row,) = rollouts([planned("r", STAGES), ended])
    assert (row.state, row.moved) == ("stopped", 0)
    assert "somebody has ended the run" in row.why
