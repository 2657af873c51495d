"""How a rollout ended, and what keeps a member from being touched."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bakehouse.rollout.gates import nobody_failed, others_are_up, reports_to_read
from bakehouse.rollout.outcome import Outcome, failed_members, rollout_outcome, stage_failed
from bakehouse.rollout.plan import Reported

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


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (GOOD, Outcome.GOOD),
        ({"choose_image": "skipped"}, Outcome.NONE),
        (GOOD | {"acquire_lease": "failed", "plan": "upstream_failed"}, Outcome.FAILED),
        (FAILED, Outcome.FAILED),  # nobody went back
        (FAILED | {"roll_back_0": "success", "roll_back": "success"}, Outcome.ROLLED_BACK),
        (FAILED | {"roll_back_0": "success", "roll_back_1": "failed"}, Outcome.FAILED),
        (GOOD | {"plan_rollback": "failed"}, Outcome.FAILED),
    ],
)
def test_endings(states: dict[str, str | None], expected: Outcome) -> None:
    mapped = "roll_back_0" in states
    found = {t: s for t, s in states.items() if not (mapped and t == "roll_back")}
    assert rollout_outcome(found) is expected


def test_a_rollout_that_leaves_a_member_behind_was_not_rolled_back() -> None:
    undone = {**FAILED, "roll_back_0": "success"}
    del undone["roll_back"]
    assert rollout_outcome(undone) is Outcome.ROLLED_BACK
    assert rollout_outcome(undone, stranded=True) is Outcome.FAILED
    assert rollout_outcome(GOOD, stranded=False) is Outcome.GOOD


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
