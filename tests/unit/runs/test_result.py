"""Why a run has failed: the first failed task, or a person."""

from __future__ import annotations

import pytest

from bakehouse.runs.result import NO_REASON, Mark, failed_tasks, failure, unfinished

ORDER = ("plan", "install", "test", "replace", "verdict")
FAILED, SUCCESS = Mark(state="failed", clear_number=0), Mark(state="success", clear_number=0)
GREEN = dict.fromkeys(ORDER, "success")


def why(
    states: dict[str, str], mark: Mark | None = None, reasons: dict[str, str] | None = None
) -> str | None:
    told = reasons or {}
    return failure(
        ORDER,
        {**GREEN, **states},
        mark,
        lambda task, index: told.get(task if index is None else f"{task}_{index}"),
    )


@pytest.mark.parametrize(
    "states", [{}, dict.fromkeys(ORDER, "skipped"), {"replace": "removed", "verdict": "skipped"}]
)
def test_a_run_without_a_failure_has_succeeded(states: dict[str, str]) -> None:
    assert why(states) is None


def test_the_first_failed_task_of_the_flow_says_why() -> None:
    states = {"verdict": "failed", "install": "failed", "test": "upstream_failed"}
    reasons = {"verdict": "rolled back", "install": "no such package"}
    assert why(states, reasons=reasons) == "install: no such package"


def test_a_mapped_task_is_named_with_its_index() -> None:
    states = {"replace_0": "success", "replace_10": "failed", "replace_2": "failed"}
    assert why(states, reasons={"replace_2": "not healthy"}) == "replace[2]: not healthy"
    assert failed_tasks(ORDER, states) == [("replace", 2), ("replace", 10)]


def test_a_task_whose_name_ends_with_a_number_is_no_mapped_one() -> None:
    order = ("replace", "replace_1")
    assert failed_tasks(order, {"replace_1": "failed"}) == [("replace_1", None)]
    assert failed_tasks(order, {"replace_1_0": "failed"}) == [("replace_1", 0)]


def test_a_task_that_left_no_reason_is_named() -> None:
    assert why({"install": "failed"}) == f"install: {NO_REASON}"


def test_a_task_that_could_not_start_is_a_failure() -> None:
    told = why({"test": "upstream_failed"})
    assert told == "test did not run, since a task before it has failed"


@pytest.mark.parametrize(
    ("states", "told"),
    [
        (dict.fromkeys(ORDER, "skipped"), "somebody marked the run as failed"),
        (
            {"install": "failed", "test": "skipped"},
            "somebody marked the run as failed, while install was running",
        ),
    ],
)
def test_a_run_that_a_person_marks_as_failed_has_failed(states: dict[str, str], told: str) -> None:
    assert why(states, FAILED) == told


def test_what_had_failed_before_the_mark_is_the_reason() -> None:
    assert why({"install": "failed"}, FAILED, {"install": "no disk"}) == "install: no disk"


def test_a_run_that_a_person_marks_as_successful_has_succeeded() -> None:
    assert why({"install": "failed", "test": "upstream_failed"}, SUCCESS) is None


def test_tasks_that_go_on_are_waited_for() -> None:
    states: dict[str, str | None] = {"plan": "success", "install": None, "test_0": "deferred"}
    assert unfinished({**states, "watch": "deferred"}, {"watch"}) == ["install", "test_0"]
    assert unfinished(GREEN, ()) == []
