"""The step that only local builds have: keep the image, in the place of a promotion."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.bake.candidate import Candidate
from bakehouse.bake.plan import BakePlan
from bakehouse.core.errors import PermanentError
from bakehouse.images import labels
from bakehouse.images.links import labels_of
from bakehouse.operators.base import BakehouseOperator
from bakehouse.operators.reconcile import Done, Next, WaitForOperation

if TYPE_CHECKING:
    from airflow.sdk import Context


class KeepImage(BakehouseOperator):
    """Labels the image of a local build, which no family and no rollout ever gets."""

    def reconcile(self, context: Context) -> Next:
        """Label the image, with its end."""
        plan = self.received(context, "plan_bake", BakePlan)
        made = self.received(context, "label_image", Candidate)
        image = self.image_client(plan.kind).get(made.name)
        if image is None:
            raise PermanentError(f"{made.name} does not exist any more")
        is_tested = context["ti"].xcom_pull(task_ids="smoke_test") is not None
        state = labels.TESTED if is_tested else labels.UNTESTED
        if labels_of(image).get(labels.LOCAL) == state:
            return Done(made.name)
        layer = plan.layer.image_id if plan.layer else None
        changes: dict[str, str | None] = {
            labels.LOCAL_LAYER: layer,
            labels.LOCAL: state,
            labels.KEPT: "until-it-expires",
            labels.EXPIRES: labels.expiry(datetime.now(UTC) + labels.LOCAL_LIVES),
        }
        operation = self.image_client(plan.kind).label(image, changes)
        return WaitForOperation(operation, f"label {made.name}")
