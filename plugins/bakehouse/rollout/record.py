"""Write the events of a rollout into the ledger: one for each member and one for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from bakehouse.core.reasons import Reason
from bakehouse.core.run_params import triggered_by
from bakehouse.history.recording import record, run_fields
from bakehouse.history.rollout_events import (
    ImageRolledBackDetail,
    ImageRolledBackEvent,
    MemberDetail,
    MemberOutcome,
    MemberReplacedEvent,
    MemberReplacedFailedEvent,
    MemberRolledBackEvent,
    MemberRolledBackFailedEvent,
    MemberSkippedDetail,
    MemberSkippedEvent,
    PlannedMember,
    RolloutEndedDetail,
    RolloutEndedEvent,
    RolloutPlannedDetail,
    RolloutPlannedEvent,
)
from bakehouse.images.links import resource_name
from bakehouse.rollout.events import MovedInstance
from bakehouse.rollout.rollout_states import RolloutState
from bakehouse.rollout.states import REACHED, STUCK, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow.sdk import Context

    from bakehouse.rollout.blame import Blame
    from bakehouse.rollout.events import GroupMoved
    from bakehouse.rollout.plan import Change, RolloutPlan, Target
    from bakehouse.rollout.strategies.mig import GroupMove
    from bakehouse.rollout.strategies.swap import Swap


class ImageFields(TypedDict):
    """The fields of the image that a fleet or a member moves to."""

    recipe: str
    image: str
    git_sha: str


def record_plan(context: Context, plan: RolloutPlan) -> None:
    """Record the plan of a rollout, and each member that it skips."""
    stages = plan.names_of_stages
    only = {change.name: change.only_disk for change in plan.changes if change.only_disk}
    event = RolloutPlannedEvent(
        **run_fields(context),
        **_image(plan.image),
        reason=_of_plan(plan) if any(stages) else Reason.NOTHING_TO_REPLACE,
        subject=plan.fleet,
        detail=RolloutPlannedDetail(
            fleet=plan.fleet,
            image_id=plan.image.id,
            stages=stages,
            only_disk=only,
            members=tuple(_planned(change) for change in plan.changes),
            packages={i.name: i.packages or f"unknown, {i.unknown}" for i in plan.images},
            left={str(reason): count for reason, count in plan.left.items()},
            blockers=tuple(f"{blocker.what}: {blocker.why}" for blocker in plan.blockers),
            max_unavailable=plan.rules.max_unavailable if plan.rules is not None else None,
            seconds=plan.forecast.seconds if plan.forecast is not None else None,
            ends=plan.forecast.end if plan.forecast is not None else None,
            depends_on=plan.forecast.blocker if plan.forecast is not None else "",
            plan_only=plan.plan_only,
            by=triggered_by(context["dag_run"]),
        ),
    )
    record(event)
    for skipped in plan.skipped:
        detail = MemberSkippedDetail(fleet=plan.fleet, member=skipped.name, why=skipped.detail)
        _record_skipped(context, plan.image, skipped.reason, detail)


def record_halted(context: Context, swap: Swap, why: str) -> None:
    """Record a member that was not changed because another one had failed."""
    detail = MemberSkippedDetail(
        fleet=swap.fleet,
        member=swap.member,
        why=why,
        image_id=swap.image.id,
        zone=swap.zone,
        instance_id=swap.id,
        disk=swap.disk,
        old_image=resource_name(swap.old.image),
        old_image_id=swap.old.image_id,
    )
    _record_skipped(context, swap.image, Reason.LINE_HALTED, detail)


def record_member(
    context: Context,
    swap: Swap,
    state: str,
    why: str,
    seconds: float | None,
    cause: str | None = None,
) -> None:
    """Record the outcome of a member's replacement or roll-back."""
    replaced = state in REACHED
    event = _MEMBER_EVENTS[swap.way, replaced]
    detail = MemberDetail(
        fleet=swap.fleet,
        member=swap.member,
        zone=swap.zone,
        instance_id=swap.id,
        disk=swap.disk,
        image_id=swap.image.id,
        old_image=resource_name(swap.old.image),
        old_image_id=swap.old.image_id,
        state=state,
        why=why,
        seconds=seconds,
        cause=cause or "",
        first_try=swap.first_try,
    )
    record(
        event(
            **run_fields(context),
            **_image(swap.image),
            reason=_member_reason(swap, state),
            subject=swap.member,
            detail=detail,
        )
    )


