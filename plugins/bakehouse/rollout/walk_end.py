"""Why a member's walk has ended as it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.cloud.operations import instance_events
from bakehouse.core.errors import FINAL, RETRYABLE, ZoneUnavailable
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.health import explain
from bakehouse.rollout.moves import IllegalMove
from bakehouse.rollout.second_try import STOPS_AT_MOST, Cause, taken_away
from bakehouse.rollout.states import Resumed, State
from bakehouse.rollout.turns import NotItsTurn
from bakehouse.rollout.walk_terms import GateClosed, GateOpened, TooLate

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.rollout.handover import Handover
    from bakehouse.rollout.observation import Goal, MemberObservation
    from bakehouse.rollout.strategies.swap import Swap

ENDINGS = (IllegalMove, NotItsTurn, GateClosed, GateOpened, *FINAL, *RETRYABLE)
"""What ends a walk before its member has come to an end."""


def ended_by(error: Exception, state: State | None) -> SwapEnded:
    """Return the end of a walk by one of ENDINGS, with its member in `state`."""
    why = str(error)
    match error:
        case IllegalMove():
            # its new disk is gone; any other move is of somebody who changes the instance
            is_disk = error.after is State.PENDING
            return SwapEnded(why=why, cause=Cause.NO_DISK if is_disk else Cause.GONE)
        case NotItsTurn():
            return SwapEnded(why=why, held=True)
        case GateClosed():
            return SwapEnded(state=state, why=why, closed=why)
        case GateOpened():
            return SwapEnded(state=state, why=why, opened=True)
        case TooLate():
            return SwapEnded(why=why, transient=True, cause=error.cause)
        case _ if isinstance(error, FINAL):
            return SwapEnded(why=why)
    is_full = isinstance(error, ZoneUnavailable)
    return SwapEnded(why=why, transient=True, cause=Cause.STOCK_OUT if is_full else None)


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
