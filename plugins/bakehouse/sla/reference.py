"""What a run's deadline counts from; docs/decisions/0073-how-a-run-ends.md says why not Airflow's.

Airflow 3.3 moves the deadlines of a run that is cleared only when they count from its own
`DAGRUN_QUEUED_AT`, and there it takes the interval for a number, which it no longer is: each clear
of a run with a pending deadline is answered with 500.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow.sdk.definitions.deadline import BaseDeadlineReference
from typing_extensions import override

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class RunQueued(BaseDeadlineReference):
    """When a run was queued. The plugin registers it; Airflow evaluates it for a new run.

    `bakehouse.runs.deadlines` counts from the start of the run as soon as there is one.
    """

    required_kwargs = frozenset({"dag_id", "run_id"})

    @property
    @override
    def reference_name(self) -> str:
        """What the header of a run shows: "must complete within 10 minutes of the run's start"."""
        return "the run's start"

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime:
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        wanted = select(DagRun.queued_at).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
        return session.scalar(wanted) or datetime.now(UTC)
