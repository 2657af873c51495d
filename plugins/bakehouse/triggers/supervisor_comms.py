"""What a trigger asks Airflow about its run.

The one place that speaks `airflow.sdk.execution_time.comms`, which Airflow does not call public:
tests/integration/triggers/test_supervisor_comms.py pins what is used here, so that an upgrade
that moves it fails there first.
"""

from __future__ import annotations

from typing import Any


async def task_states(dag_id: str, run_id: str) -> dict[str, str | None]:
    """`{task_id: state}` of a run; a mapped instance has the key `task_id_<map_index>`."""
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

    answer = await _ask(GetTaskStates(dag_id=dag_id, run_ids=[run_id]))
    return answer.task_states.get(run_id, {}) if isinstance(answer, TaskStatesResult) else {}


async def dag_run_state(dag_id: str, run_id: str) -> str | None:
    """State of a run, of any DAG; None when Airflow does not know it."""
    from airflow.sdk.execution_time.comms import DagRunStateResult, GetDagRunState

    answer = await _ask(GetDagRunState(dag_id=dag_id, run_id=run_id))
    return answer.state.value if isinstance(answer, DagRunStateResult) else None


async def get_xcom(ti: Any, key: str) -> Any:
    """A value that the task instance `ti` wrote; None when it did not."""
    from airflow.sdk.execution_time.comms import GetXCom, XComResult

    answer = await _ask(
        GetXCom(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index,
            key=key,
        )
    )
    return answer.value if isinstance(answer, XComResult) else None


async def set_xcom(ti: Any, key: str, value: Any) -> None:
    """Write a value of the task instance `ti`, at once, while it is deferred."""
    from airflow.sdk.execution_time.comms import SetXCom

    await _ask(
        SetXCom(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index,
            key=key,
            value=value,
        )
    )


async def _ask(message: Any) -> Any:
    from airflow.sdk.execution_time import task_runner

    return await task_runner.SUPERVISOR_COMMS.asend(message)
