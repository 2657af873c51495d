"""A fleet that a person has rolled back is held from the image until somebody releases it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.events import at, ended, held, image, released

from bakehouse.core.reasons import Reason
from bakehouse.history.holds import holds

if TYPE_CHECKING:
    from bakehouse.history.event import Event

OLD, BAD, NEWER = image(1), image(2), image(3)


def hold_of(*events: Event) -> bool:
    return "web" in holds(events)


def test_the_bad_image_and_older_ones_stay_out_and_newer_ones_do_not() -> None:
    hold = holds([held(BAD, 2, OLD, 5, why="500s")])["web"]
    assert hold.holds(f"id of {BAD}", at(2))
    assert hold.holds("an older one", at(1))
    assert not hold.holds(f"id of {OLD}", at(0)), "the fleet is on it"
    assert not hold.holds(f"id of {NEWER}", at(3))
    assert str(hold) == (
        f"{BAD} is held back from the fleet web since 2026-11-25 08:00:00 UTC by jo, who rolled it"
        f" back to {OLD}: 500s"
    )


@pytest.mark.parametrize(
    ("event", "is_held"),
    [
        (released(1), False),
        (ended(NEWER, 1, "manual__2"), False),
        (ended(BAD, 1, "manual__2"), False),  # a person has named it
        (ended(BAD, 1, "manual__2", Reason.NOTHING_TO_REPLACE), False),
        (ended(OLD, 1), True),  # the way back itself
        (ended(NEWER, 1, "manual__2", partial=True), True),
        (ended(NEWER, 1, "manual__2", Reason.STAGE_FAILED), True),
        (released(-1), True),  # before it
    ],
)
def test_what_ends_a_hold(event: Event, is_held: bool) -> None:
    assert hold_of(event, held(BAD, 0, OLD)) is is_held


def test_the_newest_way_back_counts() -> None:
    assert holds([held(NEWER, 3, BAD, 2), held(BAD, 2, OLD, 4)])["web"].image == BAD
