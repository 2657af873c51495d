"""Write the event of a promotion into the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.bake.ledger_records import plan_fields
from bakehouse.history.bake_events import PromotionDetail, PromotionEvent
from bakehouse.history.recording import record

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.bake.plan import BakePlan
    from bakehouse.core.reasons import Reason


def record_promotion(
    context: Context, plan: BakePlan, reason: Reason, detail: PromotionDetail
) -> None:
    """Record that this run's image was promoted, or became an image of the history."""
    fields = plan_fields(context, plan)
    record(PromotionEvent(**fields, image=plan.image_name, reason=reason, detail=detail))
