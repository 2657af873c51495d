"""Pins what `supervisor_comms` uses of Airflow's task-execution interface, which is not public."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from bakehouse.triggers import supervisor_comms as comms


class Supervisor:
    """Answers as the triggerer's supervisor does, with Airflow's own message classes."""

    def __init__(self) -> None:
        self.xcoms: dict[str, Any] = {}

    async def asend(self, message: Any) -> Any:
        from airflow.sdk.execution_time import comms as messages

        match message:
            case messages.GetTaskStates():
                states = {run_id: {"create_image": "running"} for run_id in message.run_ids or []}
                return messages.TaskStatesResult(task_states=states)
            case messages.GetDagRunState():
                return messages.DagRunStateResult.model_validate({"state": "running"})
            case messages.SetXCom():
                self.xcoms[message.key] = message.value
                return None
            case messages.GetXCom():
                return messages.XComResult(key=message.key, value=self.xcoms.get(message.key))
        raise AssertionError(f"not expected: {message!r}")


class Instance:
    dag_id, run_id, task_id, map_index = "bake__web", "manual__1", "sla_watch", -1


@pytest.fixture(autouse=True)
def supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(), raising=False)


async def test_states_of_a_run() -> None:
    assert await comms.task_states("bake__web", "manual__1") == {"create_image": "running"}


async def test_state_of_another_run() -> None:
    assert await comms.dag_run_state("roll_out__web", "manual__2") == "running"


async def test_what_is_written_is_read_again() -> None:
    await comms.set_xcom(Instance(), "offset", 42)
    assert await comms.get_xcom(Instance(), "offset") == 42


def test_the_triggerer_passes_these_messages_on() -> None:
    from airflow.jobs.triggerer_job_runner import ToTriggerSupervisor

    union, _ = get_args(ToTriggerSupervisor)
    names = {message.__name__ for message in get_args(union)}
    assert {"GetTaskStates", "GetDagRunState", "GetXCom", "SetXCom"} <= names
