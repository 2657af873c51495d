"""The last task of a run, whose state is the run's; docs/decisions/0073-how-a-run-ends.md."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator
from typing_extensions import override

from bakehouse.core.errors import PermanentError
from bakehouse.core.tasks import REASON, RESULT, WATCH, TaskKind
from bakehouse.operators.airflow_errors import as_airflow_errors
from bakehouse.operators.failure_log import say_last
from bakehouse.operators.retries import retry_arguments
from bakehouse.runs.result import MARK, Mark, failure, unfinished

if TYPE_CHECKING:
    from airflow.sdk import Context

EXECUTION_TIMEOUT = timedelta(minutes=15)
REMEDY = "What to do: correct that, then clear the failed tasks, or trigger the DAG again"
NOT_JUDGED = frozenset({RESULT, WATCH})


class RunResult(BaseOperator):
    """Fails with the reason of the first failed task, or when a person marked the run as failed.

    A teardown, so that it runs when a person ends the run, and the only leaf that counts for the
    run's state.
    """

    @override
    def execute(self, context: Context) -> None:
        """Say how the run has ended.

        Behind the last tasks it comes last, unless a task was cleared without those behind it.
        """
        states = self._states(context)
        if waiting := unfinished(states, NOT_JUDGED):
            from bakehouse.runs.triggers import TasksEndedTrigger

            self.log.info("waiting for %s", ", ".join(waiting))
            self.defer(trigger=TasksEndedTrigger(list(NOT_JUDGED)), method_name="tasks_ended")
        self._judge(context, states)

    def tasks_ended(self, context: Context, event: Any = None) -> None:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Say how the run has ended, now that it has."""
        self._judge(context, self._states(context))

    def _states(self, context: Context) -> dict[str, str | None]:
        ti: Any = context["ti"]
        states: dict[str, str | None] = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id])[
            ti.run_id
        ]
        return states

    def _judge(self, context: Context, states: dict[str, str | None]) -> None:
        ti: Any = context["ti"]
        order = [task.task_id for task in context["dag"].topological_sort()]
        ours = [task_id for task_id in order if task_id not in NOT_JUDGED]

        def reason_of(task_id: str, index: int | None) -> str | None:
            at = {} if index is None else {"map_indexes": index}
            found = ti.xcom_pull(task_ids=task_id, key=REASON, **at)
            return str(found) if found else None

        reason = failure(ours, states, _mark(context), reason_of)
        if reason is not None:
            ti.xcom_push(key=REASON, value=reason)
            error = PermanentError(reason)
            say_last(context, error, REMEDY)
            with as_airflow_errors():
                raise error
        self.log.info("the run has succeeded")


def _mark(context: Context) -> Mark | None:
    """Return what a person has marked the run as, unless it was cleared since."""
    told = context["ti"].xcom_pull(task_ids=WATCH, key=MARK)
    mark = Mark.model_validate(told) if told else None
    run: Any = context["dag_run"]
    return mark if mark is not None and mark.clear_number == run.clear_number else None


def add_result(dag: DAG) -> RunResult:
    """Add the result behind all tasks of the DAG; call it when they are there."""
    last = [task for task in dag.tasks if not task.downstream_task_ids]
    result = RunResult(
        task_id=RESULT,
        retries=3,
        **retry_arguments(TaskKind.TEARDOWN),
        execution_timeout=EXECUTION_TIMEOUT,
        doc_md=(
            "The result of the run: fails, with the reason of the first failed task, if a task has"
            " failed or somebody marked the run as failed."
        ),
        dag=dag,
    )
    last >> result.as_teardown(on_failure_fail_dagrun=True)
    return result
