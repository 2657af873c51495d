"""Which image a fleet is on, by its rollouts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bakehouse.core.reasons import Reason
from bakehouse.history.pinned import PinnedImage, pinned_images
from bakehouse.history.rollout_events import RolloutEndedDetail, RolloutEndedEvent

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def ended(
    image: str, hours: int, reason: Reason = Reason.NEW_IMAGE, *, partial: bool = False
) -> RolloutEndedEvent:
    return RolloutEndedEvent(
        time=NOW + timedelta(hours=hours),
        task_id="verdict",
        dag_id="roll_out__web",
        run_id=f"manual__{image}{hours}",
        recipe="web",
        image=image,
        reason=reason,
        subject="web",
        detail=RolloutEndedDetail(fleet="web", image_id=f"id-{image}", partial=partial),
    )


def test_a_fleet_is_on_the_image_of_its_last_rollout_whatever_the_order_of_reading() -> None:
    events = [ended("new", 2), ended("old", 1)]
    assert pinned_images(events) == {"web": PinnedImage(id="id-new", name="new")}


def test_going_back_to_an_older_image_by_hand_pins_that_one() -> None:
    events = [ended("old", 1), ended("new", 2), ended("old", 3)]
    assert pinned_images(events)["web"].name == "old"


@pytest.mark.parametrize("reason", [Reason.STAGE_FAILED, Reason.NOT_HEALTHY])
def test_a_rollout_that_did_not_end_well_pins_nothing(reason: Reason) -> None:
    assert pinned_images([ended("old", 1), ended("new", 2, reason)])["web"].name == "old"


def test_a_rollout_of_some_members_pins_nothing() -> None:
    assert pinned_images([ended("old", 1), ended("new", 2, partial=True)])["web"].name == "old"


def test_of_a_fleet_without_a_rollout_nothing_is_known() -> None:
    assert pinned_images([]) == {}
