"""How the owner of a lease fares, as a task is told by Airflow."""

from __future__ import annotations

from typing import Any, cast

import pytest
from airflow.sdk import DagRunState
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from bakehouse.core.errors import TransientError
from bakehouse.lease.builder_slots import run_state
from bakehouse.lease.lease import Owner

OWNER = Owner(dag_id="bake__web", run_id="scheduled__1")


class Ti:
    def __init__(self, answer: DagRunState | str | Exception) -> None:
        self.answer = answer

    def get_dagrun_state(self, dag_id: str, run_id: str) -> DagRunState | str:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def told(answer: DagRunState | str | Exception) -> str | None:
    return run_state(cast("Any", {"ti": Ti(answer)}), OWNER)


def refused(status: int) -> AirflowRuntimeError:
    detail = {"status_code": status, "message": "no"}
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))


@pytest.mark.parametrize("state", list(DagRunState))
def test_the_state_is_its_plain_name(state: DagRunState) -> None:
    """`str()` of Airflow's enum is `DagRunState.SUCCESS`: nobody would ever have ended."""
    assert told(state) == told(state.value) == state.value
    assert type(told(state)) is str


def test_a_run_that_airflow_does_not_know_has_no_state() -> None:
    assert told(refused(404)) is None


def test_an_airflow_that_does_not_answer_is_no_ended_run() -> None:
    with pytest.raises(TransientError, match="bake__web scheduled__1"):
        told(refused(500))
