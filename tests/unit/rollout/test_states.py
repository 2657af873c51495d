"""The table of states: its drawing, its ends, and that no way leads back to a second stop."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.paths import PROJECT

from bakehouse.rollout.health import Health
from bakehouse.rollout.moves import MOVES, IllegalMove, edges, move
from bakehouse.rollout.observation import Goal, MemberObservation, read
from bakehouse.rollout.states import (
    ACTIONS,
    FINAL,
    Action,
    Consent,
    Disk,
    Rendered,
    Resumed,
    State,
    Strategy,
)

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
    assert stopping == {State.CLEARED}
    before = {State.PENDING, State.PREPARING, State.PREPARED, State.BLOCKED, State.DRAINING}
    before |= {State.RENDERING, State.SURPLUS}  # which stops nothing; which is asked, and goes
    behind = set(State) - before - stopping
    assert not stopping & set().union(*(reachable(state) for state in behind))


def test_nothing_is_asked_or_drained_behind_the_stop() -> None:
    asks = {state for state in State if ACTIONS[state] in {Action.ASK, Action.DRAIN}}
    assert asks == {State.PREPARED, State.BLOCKED, State.DRAINING}
    assert not asks & reachable(State.STOPPING)


MOMENT = datetime(2026, 11, 27, tzinfo=UTC)
GOAL = Goal("7", "new", "web-2", "b0", timedelta(minutes=5), busy_limit=timedelta(minutes=30))
ELSEWHERE = MemberObservation("7", "RUNNING", "old", Disk.READY)


@pytest.mark.parametrize(
    ("consent", "state"),
    [
        (Consent.UNKNOWN, State.PREPARED),
        (Consent.REFUSED, State.BLOCKED),
        (Consent.GATES_OPEN, State.DRAINING),
        (Consent.GIVEN, State.CLEARED),
    ],
)
def test_a_member_is_stopped_only_with_its_consent(consent: Consent, state: State) -> None:
    assert read(replace(ELSEWHERE, consent=consent), GOAL, MOMENT) is state
    stopped = replace(ELSEWHERE, status="TERMINATED", consent=consent)
    assert read(stopped, GOAL, MOMENT) is State.STOPPED


@pytest.mark.parametrize(
    ("resumed", "state"),
    [
        (Resumed.NOT_YET, State.RESUMING),
        (Resumed.DONE, State.REPLACED),
        (Resumed.FAILED, State.UNHEALTHY),
    ],
)
def test_a_healthy_member_is_replaced_once_it_has_its_load_again(
    resumed: Resumed, state: State
) -> None:
    seen = observed(Health("healthy", "web-2", "b1"), resumed=resumed)
    assert read(seen, GOAL, MOMENT) is state
    ill = replace(seen, health=Health("unhealthy", "web-2", "b1"))
    assert read(ill, GOAL, MOMENT) is State.UNHEALTHY


def observed(health: Health, **more: Any) -> MemberObservation:
    more.setdefault("started", MOMENT)
    return MemberObservation("7", "RUNNING", "new", Disk.READY, health, **more)


@pytest.mark.parametrize(
    ("minutes", "further", "state"),
    [
        (4, None, State.BOOTING),
        (6, None, State.UNHEALTHY),  # it says a number, and the number stays
        (6, 2, State.BOOTING),
        (29, 28, State.BOOTING),
        (29, 23, State.UNHEALTHY),
        (31, 30, State.UNHEALTHY),  # the hard limit
    ],
)
def test_a_busy_member_has_time_while_it_counts_further_up_to_a_hard_limit(
    minutes: int, further: int | None, state: State
) -> None:
    health = Health("busy", "web-2", "b1", "health exited with 1\nbusy: 12 of 340")
    progress = MOMENT + timedelta(minutes=further) if further is not None else None
    seen = observed(health, progress=progress)
    assert read(seen, GOAL, MOMENT + timedelta(minutes=minutes)) is state


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"consent": Consent.UNKNOWN}, State.PREPARED),
        ({"consent": Consent.REFUSED}, State.BLOCKED),
        ({"consent": Consent.GATES_OPEN}, State.DRAINING),
        ({"consent": Consent.GIVEN}, State.RENDERING),
        ({"rendered": Rendered.DONE, "resumed": Resumed.NOT_YET}, State.RESUMING),
        ({"rendered": Rendered.DONE}, State.REPLACED),
        ({"rendered": Rendered.FAILED}, State.UNHEALTHY),
        ({"status": "TERMINATED", "consent": Consent.GIVEN}, State.LOST),
        ({"instance_id": "8"}, State.LOST),
    ],
)
def test_a_change_of_metadata_has_the_same_gates_and_stops_nothing(
    fields: dict[str, Any], state: State
) -> None:
    goal = replace(GOAL, disk="old", strategy=Strategy.RENDER)
    assert read(replace(ELSEWHERE, **fields), goal, MOMENT) is state


def test_a_member_that_calls_itself_busy_without_a_number_is_ill() -> None:
    seen = observed(Health("busy", "web-2", "b1", "busy as ever"))
    assert read(seen, GOAL, MOMENT) is State.UNHEALTHY


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
