"""The table of states: its drawing, its ends, and that no way leads back to a second stop."""

from __future__ import annotations

import re

import pytest
from tests.support.paths import PROJECT

from bakehouse.rollout.states import ACTIONS, FINAL, MOVES, Action, IllegalMove, State, edges, move

DRAWING = PROJECT / "docs" / "rollouts.md"


def reachable(start: State) -> set[State]:
    seen: set[State] = set()
    open_ = [start]
    while open_:
        for after in MOVES[open_.pop()] - seen:
            seen.add(after)
            open_.append(after)
    return seen


def test_the_drawing_shows_the_code() -> None:
    drawn = re.findall(
        r"^ {4}(\w+) --> (\w+)",
        DRAWING.read_text().split("## The states of a member")[1],
        re.MULTILINE,
    )
    assert [pair for pair in drawn if "lost" not in pair] == [(str(a), str(b)) for a, b in edges()]
    steps = dict(
        re.findall(
            r"^ {4}(\w+): \w+ \((\w+)\)",
            DRAWING.read_text().split("## The states of a member")[1],
            re.MULTILINE,
        )
    )
    assert steps == {
        str(s): str(ACTIONS[s]) for s in State if ACTIONS[s] not in {Action.WAIT, Action.END}
    }


def test_every_state_has_a_step_and_every_way_ends() -> None:
    assert ACTIONS.keys() == MOVES.keys() == set(State)
    assert all(reachable(state) & FINAL for state in set(State) - FINAL)
    assert all(not MOVES[state] for state in FINAL)


def test_no_way_leads_back_to_a_second_stop() -> None:
    stopping = {state for state in State if ACTIONS[state] is Action.STOP}
    assert stopping == {State.PREPARED}
    after: set[State] = set().union(*(reachable(state) for state in MOVES[State.PREPARED]))
    assert not after & stopping


def test_an_illegal_move_raises() -> None:
    with pytest.raises(IllegalMove, match="somebody else"):
        move(State.BARE, State.PREPARED)
    with pytest.raises(IllegalMove):
        move(State.REPLACED, State.BOOTING)


@pytest.mark.parametrize("state", list(State))
def test_every_member_may_stay_or_get_lost(state: State) -> None:
    assert move(state, state) is state
    assert move(state, State.LOST) is State.LOST
    assert move(None, state) is state
