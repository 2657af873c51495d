"""How a rollout ended, and what keeps a member from being touched."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.paths import PROJECT

from bakehouse.fleet.load import load_fleet
from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.recipe.mistakes import Mistakes
from bakehouse.rollout.gates import nobody_failed, others_are_up, reports_to_read
from bakehouse.rollout.outcome import beyond_halt_after, failed_members, in_words
from bakehouse.rollout.plan import Reported
from bakehouse.rollout.rollout_states import (
    ENDS,
    MOVES,
    RolloutState,
    edges,
    rollout_state,
    stage_failed,
)

GOOD: dict[str, str | None] = {
    "choose_image": "success",
    "acquire_lease": "success",
    "plan": "success",
    "select_members_1": "success",
    "replace_1_0": "success",
    "verify_stage_1": "success",
    "select_members_2": "success",
    "replace_2": "skipped",
    "verify_stage_2": "success",
    "plan_rollback": "success",
    "roll_back": "skipped",
}
FAILED = GOOD | {"replace_1_0": "failed", "verify_stage_1": "upstream_failed"}


BEGUN: dict[str, str | None] = {"choose_image": "success", "acquire_lease": "success"}
PLANNED = BEGUN | {"plan": "success"}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({}, RolloutState.CHOOSING),
        ({"choose_image": "running"}, RolloutState.CHOOSING),
        ({"choose_image": "success"}, RolloutState.WAITING),
        ({"choose_image": "success", "acquire_lease": "deferred"}, RolloutState.WAITING),
        (BEGUN | {"plan": "up_for_retry"}, RolloutState.PLANNING),
        (PLANNED, RolloutState.REPLACING),
        (PLANNED | {"replace_1_0": "deferred"}, RolloutState.REPLACING),
        (PLANNED | {"replace_1_0": "success", "verify_stage_1": "deferred"}, RolloutState.SOAKING),
        (
            PLANNED | {"verify_stage_1": "success", "approve_stage_1": "deferred"},
            RolloutState.ASKING,
        ),
        (PLANNED | {"approve_stage_1": "failed"}, RolloutState.COMING_TO_REST),
        (
            PLANNED | {"replace_1_0": "failed", "replace_1_1": "deferred"},
            RolloutState.COMING_TO_REST,
        ),
        (FAILED | {"plan_rollback": "running"}, RolloutState.COMING_TO_REST),
        (FAILED | {"roll_back": None}, RolloutState.COMING_TO_REST),
        (FAILED | {"roll_back_0": "success", "roll_back_1": "deferred"}, RolloutState.ROLLING_BACK),
        # ends
        (GOOD, RolloutState.SUCCEEDED),
        ({"choose_image": "skipped"}, RolloutState.NOT_REQUESTED),
        ({"choose_image": "failed"}, RolloutState.REFUSED),
        (GOOD | {"acquire_lease": "failed", "plan": "upstream_failed"}, RolloutState.REFUSED),
        (FAILED, RolloutState.HALTED),
        (FAILED | {"roll_back_0": "success", "roll_back": "success"}, RolloutState.ROLLED_BACK),
        (FAILED | {"roll_back_0": "success", "roll_back_1": "failed"}, RolloutState.NOT_BACK),
        (GOOD | {"plan_rollback": "failed"}, RolloutState.NOT_BACK),
        # somebody has marked the run as failed: what runs fails, what comes is skipped
        (BEGUN | {"plan": "skipped", "verdict": "skipped"}, RolloutState.STOPPED),
        (
            PLANNED | {"replace_1_0": "failed", "plan_rollback": "skipped", "verdict": "skipped"},
            RolloutState.STOPPED,
        ),
        (
            FAILED | {"roll_back_0": "success", "roll_back_1": "skipped", "verdict": "skipped"},
            RolloutState.STOPPED,
        ),
    ],
    ids=str,
)
def test_the_state_of_a_rollout(states: dict[str, str | None], expected: RolloutState) -> None:
    mapped = "roll_back_0" in states
    found = {t: s for t, s in states.items() if not (mapped and t == "roll_back")}
    assert rollout_state(found) is expected


def test_a_rollout_that_leaves_a_member_behind_was_not_rolled_back() -> None:
    undone = {**FAILED, "roll_back_0": "success"}
    del undone["roll_back"]
    assert rollout_state(undone) is RolloutState.ROLLED_BACK
    assert rollout_state(undone, stranded=True) is RolloutState.NOT_BACK
    assert rollout_state(GOOD, stranded=False) is RolloutState.SUCCEEDED


def test_the_drawing_shows_the_states_of_a_rollout() -> None:
    text = (PROJECT / "docs" / "rollouts.md").read_text()
    section = text[text.index("## The states of a rollout") :].split("\n## ")[0]
    drawn = re.findall(r"^ {4}(\w+) --> (\w+)", section, re.MULTILINE)
    assert drawn == [(str(a), str(b)) for a, b in edges()]
    told = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    assert told == {str(state) for state in RolloutState}


def test_every_rollout_comes_to_a_named_end_and_none_goes_on_from_there() -> None:
    assert MOVES.keys() == set(RolloutState)
    reached = {RolloutState.CHOOSING}
    for _ in RolloutState:
        reached |= {after for state in reached for after in MOVES[state]}
    assert reached == set(RolloutState)
    assert all(MOVES[state] & {*ENDS, *MOVES} for state in set(RolloutState) - ENDS)
    assert {RolloutState.SUCCEEDED, RolloutState.HALTED, RolloutState.STOPPED} <= ENDS


STEPS: list[tuple[str, str]] = [
    ("choose_image", "running"),
    ("choose_image", "success"),
    ("acquire_lease", "deferred"),
    ("acquire_lease", "success"),
    ("plan", "success"),
    ("select_members_1", "success"),
    ("replace_1_0", "deferred"),
    ("replace_1_0", "success"),
    ("verify_stage_1", "deferred"),
    ("verify_stage_1", "success"),
    ("approve_stage_1", "awaiting_input"),
    ("approve_stage_1", "success"),
    ("select_members_2", "success"),
    ("replace_2_0", "deferred"),
    ("replace_2_1", "deferred"),
]
FAILS: list[tuple[str, str]] = [
    ("replace_2_0", "failed"),
    ("replace_2_1", "success"),
    ("verify_stage_2", "upstream_failed"),
    ("plan_rollback", "running"),
    ("plan_rollback", "success"),
]
BACK = [("roll_back_0", "deferred"), ("roll_back_0", "success"), ("roll_back_1", "deferred")]


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        (
            [
                *STEPS,
                ("replace_2_0", "success"),
                ("replace_2_1", "success"),
                ("verify_stage_2", "deferred"),
                ("verify_stage_2", "success"),
                ("plan_rollback", "success"),
            ],
            RolloutState.SUCCEEDED,
        ),
        ([*STEPS, *FAILS, *BACK, ("roll_back_1", "success")], RolloutState.ROLLED_BACK),
        ([*STEPS, *FAILS, *BACK, ("roll_back_1", "failed")], RolloutState.NOT_BACK),
        ([*STEPS, *FAILS, ("roll_back", "skipped")], RolloutState.HALTED),
        ([*STEPS[:1], ("choose_image", "failed")], RolloutState.REFUSED),
        ([*STEPS[:1], ("choose_image", "skipped")], RolloutState.NOT_REQUESTED),
        ([*STEPS[:4], ("plan", "skipped")], RolloutState.STOPPED),
        ([*STEPS, ("replace_2_0", "failed"), ("plan_rollback", "skipped")], RolloutState.STOPPED),
    ],
    ids=lambda value: str(value) if isinstance(value, RolloutState) else "",
)
def test_each_step_of_a_rollout_is_a_legal_move_and_leads_to_its_end(
    steps: list[tuple[str, str]], end: RolloutState
) -> None:
    states: dict[str, str | None] = {"roll_back": None}
    before = rollout_state(states)
    for task, state in steps:
        if task.startswith("roll_back_"):
            states.pop("roll_back", None)
            states.setdefault("roll_back_1", None)
        states[task] = state
        after = rollout_state(states)
        assert after is before or after in MOVES[before], (before, after, task)
        before = after
    assert before is end


FLEET = "recipe: web\nmembers: {instances: [web-1], zones: [us-central1-a]}\n"


@pytest.mark.parametrize(
    ("halt_after", "moved", "members", "goes_back"),
    [
        ("50%", 1, 3, True),
        ("50%", 2, 3, False),
        ("50%", 2, 4, True),
        ("50%", 3, 4, False),
        ("50%", 76, 100, False),
        ("100%", 99, 100, True),
        ("1%", 1, 100, True),
        (2, 2, 100, True),
        (2, 3, 100, False),
        (None, 99, 100, True),
    ],
)
def test_beyond_halt_after_nothing_goes_back_by_itself(
    halt_after: Any, moved: int, members: int, goes_back: bool
) -> None:
    line = f"halt_after: {halt_after}\n" if halt_after else ""
    limit = load_fleet(FLEET + line, "web.yaml").halt_after
    states: dict[str, str | None] = {f"replace_2_{n}": "success" for n in range(moved)}
    states |= {"replace_2_900": "failed", "replace_2": "failed", "select_members_2": "success"}
    why = beyond_halt_after(limit, states, members)
    assert (why == "") is goes_back
    if why:
        assert why == f"halt_after: {halt_after}, and {moved} of {members} members have moved"


@pytest.mark.parametrize("wrong", ["0", "0%", "101%", "half", "-1", "[1]"])
def test_a_share_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(Mistakes, match="halt_after is neither a count of members"):
        load_fleet(FLEET + f"halt_after: {wrong}\n", "web.yaml")


def test_a_member_that_was_not_moved_is_told_with_its_cause_and_both_tries() -> None:
    outcome = MemberOutcome(
        member="web-2",
        way="forward",
        state="stuck",
        why="start of web-2: no e2-small left",
        image="web-new",
        disk="d",
        cause="stock_out",
        first_try="start of web-2: none left",
    )
    told = "its zone has no capacity, start of web-2: no e2-small left"
    first = "the first try: start of web-2: none left"
    assert in_words(outcome) == f"web-2 was not moved to web-new: {told}; {first}"
    of_newer = outcome.model_copy(update={"cause": "a_cause_of_tomorrow", "first_try": ""})
    assert ": stuck, start of web-2: no" in in_words(of_newer)


def test_the_members_of_a_mapped_task_that_failed() -> None:
    states = {"replace_1_0": "failed", "replace_1_2": "failed", "replace_1_1": "success"}
    more = {"replace_11_4": "failed", "replace_1": "failed", "verify_stage_1_3": "failed"}
    assert failed_members({**states, **more}, "replace_1") == [0, 2]


def test_only_tasks_of_stages_fail_a_stage() -> None:
    assert not stage_failed(
        {"replace_other_1": "failed", "smoke_test": "failed", "roll_back_0": "failed"}
    )
    assert stage_failed({"replace_12_3": "failed"})


def test_a_member_is_touched_only_while_few_others_are_down() -> None:
    up, down = {"status": "RUNNING"}, {"status": "STOPPING"}
    others = {"a": up, "b": down, "c": up}
    assert others_are_up("c", others, others, at_most=2).open
    gate = others_are_up("c", others, others, at_most=1)
    assert (gate.open, gate.why) == (False, "already down: b (max_unavailable 1)")
    assert others_are_up("b", others, others, at_most=1).open


def test_two_members_that_ask_at_the_same_time_do_not_both_go_beyond_the_limit() -> None:
    """One is down already; each of two sees that one alone, until the first of them is stopped."""
    there = {"a": {"status": "RUNNING"}, "b": {"status": "RUNNING"}, "x": {"status": "STOPPING"}}
    assert others_are_up("a", there, there, 2).open
    gate = others_are_up("b", there, there, 2, ahead=["a"])
    assert (gate.open, gate.why) == (False, "already down: a, x (max_unavailable 2)")
    assert others_are_up("b", there, there, 3, ahead=["a"]).open
    ill = {"b": "unhealthy"}
    assert others_are_up("b", there, there, 2, ill, ahead=["a"]).open
    gate = others_are_up("b", there, there, 1, ill, ahead=["a"])
    assert (gate.open, gate.why) == (False, "a come first"), "ill ones wait for their turn too"


def test_a_failed_sibling_halts_the_line() -> None:
    assert nobody_failed({"replace_1_0": "running", "replace_1_1": "up_for_retry"}).open
    assert not nobody_failed({"replace_1_0": "failed", "replace_1_1": None}).open


def test_a_member_that_runs_and_is_ill_is_down_too_and_counts_itself() -> None:
    up = {"status": "RUNNING"}
    all_up = {"a": up, "b": up, "c": up}
    gate = others_are_up("c", all_up, all_up, 1, {"b": "unhealthy: no answer"})
    assert (gate.open, gate.why) == (
        False,
        "already down: b (unhealthy: no answer) (max_unavailable 1)",
    )
    assert others_are_up("c", all_up, all_up, 2, {"b": "unhealthy"}).open
    assert others_are_up("b", all_up, all_up, 1, {"b": "unhealthy"}).open
    every = dict.fromkeys(all_up, "unhealthy")
    assert all(others_are_up(name, all_up, all_up, 1, every).open for name in all_up)


def report(number: int, why: str = "") -> Reported:
    return Reported(name=f"m-{number}", zone="z", at=datetime(2026, 11, 27, tzinfo=UTC), ill=why)


def test_of_a_small_fleet_each_report_is_read_before_a_stop() -> None:
    fleet = [report(number) for number in range(12)]
    first, rest = reports_to_read("m-3", fleet)
    assert {r.name for r in first} == {r.name for r in fleet} - {"m-3"}
    assert rest == []


def test_of_a_thousand_members_few_are_read_and_together_they_read_all() -> None:
    fleet = [report(number, "unhealthy" if number == 500 else "") for number in range(1000)]
    heard: dict[str, int] = {}
    for member in fleet:
        first, rest = reports_to_read(member.name, fleet)
        assert len(first) == 13
        assert first[0].name == "m-500", "one that was ill may have been mended"
        every = [r.name for r in (*first, *rest) if r.name != member.name]
        assert sorted(every) == sorted({r.name for r in fleet} - {member.name})
        for other in first:
            heard[other.name] = heard.get(other.name, 0) + 1
    assert set(heard) == {r.name for r in fleet}
    assert {n for name, n in heard.items() if name != "m-500"} <= {11, 12, 13}


def test_a_member_that_no_report_knows_reads_the_first_ones() -> None:
    first, _ = reports_to_read("new", [report(number) for number in range(20)])
    assert [r.name for r in first] == [f"m-{number}" for number in range(12)]
