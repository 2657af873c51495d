"""How a rollout ended, and what keeps a member from being touched."""

from __future__ import annotations

import pytest

from bakehouse.rollout.ending import Ending, judge, stage_failed
from bakehouse.rollout.gates import nobody_failed, others_are_up

GOOD: dict[str, str | None] = {
    "choose_image": "success",
    "hold": "success",
    "plan": "success",
    "pick_1": "success",
    "replace_1_0": "success",
    "passed_1": "success",
    "pick_2": "success",
    "replace_2": "skipped",
    "passed_2": "success",
    "settle": "success",
    "undo": "skipped",
}
FAILED = GOOD | {"replace_1_0": "failed", "passed_1": "upstream_failed"}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (GOOD, Ending.GOOD),
        ({"choose_image": "skipped"}, Ending.NONE),
        (GOOD | {"hold": "failed", "plan": "upstream_failed"}, Ending.FAILED),
        (FAILED, Ending.FAILED),  # nobody went back
        (FAILED | {"undo_0": "success", "undo": "success"}, Ending.ROLLED_BACK),
        (FAILED | {"undo_0": "success", "undo_1": "failed"}, Ending.FAILED),
        (GOOD | {"settle": "failed"}, Ending.FAILED),
    ],
)
def test_endings(states: dict[str, str | None], expected: Ending) -> None:
    mapped = "undo_0" in states
    found = {t: s for t, s in states.items() if not (mapped and t == "undo")}
    assert judge(found) is expected


def test_only_tasks_of_stages_fail_a_stage() -> None:
    assert not stage_failed(
        {"replace_other_1": "failed", "smoke_test": "failed", "undo_0": "failed"}
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
