"""How often a member that boots is looked at."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.rollout import boot_pace
from bakehouse.rollout.boot_pace import BootPace

INTERVAL = 8.0
SECONDS = st.floats(0.1, 600)


def pace(*seconds: float) -> BootPace:
    found = BootPace()
    for one in seconds:
        found.note(one)
    return found


def test_the_first_member_and_one_whose_start_was_not_seen_are_looked_at_as_usual() -> None:
    assert pace().pause(10, INTERVAL) == 4
    assert pace(60).pause(None, INTERVAL) == 4


def test_one_that_is_not_due_is_looked_at_seldom_and_then_just_when_it_is() -> None:
    known = pace(60, 50)
    assert known.pause(1, INTERVAL) == 16
    assert known.pause(35, INTERVAL) == 5


def test_one_that_is_due_is_looked_at_often_and_one_that_is_late_as_usual() -> None:
    known = pace(60, 50)
    assert known.pause(40, INTERVAL) == 2
    assert known.pause(74, INTERVAL) == 2
    assert known.pause(75, INTERVAL) == 4


@given(st.lists(SECONDS, min_size=1), SECONDS)
def test_no_pause_is_longer_than_two_intervals_or_ends_after_the_member_is_due(
    known: list[float], booted: float
) -> None:
    found = pace(*known)
    wait = found.pause(booted, INTERVAL)
    assert INTERVAL / 4 <= wait <= 2 * INTERVAL
    due = 0.8 * min(known[-20:])
    assert booted >= due or booted + wait <= due + INTERVAL / 4 + 1e-9


async def test_each_rollout_has_its_own_boots_and_old_ones_are_forgotten() -> None:
    BootPace.of("a").note(60)
    assert BootPace.of("a").pause(1, INTERVAL) == 16
    await asyncio.sleep(0)  # another moment of the same event loop
    assert BootPace.of("b").pause(1, INTERVAL) == 4
    for number in range(boot_pace.ROLLOUTS):
        BootPace.of(str(number)).note(9)
    assert BootPace.of("a").pause(1, INTERVAL) == 4
