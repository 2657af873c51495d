"""How the log of a failed task ends, in the words of Airflow's task runner and of structlog."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowNotFoundException
from structlog.testing import capture_logs

from bakehouse.core.errors import PermanentError, TransientError
from bakehouse.core.tasks import TaskKind
from bakehouse.operators.base import BakehouseOperator
from bakehouse.operators.failure_log import CLEAR, CORRECT, REPORT
from bakehouse.operators.retries import retry_arguments

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

TAIL = "the install failed: line 7\nThe last 2 lines of b-1:\n+ apt-get install nginx\nE: no"
FRAMES = ["Traceback (most recent call last):\n", '  File "x.py", line 1, in run\n']


class Fails(BakehouseOperator):
    """Raises what it is given."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def reconcile(self, context: Any) -> Any:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        raise self.error


def logged(
    error: Exception,
    *,
    try_number: int = 1,
    max_tries: int = 0,
    call: Callable[[BakehouseOperator, Any], Any] | None = None,
) -> list[MutableMapping[str, Any]]:
    """Run a task as Airflow's runner does, whose logger exists before the task runs."""
    task = Fails(
        error=error,
        task_id="t",
        sla=timedelta(hours=1),
        retries=max_tries,
        **retry_arguments(TaskKind.CALLS),
    )
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="t",
        try_number=try_number,
        max_tries=max_tries,
        xcom_push=lambda **_: None,
    )
    context: Any = {"ti": ti, "task": task}
    with capture_logs() as lines:
        runner = structlog.get_logger(logger_name="task").bind()
        try:
            (call or (lambda operator, given: operator.execute(given)))(task, context)
        except Exception:
            runner.exception("Task failed with exception")
            runner.info("::group::Post Execute")
            runner.info("Retry policy decision", action="retry")
            runner.info("::endgroup::")
    return [line for line in lines if "logger_name" in line]


def test_reason_comes_last_without_frames_and_the_serial_tail_once_before_it() -> None:
    lines = logged(PermanentError(TAIL))
    assert len(lines) == 1
    assert "exc_info" not in lines[0]
    assert lines[0]["log_level"] == "error"
    assert lines[0]["event"].splitlines() == [
        *TAIL.splitlines()[1:],
        "the install failed: line 7",
        CORRECT,
    ]


def test_failed_try_says_when_the_next_one_begins() -> None:
    *_, reason, remedy = logged(TransientError("lost"), max_tries=2)[-1]["event"].splitlines()
    assert reason == "lost"
    assert remedy.startswith("What to do: nothing yet; try 2 of 3 begins in ")


def test_last_try_says_that_none_is_left() -> None:
    lines = logged(TransientError("lost"), try_number=3, max_tries=2)
    assert lines[-1]["event"] == f"lost\n{CLEAR}"


def test_programming_error_is_named_last_and_its_frames_are_kept() -> None:
    lines = logged(KeyError("zone"))
    assert lines[-1]["event"] == f"KeyError: 'zone'\n{REPORT}"
    assert "exc_info" not in lines[-1]


def test_frames_of_a_programming_error_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    logged(KeyError("zone"))
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_missing_connection_is_a_mistake_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(AirflowNotFoundException("The conn_id `git` isn't defined"))
    assert lines[-1]["event"].endswith(CORRECT)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("last", "expected", "frames_logged"),
    [
        ("KeyError: 'zone'", "the trigger failed: KeyError: 'zone'", 1),
        ("bakehouse.core.errors.TransientError: no answer", "the trigger failed: no answer", 0),
    ],
)
def test_failed_trigger_says_its_own_reason(
    last: str, expected: str, frames_logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    kwargs = {"error": "Trigger failure", "traceback": [*FRAMES, last]}
    lines = logged(
        TransientError(""),
        call=lambda task, context: task.resume_execution("__fail__", kwargs, context),
    )
    assert lines[-1]["event"] == f"{expected}\n{CLEAR}"
    assert len(caplog.records) == frames_logged
