"""Write the events of a smoke test into the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.bake.ledger_records import plan_fields
from bakehouse.history.bake_events import CheckRecord, VerdictDetail, VerdictEvent
from bakehouse.history.recording import record

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.bake.plan import BakePlan
    from bakehouse.smoke.evaluation import SmokeResult


def record_verdict(context: Context, plan: BakePlan, result: SmokeResult) -> None:
    """Record the result of the candidate, check by check."""
    detail = VerdictDetail(
        message=result.message,
        checks=tuple(
            CheckRecord.model_validate(check, from_attributes=True) for check in result.checks
        ),
        ready_seconds=result.ready_seconds,
    )
    fields = plan_fields(context, plan)
    record(VerdictEvent(**fields, image=plan.image_name, reason=result.reason, detail=detail))
