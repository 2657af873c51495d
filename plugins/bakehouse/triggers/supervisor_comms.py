"""Reads a run's states and XComs from a trigger, and triggers runs from a task.

The only module that uses `airflow.sdk.execution_time.comms`, which is not a public API:
tests/integration/triggers/test_supervisor_comms.py tests what is used here, so that an incompatible
upgrade fails there.
"""

from __future__ import annotations

from typing import Any


async def task_states(
    dag_id: str, run_id: str, task_ids: list[str] | None = None
) -> dict[str, str | None]:
    """Return the states of a run's tasks; a mapped instance has the key `task_id_<map_index>`.

    `task_ids`: of these alone.
    """
    from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult

    answer = await _ask(GetTaskStates(dag_id=dag_id, run_ids=[run_id], task_ids=task_ids))
    return answer.task_states.get(run_id, {}) if isinstance(answer, TaskStatesResult) else {}


async def dag_run_state(dag_id: str, run_id: str) -> str | None:
    """Return the state of a run of any DAG; None if Airflow does not know it."""
    from airflow.sdk.execution_time.comms import DagRunStateResult, GetDagRunState

    answer = await _ask(GetDagRunState(dag_id=dag_id, run_id=run_id))
    return answer.state.value if isinstance(answer, DagRunStateResult) else None


async def get_xcom(ti: Any, key: str) -> Any:
    """Read an XCom of the task instance `ti`; None if there is none."""
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
    """Write an XCom of the task instance `ti` while it is deferred."""
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


def variable_or_error(key: str) -> tuple[str | None, str]:
    """Return the value of a Variable in Airflow's database, and why it could not be read.

    Without a supervisor, as in `dag.test()`, there is nobody to ask: no value, and no error.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, VariableResult

    supervisor = getattr(task_runner, "SUPERVISOR_COMMS", None)
    if supervisor is None:
        return None, ""
    try:
        answer = supervisor.send(GetVariable(key=key))
    except AirflowRuntimeError as refused:
        answer = refused.error
    if isinstance(answer, VariableResult):
        return answer.value, ""
    if isinstance(answer, ErrorResponse) and answer.error is ErrorType.VARIABLE_NOT_FOUND:
        return None, ""
    return None, str(getattr(answer, "detail", None) or getattr(answer, "error", answer))


def trigger_run(dag_id: str, run_id: str, conf: dict[str, Any], note: str) -> bool:
    """Trigger a run of any DAG, from a task; False if a run of this id exists.

    Raises:
        AirflowRuntimeError: Airflow refuses it, because it has no such DAG, say.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import ErrorResponse, TriggerDagRun

    message = TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=conf, note=note)
    answer = task_runner.SUPERVISOR_COMMS.send(message)
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error is ErrorType.DAGRUN_ALREADY_EXISTS:
        return False
    raise AirflowRuntimeError(answer)


async def _ask(message: Any) -> Any:
    from airflow.sdk.execution_time import task_runner

    return await task_runner.SUPERVISOR_COMMS.asend(message)
