"""A rollout ends when no further member passes, whatever its members do meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.fleet.load import load_fleet
from bakehouse.rollout.progress import no_progress, progress_within

BEGAN = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
FLEET = "recipe: web\nmembers: {instances: [web-1], zones: [us-central1-a]}\n"


@pytest.mark.parametrize(
    ("clock", "after", "ends"),
    [
        ([BEGAN], HOUR, False),
        ([BEGAN], HOUR * 2, True),
        ([BEGAN, BEGAN + HOUR], HOUR * 2, False),
        ([BEGAN + HOUR, BEGAN], HOUR * 2, False),
        ([BEGAN, BEGAN + HOUR], HOUR * 3, True),
        ([], HOUR * 99, False),
    ],
    ids=["in time", "late", "a member has passed", "in any order", "and no further one", "unknown"],
)
def test_the_clock_begins_anew_with_each_member_that_has_passed(
    clock: list[datetime], after: timedelta, *, ends: bool
) -> None:
    why = no_progress(clock, BEGAN + after, HOUR)
    assert bool(why) is ends
    if ends:
        assert why.startswith("no further member has passed since 2026-11-28 ")
        assert "(progress_deadline: 1 h)" in why


@given(st.lists(st.integers(0, 600), min_size=1, max_size=20), st.integers(0, 600))
def test_what_passes_only_ever_gives_more_time(minutes: list[int], at: int) -> None:
    clock = [BEGAN + timedelta(minutes=m) for m in minutes]
    moment = BEGAN + timedelta(minutes=at)
    if not no_progress(clock, moment, HOUR):
        assert not no_progress([*clock, BEGAN], moment, HOUR)
    assert no_progress(clock, max(clock) + HOUR * 2, HOUR)


def test_by_default_no_member_that_keeps_its_own_deadlines_ends_a_rollout() -> None:
    text = (
        "gate: {deadline: 2h}\ndrain: {deadline: 10m}\nresume: {deadline: 20m}\n"
        "health_deadline: 10m\nbusy_limit: 3h\n"
    )
    within = progress_within(load_fleet(FLEET + text, "fleets/web.yaml"))
    one_try = timedelta(minutes=10 + 30 + 20) + 3 * HOUR
    assert within == 2 * HOUR + timedelta(minutes=10) + 2 * one_try


def test_a_fleet_may_say_it_itself() -> None:
    fleet = load_fleet(FLEET + "progress_deadline: 45m\n", "fleets/web.yaml")
    assert progress_within(fleet) == timedelta(minutes=45)
