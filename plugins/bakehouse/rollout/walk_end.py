"""Why a member's walk has ended as it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.cloud.operations import instance_events
from bakehouse.rollout.health import explain
from bakehouse.rollout.second_try import STOPS_AT_MOST, taken_away
from bakehouse.rollout.states import Resumed, State

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.rollout.handover import Handover
    from bakehouse.rollout.observation import Goal, MemberObservation
    from bakehouse.rollout.strategies.swap import Swap


def why_of(
    state: State | None,
    swap: Swap,
    goal: Goal,
    observed: MemberObservation,
    stops: int,
    handover: Handover | None,
) -> str:
    """Return the reason, for people; `stops`: how often it has stopped while it booted."""
    if state is State.LOST:
        return _lost(observed)
    if stops > STOPS_AT_MOST:
        return f"it stopped {stops} times while it booted"
    if handover is not None and handover.resumed is Resumed.FAILED:
        return handover.why_not_resumed
    if handover is not None and swap.metadata is not None:
        return handover.said
    return explain(observed.health, swap.image.name, goal.before)


def host_is_lost(hook: ComputeHook, swap: Swap) -> bool:
    """Whether Compute Engine's operations say that it has taken the member away."""
    events = instance_events(hook.operations(swap.zone), swap.member)
    return taken_away(event.kind for event in events)


def _lost(observed: MemberObservation) -> str:
    if observed.instance_id is None:
        return "the instance does not exist"
    return (
        f"instance {observed.instance_id} is {observed.status}, its next disk {observed.goal_disk}"
    )