def record_instances(
    context: Context,
    move: GroupMove,
    state: str,
    moved: GroupMoved,
    instances: Iterable[MovedInstance],
    boot_disks: Mapping[str, str],
) -> None:
    """Record the instances of a group that a move has made, and how it failed.

    A failure that is no instance's own is the group's.
    """
    good = [one for one in instances if not one.why]
    ill = [one for one in instances if one.why]
    told = [(one, State.REPLACED.value, one.why or "healthy") for one in good]
    if state != State.REPLACED:
        whole = MovedInstance(name=move.member, id=move.id)
        told += [(one, state, one.why) for one in ill] or [(whole, state, moved.why)]
    for one, how, why in told:
        detail = MemberDetail(
            fleet=move.fleet,
            member=one.name,
            zone=move.zone,
            instance_id=one.id,
            disk=boot_disks.get(one.name, ""),
            image_id=move.image.id,
            old_image=resource_name(move.old_image),
            old_image_id=move.old_image_id,
            state=how,
            why=why,
            seconds=moved.seconds,
            cause="" if how == State.REPLACED else (moved.cause or ""),
            first_try=moved.first_try if f"{one.name}: " in moved.first_try else "",
        )
        event = _MEMBER_EVENTS[move.way, how == State.REPLACED]
        reason = _reason(move.way, how)
        record(
            event(
                **run_fields(context),
                **_image(move.image),
                reason=reason,
                subject=one.name,
                detail=detail,
            )
        )


def record_end(
    context: Context,
    plan: RolloutPlan,
    reason: Reason,
    outcomes: Iterable[MemberOutcome],
    state: RolloutState,
    *,
    failed_here: bool,
    partial: bool = False,
) -> None:
    """Record the outcome of a rollout; one that was stopped may go on, and end once more.

    `partial`: of the members that its form names.
    """
    again = getattr(context["dag_run"], "clear_number", 0)
    subject = f"{plan.fleet} stopped {again}" if state is RolloutState.STOPPED else plan.fleet
    detail = RolloutEndedDetail(
        fleet=plan.fleet,
        image_id=plan.image.id,
        outcomes=tuple(outcomes),
        state=state,
        failed_here=failed_here,
        partial=partial,
    )
    event = RolloutEndedEvent(
        **run_fields(context),
        **_image(plan.image),
        reason=reason,
        subject=subject,
        detail=detail,
    )
    record(event)


def record_blame(context: Context, plan: RolloutPlan, blamed: Blame) -> None:
    """Record that a rollout takes its image out of its family, and because of whom."""
    detail = ImageRolledBackDetail(
        fleet=plan.fleet, image_id=plan.image.id, members=blamed.members, newest=blamed.newest
    )
    event = ImageRolledBackEvent(
        **run_fields(context),
        **_image(plan.image),
        reason=Reason.ROLLED_BACK,
        subject=plan.fleet,
        detail=detail,
    )
    record(event)


_MEMBER_EVENTS = {
    ("forward", True): MemberReplacedEvent,
    ("forward", False): MemberReplacedFailedEvent,
    ("back", True): MemberRolledBackEvent,
    ("back", False): MemberRolledBackFailedEvent,
}


def _of_plan(plan: RolloutPlan) -> Reason:
    return Reason.NEW_METADATA if plan.is_config else Reason.NEW_IMAGE


def _member_reason(swap: Swap, state: str) -> Reason:
    if swap.metadata is not None and swap.way == "forward" and state == State.REPLACED:
        return Reason.NEW_METADATA
    return _reason(swap.way, state)


def _reason(way: str, state: str) -> Reason:
    if state in REACHED:
        return Reason.NEW_IMAGE if way == "forward" else Reason.STAGE_FAILED
    if state == STUCK and way == "back":
        return Reason.NOT_ROLLED_BACK
    if state == State.BLOCKED:
        return Reason.GATE_CLOSED
    if state == STUCK:
        return Reason.NOT_REPLACED
    return Reason.NOT_HEALTHY if state == State.UNHEALTHY else Reason.MEMBER_LOST


def _record_skipped(
    context: Context, image: Target, reason: Reason, detail: MemberSkippedDetail
) -> None:
    event = MemberSkippedEvent(
        **run_fields(context),
        **_image(image),
        reason=reason,
        subject=detail.member,
        detail=detail,
    )
    record(event)


def _planned(change: Change) -> PlannedMember:
    image = resource_name(change.old.image)
    return PlannedMember(member=change.name, old_image=image, way_back=change.way_back.value)


def _image(image: Target) -> ImageFields:
    return {"recipe": image.recipe, "image": image.name, "git_sha": image.git_sha}
