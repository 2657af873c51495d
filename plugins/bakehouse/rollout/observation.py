"""Which state a member is in, by what was observed of its resources. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.rollout.health import Health, HealthAssessment, assess_health, late
from bakehouse.rollout.states import Consent, Disk, Rendered, Resumed, State, Strategy

if TYPE_CHECKING:
    from datetime import datetime


OFF = frozenset({"TERMINATED", "STOPPED"})


GOING_DOWN = frozenset({"STOPPING", "PENDING_STOP"})


COMING_UP = frozenset({"PROVISIONING", "STAGING", "REPAIRING", "PENDING"})


@dataclass(frozen=True)
class Goal:
    """The goal of a swap. A health report of the boot `before` does not count.

    `image` is None for an image without health reports: the instance must only run.
    """

    instance_id: str
    disk: str
    image: str | None
    before: str | None
    healthy_within: timedelta
    strategy: Strategy = Strategy.SWAP
    busy_limit: timedelta = timedelta(0)  # of one that counts; it has at least healthy_within


@dataclass(frozen=True)
class MemberObservation:
    """The observed resources; `instance_id` is None if the instance does not exist."""

    instance_id: str | None
    status: str = ""
    boot_disk: str | None = None
    goal_disk: Disk = Disk.ABSENT
    health: Health | None = None
    started: datetime | None = None
    is_ours: bool = False  # this run has created the instance
    is_left: bool = False  # what this run has made for a member that it has created
    consent: Consent = Consent.UNKNOWN
    resumed: Resumed = Resumed.DONE
    progress: datetime | None = None  # when a busy member has counted further
    rendered: Rendered = Rendered.NOT_YET


def read(observed: MemberObservation, goal: Goal, now: datetime) -> State:
    """Return the state of an observation."""
    if goal.strategy is Strategy.REMOVE:
        return _on_the_way_out(observed)
    if observed.instance_id is None and goal.strategy.inserts:
        return _WITHOUT_INSTANCE.get(observed.goal_disk, State.LOST)
    is_made = observed.is_ours and goal.strategy.inserts
    is_another = observed.instance_id != goal.instance_id and not is_made
    if is_another or observed.goal_disk is Disk.TAKEN:
        return State.LOST
    if goal.strategy is Strategy.RENDER:
        return _rendering(observed)
    if observed.boot_disk == goal.disk:
        return _on_the_goal(observed, goal, now)
    if observed.goal_disk is Disk.BROKEN:
        return State.LOST
    if observed.goal_disk is Disk.ABSENT:
        return State.PENDING
    if observed.goal_disk is Disk.CREATING:
        return State.PREPARING
    state = _on_another(observed)
    is_old = observed.instance_id == goal.instance_id
    if state is State.STOPPED and is_old and goal.strategy is Strategy.RECREATE:
        return State.OBSOLETE
    return state


_WITHOUT_INSTANCE = {
    Disk.ABSENT: State.PENDING,
    Disk.CREATING: State.PREPARING,
    Disk.READY: State.ABSENT,
}


def _on_the_way_out(observed: MemberObservation) -> State:
    """Return the state of a member that this run has created, and deletes again.

    It may serve by now, so that it is asked and drained as before any stop.
    """
    if observed.instance_id is None:
        return State.LEFTOVER if observed.is_left else State.REMOVED
    if not observed.is_ours:
        return State.LOST
    if observed.status in GOING_DOWN:
        return State.STOPPING
    is_asked = observed.status == "RUNNING" and observed.consent is not Consent.GIVEN
    return _BEFORE_THE_STOP[observed.consent] if is_asked else State.SURPLUS


_BEFORE_THE_STOP = {
    Consent.UNKNOWN: State.PREPARED,
    Consent.REFUSED: State.BLOCKED,
    Consent.GATES_OPEN: State.DRAINING,
    Consent.GIVEN: State.CLEARED,
}


_ONCE_HEALTHY = {
    Resumed.NOT_YET: State.RESUMING,
    Resumed.DONE: State.REPLACED,
    Resumed.FAILED: State.UNHEALTHY,
}


def _rendering(observed: MemberObservation) -> State:
    """Return the state of a member that keeps its disk: it is not stopped, but asked the same."""
    if observed.status != "RUNNING":
        return State.LOST
    if observed.rendered is Rendered.NOT_YET:
        is_given = observed.consent is Consent.GIVEN
        return State.RENDERING if is_given else _BEFORE_THE_STOP[observed.consent]
    return (
        State.UNHEALTHY if observed.rendered is Rendered.FAILED else _ONCE_HEALTHY[observed.resumed]
    )


def _on_another(observed: MemberObservation) -> State:
    if observed.status in GOING_DOWN:
        return State.STOPPING
    if observed.status in OFF:
        return State.BARE if observed.boot_disk is None else State.STOPPED
    # Running and on its way up are stopped alike: what comes up here is the image to be replaced.
    if observed.status not in {"RUNNING", *COMING_UP}:
        return State.LOST
    return _BEFORE_THE_STOP[observed.consent]


def _on_the_goal(observed: MemberObservation, goal: Goal, now: datetime) -> State:
    if observed.status in OFF:
        return State.LOADED
    if observed.status in GOING_DOWN:
        return State.STOPPING
    if observed.status in COMING_UP:
        return State.STARTING
    if observed.status != "RUNNING":
        return State.LOST
    if goal.image is None:
        return State.REPLACED
    verdict = assess_health(observed.health, goal.image, goal.before)
    if verdict is HealthAssessment.HEALTHY:
        return _ONCE_HEALTHY[observed.resumed]
    if verdict is HealthAssessment.BUSY:
        return State.UNHEALTHY if _too_busy(observed, goal, now) else State.BOOTING
    if verdict is HealthAssessment.UNHEALTHY or late(observed.started, goal.healthy_within, now):
        return State.UNHEALTHY
    return State.BOOTING


def _too_busy(observed: MemberObservation, goal: Goal, now: datetime) -> bool:
    """Whether a member that counts has not counted further in its time, or takes too long."""
    limit = max(goal.busy_limit, goal.healthy_within)
    further = max((t for t in (observed.started, observed.progress) if t), default=None)
    return late(observed.started, limit, now) or late(further, goal.healthy_within, now)
