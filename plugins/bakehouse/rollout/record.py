"""What a rollout writes into the ledger: one event for each member and one for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.core.reasons import Reason
from bakehouse.history.recording import record_event
from bakehouse.images.links import resource_name
from bakehouse.rollout.plan import RolloutPlan, Target
from bakehouse.rollout.strategies.swap import Swap

if TYPE_CHECKING:
    from airflow.sdk import Context


def record_member(context: Context, kind: str, reason: Reason, swap: Swap, **detail: Any) -> None:
    """What happened to one member, with the image it had and the one it was to have."""
    found = {"member": swap.member, "zone": swap.zone, "instance_id": swap.id, "disk": swap.disk}
    images = {"old_image_id": swap.old.image_id, "old_image": resource_name(swap.old.image)}
    fleet = {"fleet": swap.fleet, "image_id": swap.image.id}
    _write(context, kind, reason, swap.image, swap.member, fleet | found | images | detail)


def record_plan(context: Context, plan: RolloutPlan) -> None:
    """What a rollout is about to do, and each member that it leaves alone."""
    stages = [[change.name for change in stage] for stage in plan.stages]
    detail = {"fleet": plan.fleet, "stages": stages, "image_id": plan.image.id}
    reason = Reason.NEW_IMAGE if plan.changes else Reason.NOTHING_TO_REPLACE
    _write(context, "rollout_planned", reason, plan.image, plan.fleet, detail)
    for skipped in plan.skipped:
        about = {"fleet": plan.fleet, "member": skipped.name, "detail": skipped.detail}
        _write(context, "member_skipped", skipped.reason, plan.image, skipped.name, about)


def record_end(context: Context, plan: RolloutPlan, reason: Reason, **detail: Any) -> None:
    """How a rollout ended."""
    about = {"fleet": plan.fleet, "image_id": plan.image.id, **detail}
    _write(context, "rollout_ended", reason, plan.image, plan.fleet, about)


def _write(
    context: Context,
    kind: str,
    reason: Reason,
    image: Target,
    subject: str,
    detail: dict[str, Any],
) -> None:
    record_event(
        context,
        kind,
        reason,
        subject=subject,
        recipe=image.recipe,
        image=image.name,
        git_sha=image.git_sha,
        detail=detail,
    )
