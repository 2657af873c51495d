"""Whether a rollout that went back blames its image."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.resources import Resource, image

from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.rollout.blame import Blame, blame
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.plan import RolloutPlan, Skipped, Target


def of_age(name: str, day: int, state: str = "promoted", **fields: Any) -> Resource:
    moment = f"2026-11-{day:02d}T03:00:00Z"
    found = image(name, creationTimestamp=moment, **fields)
    found["labels"] = {**found["labels"], "bakehouse-state": state}
    return found


OLD, NEW = of_age("web-old", 20), of_age("web-new", 27)
PLAN = RolloutPlan(
    fleet="web",
    run="r",
    image=Target(id=str(NEW["id"]), name="web-new", self_link="", recipe="web"),
    stages=(),
)


def outcome(member: str, state: str, way: Any = "forward", image_name: str = "web-new") -> Any:
    return MemberOutcome(
        member=member, way=way, state=state, why="no answer", image=image_name, disk="d"
    )


BAD = [outcome("web-1", "unhealthy"), outcome("web-2", "replaced"), outcome("web-3", "lost")]


def names(found: Blame | None) -> list[str]:
    return [member.member for member in found.members] if found else []


def test_an_image_on_which_a_member_was_not_healthy_is_blamed() -> None:
    found = blame(PLAN, BAD, [OLD, NEW])
    assert found is not None
    assert names(found) == ["web-1"]
    assert (found.newest, found.newest_link) == ("web-old", OLD["selfLink"])


@pytest.mark.parametrize("state", ["lost", "stuck", "replaced"])
def test_other_ends_say_nothing_of_the_image(state: str) -> None:
    assert blame(PLAN, [outcome("web-1", state)], [OLD, NEW]) is None
    assert blame(PLAN, [outcome("web-1", "unhealthy", way="back")], [OLD, NEW]) is None


@pytest.mark.parametrize("state", ["promoted", "revoked"])
def test_an_image_that_a_person_went_back_to_is_not_blamed(state: str) -> None:
    newer = of_age("web-newer", 28, state)
    assert blame(PLAN, BAD, [OLD, NEW, newer]) is None
    deprecated = {**of_age("web-newer", 28), "deprecated": {"state": "DEPRECATED"}}
    assert blame(PLAN, BAD, [OLD, NEW, deprecated]) is None
    assert names(blame(PLAN, BAD, [OLD, NEW, of_age("web-failed", 28, "failed")])) == ["web-1"]


def test_an_image_that_others_of_the_fleet_ran_before_is_not_blamed() -> None:
    ran = PLAN.model_copy(
        update={"skipped": (Skipped(name="web-9", reason=Reason.ALREADY_ON_IMAGE),)}
    )
    assert blame(ran, BAD, [OLD, NEW]) is None


def test_the_first_image_of_a_recipe_has_none_before_it() -> None:
    found = blame(PLAN, BAD, [NEW])
    assert found is not None
    assert (found.newest, found.newest_link) == (None, "")


def test_an_image_that_was_deleted_since_is_not_blamed() -> None:
    assert blame(PLAN, BAD, [OLD]) is None
    assert blame(PLAN, BAD, []) is None


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        (outcome("web-1", "replaced"), "web-1 runs web-new: no answer"),
        (outcome("web-1", "unhealthy"), "web-1 is not healthy on web-new: no answer"),
        (outcome("web-1", "lost"), "web-1 was not moved to web-new: lost, no answer"),
        (outcome("web-1", "replaced", "back", "web-old"), "web-1 is back on web-old"),
        (
            outcome("web-1", "stuck", "back", ""),
            "web-1 is not back on its disk d: stuck, no answer",
        ),
    ],
)
def test_the_end_of_a_member_is_a_sentence(ended: MemberOutcome, told: str) -> None:
    assert in_words(ended) == told
