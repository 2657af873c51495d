"""The end of a try is told once, when its last process has ended."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.executors.local_executor import LocalExecutor
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.utils.state import TaskInstanceState

from devstack.executor import LastWordExecutor

SUCCESS, FAILED = TaskInstanceState.SUCCESS, TaskInstanceState.FAILED


def key(task: str = "smoke_test", attempt: int = 1) -> TaskInstanceKey:
    return TaskInstanceKey("bake__web", task, "run", attempt, -1)


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> LastWordExecutor:
    """Its processes are never started: what they would put into the queue is said by the test."""
    monkeypatch.setattr(LocalExecutor, "_process_workloads", lambda *_: None)
    return LastWordExecutor(parallelism=2)


def begin(executor: LastWordExecutor, *keys: TaskInstanceKey) -> None:
    executor._process_workloads([workload(one) for one in keys])


def workload(of: TaskInstanceKey) -> Any:
    return SimpleNamespace(key=of)


def told(executor: LastWordExecutor) -> dict[Any, Any]:
    return {one: state for one, (state, _) in executor.get_event_buffer().items()}


def test_the_end_of_the_first_process_is_kept_while_the_second_goes_on(
    executor: LastWordExecutor,
) -> None:
    begin(executor, key())
    begin(executor, key())  # the trigger was quicker than the word of the first process's end
    executor.change_state(key(), SUCCESS)
    assert told(executor) == {}
    executor.change_state(key(), FAILED)
    assert told(executor) == {key(): FAILED}


def test_it_is_kept_while_the_second_waits_for_a_slot(executor: LastWordExecutor) -> None:
    begin(executor, key())
    executor.running.add(key())
    executor.queued_tasks[key()] = workload(key())
    executor.change_state(key(), SUCCESS)
    assert told(executor) == {}
    assert executor.slots_available == 1, "its own slot is free for it, the other is taken"
    begin(executor, executor.queued_tasks.pop(key()).key)
    executor.change_state(key(), SUCCESS)
    assert told(executor) == {key(): SUCCESS}


def test_a_task_that_is_stuck_in_the_queue_can_be_failed(executor: LastWordExecutor) -> None:
    executor.queued_tasks[key()] = workload(key())
    executor.fail(key())
    assert told(executor) == {key(): FAILED}


def test_a_word_in_time_is_told_at_once(executor: LastWordExecutor) -> None:
    for _ in range(3):
        begin(executor, key())
        executor.change_state(key(), SUCCESS)
        assert told(executor) == {key(): SUCCESS}


def test_tries_and_tasks_are_kept_apart(executor: LastWordExecutor) -> None:
    begin(executor, key(), key(attempt=2), key("promote_image"))
    executor.change_state(key(), FAILED)
    executor.change_state(key("promote_image"), SUCCESS)
    assert told(executor) == {key(): FAILED, key("promote_image"): SUCCESS}


def test_the_end_of_what_was_never_begun_here_is_told(executor: LastWordExecutor) -> None:
    executor.fail(key())  # the scheduler's own word on a task that is stuck in its queue
    assert told(executor) == {key(): FAILED}
