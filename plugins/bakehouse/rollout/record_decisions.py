"""Write into the ledger what people decide of a fleet: holds, and newer formats of its data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.core.run_params import triggered_by
from bakehouse.history.fleet_events import (
    HoldReleasedDetail,
    HoldReleasedEvent,
    ImageHeldDetail,
    ImageHeldEvent,
)
from bakehouse.history.recording import record, run_fields
from bakehouse.history.rollout_events import (
    DataFinalisedDetail,
    DataFinalisedEvent,
)
from bakehouse.images.labels import GIT_SHA
from bakehouse.images.links import labels_of
from bakehouse.images.selection import created_at
from bakehouse.rollout.orders import NONE

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.history.holds import Hold
    from bakehouse.images.links import Resource
    from bakehouse.rollout.finalising import Finalisation
    from bakehouse.rollout.orders import Answer
    from bakehouse.rollout.plan import RolloutPlan


def record_hold(context: Context, plan: RolloutPlan, bad: Resource, why: str) -> None:
    """Record that a fleet is held from an image, because a person rolls it back from there."""
    detail = ImageHeldDetail(
        fleet=plan.fleet,
        image_id=str(bad["id"]),
        created=created_at(bad),
        instead=plan.image.name,
        instead_id=plan.image.id,
        by=triggered_by(context["dag_run"]),
        why=why,
    )
    event = ImageHeldEvent(
        **run_fields(context),
        recipe=plan.image.recipe,
        image=str(bad["name"]),
        git_sha=labels_of(bad).get(GIT_SHA),
        reason=Reason.HELD,
        subject=plan.fleet,
        detail=detail,
    )
    record(event)


def record_release(context: Context, hold: Hold, why: str) -> None:
    """Record that a person has released the hold of a fleet."""
    by = triggered_by(context["dag_run"])
    event = HoldReleasedEvent(
        **run_fields(context),
        image=hold.image,
        reason=Reason.HOLD_RELEASED,
        subject=hold.fleet,
        detail=HoldReleasedDetail(fleet=hold.fleet, by=by, why=why),
    )
    record(event)


def record_finalised(
    context: Context,
    found: Finalisation,
    *,
    recipe: str,
    member: str,
    answer: Answer,
    by: str,
    why: str,
) -> None:
    """Record that a fleet's data were told to get their newest formats, and the answer."""
    is_done = answer.is_ok and answer.state != NONE
    detail = DataFinalisedDetail(
        fleet=found.fleet,
        image_id=found.image_id,
        member=member,
        before=found.has,
        after=answer.formats,
        state=answer.state,
        said=answer.line,
        approved_by=by,
        why=why,
    )
    event = DataFinalisedEvent(
        **run_fields(context),
        recipe=recipe,
        image=found.image,
        reason=Reason.FINALISED if is_done else Reason.NOT_FINALISED,
        subject=found.fleet,
        detail=detail,
    )
    record(event)
