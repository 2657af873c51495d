"""Walks the steps of `housekeeping` and `revoke` as Airflow would, against a real localgce."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.sdk import DagRunState
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from tests.integration.bake.walk import perform

from bakehouse.housekeeping.compact_operator import CompactLedger
from bakehouse.housekeeping.drift_operator import ShowDrift
from bakehouse.housekeeping.fixes_operator import AskForFixes, FindMissingFixes
from bakehouse.housekeeping.retire_operators import PlanRetire, Retire
from bakehouse.housekeeping.revoke_operators import (
    FindImage,
    MarkDescendants,
    NameMembers,
    RevokeImage,
)
from bakehouse.housekeeping.sweep_operators import PlanSweep, Sweep

if TYPE_CHECKING:
    from bakehouse.housekeeping.inventory_operator import InventoryOperator

CONN = "house"
STEPS: dict[str, type[InventoryOperator]] = {
    "plan_sweep": PlanSweep,
    "sweep": Sweep,
    "plan_retire": PlanRetire,
    "retire": Retire,
    "show_drift": ShowDrift,
    "compact_ledger": CompactLedger,
    "find_missing_fixes": FindMissingFixes,
    "ask_for_fixes": AskForFixes,
    "find_image": FindImage,
    "revoke_image": RevokeImage,
    "mark_descendants": MarkDescendants,
    "name_members": NameMembers,
}


class Walk:
    """One run; `states` are Airflow's of other runs, those not in it are unknown."""

    def __init__(
        self,
        run_id: str,
        include: str,
        states: dict[str, str] | None = None,
        run_type: str = "scheduled",
        **params: Any,
    ) -> None:
        self.run_id, self.include, self.states = run_id, include, states or {}
        self.params = {"dry_run": True, "recipe": ""} | params
        self.handed: dict[str, Any] = {}
        self.tries: dict[str, int] = {}
        self.run = SimpleNamespace(
            run_type=DagRunType(run_type), run_after=datetime.now(UTC), data_interval_end=None
        )

    def through(self, *task_ids: str) -> Any:
        """The next try of each; what the last one hands on."""
        value = None
        for task_id in task_ids:
            value = self.try_(task_id)
        return value

    def try_(self, task_id: str) -> Any:
        """What it hands on is kept."""
        self.tries[task_id] = self.tries.get(task_id, 0) + 1
        step = STEPS[task_id](
            task_id=task_id, include=self.include, sla=timedelta(hours=1), gcp_conn_id=CONN
        )
        context = self._context(task_id)
        value = perform(step, context, [])
        self.handed[task_id] = json.loads(json.dumps(value))  # an XCom is JSON
        return value

    def _context(self, task_id: str) -> Any:
        ti = SimpleNamespace(
            dag_id="housekeeping",
            run_id=self.run_id,
            task_id=task_id,
            try_number=self.tries[task_id],
            xcom_pull=lambda task_ids: self.handed.get(task_ids),
            get_dagrun_state=self._state,
        )
        return {"ti": ti, "dag_run": self.run, "params": self.params}

    def _state(self, dag_id: str, run_id: str) -> DagRunState:  # ruff: ignore[unused-method-argument]  as in the class that it replaces
        if run_id not in self.states:
            detail = {"status_code": 404, "message": "no such run"}
            raise AirflowRuntimeError(
                ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail)
            )
        return DagRunState(self.states[run_id])
