"""Who comes first in a stage, and when a member that is ready has its turn."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.rollout.place import ENDED, WITH_SLOT, Place, failed

TASK = "replace_instances.replace_2"
STATES = st.sampled_from([None, "scheduled", "up_for_retry", *sorted(ENDED), *sorted(WITH_SLOT)])


def place(ahead: int, at_most: int = 1) -> Place:
    return Place(
        task=TASK,
        ahead={f"web-{index}": index for index in range(ahead)},
        at_most=at_most,
        others={},
        reports=(),
        until=0.0,
    )


def states(*of: str | None) -> dict[str, str | None]:
    return {f"{TASK}_{index}": state for index, state in enumerate(of)}


def test_who_has_ended_or_is_known_to_have_passed_comes_first_no_more() -> None:
    found = place(3)
    now = states("success", "deferred", "deferred")
    assert found.left(now, ()) == ["web-1", "web-2"]
    assert found.left(now, {"web-1"}) == ["web-2"]


def test_a_member_that_has_failed_halts_the_line() -> None:
    assert failed(states("success", "failed", "deferred")) == [f"{TASK}_1"]
    assert failed(states("deferred", "up_for_retry")) == []


def test_whoever_comes_first_has_a_slot_or_another_try_to_come() -> None:
    found = place(2)
    assert found.has_slot(states("up_for_retry", "deferred"), ["web-0", "web-1"])
    assert not found.has_slot(states("success", "up_for_retry"), ["web-1"])
    assert not found.has_slot(states("success", "scheduled"), ["web-1"])
    assert found.goes_on(states("success", "scheduled")), "its trigger has fired just now"
    assert not found.goes_on(states("success", "up_for_retry"))


@given(st.lists(STATES, max_size=8), st.integers(1, 4))
def test_never_more_than_allowed_have_their_turn_at_a_time(
    given: list[str | None], at_most: int
) -> None:
    """Whatever the others do: of those that have not ended, only the first ones have their turn."""
    now = states(*given)
    have = [
        index
        for index, state in enumerate(given)
        if state not in ENDED and len(place(index, at_most).left(now, ())) < at_most
    ]
    assert len(have) <= at_most
    assert have == [i for i, state in enumerate(given) if state not in ENDED][:at_most]
