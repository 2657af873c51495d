"""What happens in Airflow's scheduler and API server when a run starts or ends.

Registered by the plugin. Airflow calls it with the run in its own database session and logs what it
raises, so a failure here costs a note or a deadline and never a run.
docs/decisions/0073-how-a-run-ends.md says why no task could do this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

from bakehouse.core.tasks import RESULT

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

BY_HAND = "manually set"  # Airflow's words when a person, and not the scheduler, ends a run


@hookimpl
def on_starting(component: Any) -> None:  # ruff: ignore[unused-function-argument]  Airflow passes it by this name
    """Judge missed deadlines and note what waits: of all components the scheduler finds both."""
    from bakehouse.runs import waits
    from bakehouse.runs.deadlines import judge_misses

    judge_misses()
    waits.watch()


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # ruff: ignore[unused-function-argument]  as above
    """Begin anew, also after a clear: the clock of the SLAs, the result and the note."""
    if _is_ours(dag_run):
        from bakehouse.runs import ends

        ends.begin(dag_run)


@hookimpl
def on_dag_run_success(dag_run: DagRun, msg: str) -> None:
    """Note what was late."""
    _ended(dag_run, "success", msg)


@hookimpl
def on_dag_run_failed(dag_run: DagRun, msg: str) -> None:
    """Note why the run has failed, and what was late."""
    _ended(dag_run, "failed", msg)


def _ended(dag_run: DagRun, state: str, msg: str) -> None:
    if not _is_ours(dag_run):
        return
    from bakehouse.runs import ends

    if BY_HAND in msg:
        ends.marked(dag_run, state)
    if dag_run.state == state:
        ends.finish(dag_run)


def _is_ours(dag_run: DagRun) -> bool:
    """Whether the run's DAG ends as Bakehouse's do. It is the DAG of the run's version."""
    dag = dag_run.dag
    return dag is not None and "bakehouse" in (dag.tags or ()) and dag.has_task(RESULT)
