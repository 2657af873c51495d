"""Tell a member's own failure from its image's, and whether the member is tried once more. Pure.

A member that fails for a reason of its own (its disk, its host, its zone, a boot that says nothing)
is tried once more, on a fresh disk, before its image is blamed. What the image's own health check
says is believed at once. A second silence in a row, on another disk, is the image's too; a lost
host or a zone without capacity never is.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from bakehouse.rollout.health import HealthAssessment, assess_health
from bakehouse.rollout.states import Disk, Resumed, State, Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.rollout.observation import Goal, MemberObservation


class Cause(StrEnum):
    """Why a try ended without a healthy member."""

    SAID_UNHEALTHY = "said_unhealthy"  # the image's health check
    SILENT = "silent"  # it runs, and has not reported within its time
    POWERED_OFF = "powered_off"  # it stopped by itself while it booted, more than once
    NOT_STARTED = "not_started"  # Compute Engine was asked to start it, and did not
    HOST_LOST = "host_lost"  # its host failed, or it was preempted
    STOCK_OUT = "stock_out"  # its zone has no capacity
    NOT_RESUMED = "not_resumed"  # it is healthy, and could not be given its load again
    NOT_RENDERED = "not_rendered"  # its metadata changed, and it is not well with them
    NO_DISK = "no_disk"  # its new disk failed, was deleted, or is somebody else's
    GONE = "gone"  # the instance was deleted, recreated, or is in other hands

    @property
    def text(self) -> str:
        """The second half of a sentence about a member."""
        return _TEXTS[self]


_TEXTS = {
    Cause.SAID_UNHEALTHY: "its health check failed",
    Cause.SILENT: "it has not reported in time",
    Cause.POWERED_OFF: "it stopped by itself while it booted",
    Cause.NOT_STARTED: "it does not start",
    Cause.HOST_LOST: "its host was lost",
    Cause.STOCK_OUT: "its zone has no capacity",
    Cause.NOT_RESUMED: "it could not be given its load again",
    Cause.NOT_RENDERED: "its change of metadata failed",
    Cause.NO_DISK: "its new disk cannot be used",
    Cause.GONE: "the instance is gone, or somebody else manages it",
}

TRIED_AGAIN = frozenset(Cause) - {
    Cause.SAID_UNHEALTHY,
    Cause.NOT_RESUMED,
    Cause.NOT_RENDERED,
    Cause.GONE,
}
"""Causes that a fresh disk, or another moment, may cure: the member's own until it fails again."""

OF_THE_IMAGE = frozenset({Cause.SAID_UNHEALTHY, Cause.NOT_RESUMED, Cause.SILENT, Cause.POWERED_OFF})
"""Causes of a last try for which the image is blamed."""

STOPS_AT_MOST = 1
"""How often a member may stop while it boots, and is started again; the next time, the try ends."""

_TAKEN_AWAY = frozenset(
    {
        "compute.instances.preempted",
        "compute.instances.hostError",
        "compute.instances.terminateOnHostMaintenance",
    }
)
_ATTACH = "attachDisk"


def cause_of(state: State, observed: MemberObservation, goal: Goal, *, stops: int = 0) -> Cause:
    """Return why a try ended in `state`, UNHEALTHY or LOST; see `taken_away` for lost hosts.

    Args:
        state: the last one.
        observed: the resources then.
        goal: what the member was to reach.
        stops: how often it has stopped while it booted.
    """
    if state is State.LOST:
        is_there = observed.instance_id == goal.instance_id or observed.is_ours
        may_be_absent = observed.instance_id is None and goal.strategy.inserts
        is_disk = (is_there or may_be_absent) and observed.goal_disk in {Disk.TAKEN, Disk.BROKEN}
        return Cause.NO_DISK if is_disk else Cause.GONE
    if goal.strategy is Strategy.RENDER:
        return Cause.NOT_RENDERED
    assessed = assess_health(observed.health, goal.image or "", goal.before)
    if assessed is HealthAssessment.HEALTHY and observed.resumed is Resumed.FAILED:
        return Cause.NOT_RESUMED
    if assessed in {HealthAssessment.UNHEALTHY, HealthAssessment.BUSY}:
        return Cause.SAID_UNHEALTHY
    return Cause.POWERED_OFF if stops > STOPS_AT_MOST else Cause.SILENT


def late_in(state: State | None) -> Cause | None:
    """Return the cause of a try whose time is over in `state`; None if a fresh disk is no help."""
    if state is State.PREPARING:
        return Cause.NO_DISK
    if state in {State.ABSENT, State.LOADED, State.STARTING}:
        return Cause.NOT_STARTED
    return Cause.SILENT if state is State.BOOTING else None


def taken_away(kinds: Iterable[str]) -> bool:
    """Whether Compute Engine took the machine away since its present boot disk was attached.

    Args:
        kinds: of the operations on the instance, newest first.
    """
    for kind in kinds:
        if kind == _ATTACH:
            return False
        if kind in _TAKEN_AWAY:
            return True
    return False


def stopped_while_it_booted(before: State | None, after: State) -> bool:
    """Whether a transition is a stop that nobody has asked for."""
    return before in {State.STARTING, State.BOOTING} and after in {State.STOPPING, State.LOADED}
