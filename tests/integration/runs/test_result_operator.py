"""The last task of a run, as a worker and a triggerer run it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from airflow.triggers.base import TriggerEvent

from bakehouse.runs.operators import RunResult, add_result
from bakehouse.runs.triggers import TasksEndedTrigger

FAILED = {"plan": "success", "install": "failed", "test": "upstream_failed", "sla_watch": "running"}


class Case:
    """A run of three tasks, and what the result sees of it."""

    def __init__(self) -> None:
        with DAG(dag_id="d", schedule=None) as self.dag:
            tasks = [BaseOperator(task_id=name) for name in ("plan", "install", "test")]
            tasks[0] >> tasks[1] >> tasks[2]
            self.result: RunResult = add_result(self.dag)
            BaseOperator(task_id="sla_watch")
        self.states: dict[str, str | None] = {}
        self.xcoms: dict[tuple[str, str], Any] = {}
        self.clear_number = 0

    @property
    def context(self) -> Any:
        ti = SimpleNamespace(
            dag_id="d",
            run_id="r",
            get_task_states=lambda **_: {"r": dict(self.states)},
            xcom_pull=lambda task_ids, key, **_: self.xcoms.get((task_ids, key)),
            xcom_push=lambda key, value: self.xcoms.update({("result", key): value}),
        )
        run = SimpleNamespace(clear_number=self.clear_number)
        return {"ti": ti, "dag_run": run, "dag": self.dag}

    def run(self, **states: str | None) -> None:
        self.states = {**FAILED, "result": "running", **states}
        self.result.execute(self.context)


@pytest.fixture
def case() -> Case:
    return Case()


def test_it_comes_behind_the_last_tasks_and_waits_for_no_watcher(case: Case) -> None:
    assert case.result.upstream_task_ids == {"test"}
    assert case.result.is_teardown
    assert case.result.on_failure_fail_dagrun


def test_it_fails_at_once_with_the_reason_in_one_line(case: Case) -> None:
    case.xcoms["install", "reason"] = "no such package"
    with pytest.raises(AirflowFailException, match=r"^install: no such package$"):
        case.run()
    assert case.xcoms["result", "reason"] == "install: no such package"


def test_a_run_without_a_failure_succeeds(case: Case) -> None:
    case.run(install="success", test="skipped")
    assert case.xcoms == {}


@pytest.mark.parametrize(("state", "fails"), [("failed", True), ("success", False)])
def test_a_persons_mark_decides(case: Case, state: str, fails: bool) -> None:
    case.xcoms["sla_watch", "marked"] = {"state": state, "clear_number": 0}
    if fails:
        with pytest.raises(AirflowFailException, match="somebody marked the run as failed"):
            case.run(install="skipped", test="skipped")
    else:
        case.run()


def test_a_mark_from_before_a_clear_counts_no_more(case: Case) -> None:
    case.xcoms["sla_watch", "marked"] = {"state": "failed", "clear_number": 0}
    case.clear_number = 1
    case.run(install="success", test="success")


def test_a_task_that_was_cleared_alone_is_waited_for(case: Case) -> None:
    with pytest.raises(TaskDeferred) as waits:
        case.run(plan=None)
    assert isinstance(waits.value.trigger, TasksEndedTrigger)
    assert waits.value.method_name == "tasks_ended"
    case.states["plan"] = "success"
    with pytest.raises(AirflowFailException, match="install: it left no reason"):
        case.result.tasks_ended(case.context, None)


@pytest.mark.asyncio
async def test_the_trigger_fires_when_the_others_have_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = [
        {"plan": "running", "result": "deferred", "sla_watch": "deferred"},
        {"plan": "success", "result": "deferred", "sla_watch": "deferred"},
    ]

    states = AsyncMock(side_effect=seen)
    monkeypatch.setattr("bakehouse.runs.triggers.comms.task_states", states)
    monkeypatch.setattr("bakehouse.runs.triggers.INTERVAL", 0.0)
    path, arguments = TasksEndedTrigger(["result", "sla_watch"]).serialize()
    assert path == f"{TasksEndedTrigger.__module__}.{TasksEndedTrigger.__qualname__}"
    trigger = TasksEndedTrigger(**arguments)
    monkeypatch.setattr(TasksEndedTrigger, "task_instance", Mock(dag_id="d", run_id="r"))
    assert [event async for event in trigger.run()] == [TriggerEvent(None)]
    assert states.await_count == 2
