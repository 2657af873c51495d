"""What a task writes into the ledger, and what its events have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypedDict

from bakehouse.history.ledger import Ledger
from bakehouse.history.location import ledger_url
from bakehouse.history.metric_export import export
from bakehouse.history.metrics import metrics_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.history.events import LedgerEvent


class RunFields(TypedDict):
    """The fields that every event of a task's run has."""

    time: datetime
    at: datetime
    dag_id: str
    run_id: str
    task_id: str


def record(event: LedgerEvent) -> None:
    """Write the event; a retry writes the same object, and what was said first stands.

    Then its metrics are sent.
    """
    Ledger(ledger_url()).write(event)
    export(metrics_of(event))


def run_fields(context: Context) -> RunFields:
    """Those of the task that is running, at the run's own time."""
    ti, run = context["ti"], context["dag_run"]
    return {
        "time": run.data_interval_end or run.run_after,
        "at": datetime.now(UTC),
        "dag_id": ti.dag_id,
        "run_id": ti.run_id,
        "task_id": ti.task_id,
    }
