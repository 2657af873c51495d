"""The states of a member's swap: legal transitions, and the action of each state. Pure.

No state is stored: it is read from the resources (which disk is the boot disk, whether the
instance runs, what it reports), so that a trigger that was killed continues from the current state.
A stop is requested in one state only, while the instance runs on another disk than the goal's; no
transition leads back to it from behind the stop, so no member is stopped twice.

What a member has agreed to (`Consent`) is asked anew by a trigger that continues: an answer counts
while it is fresh, and a drain that was carried out is answered again, not carried out again.

A second try on a fresh disk and a roll-back use the same states with another goal. The drawing is
docs/rollouts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from bakehouse.rollout.health import Health, HealthAssessment, assess_health, late

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


class State(StrEnum):
    """The state of a member's swap."""

    PENDING = "pending"  # the goal's disk does not exist
    PREPARING = "preparing"  # ... is being made
    PREPARED = "prepared"  # ... is ready; the instance runs on another, and its stop is asked for
    BLOCKED = "blocked"  # ... a gate is closed
    DRAINING = "draining"  # ... the gates are open, and its load is being taken off
    CLEARED = "cleared"  # ... everything agrees to its stop
    STOPPING = "stopping"
    STOPPED = "stopped"  # off, the other disk still attached
    BARE = "bare"  # off, without a boot disk
    LOADED = "loaded"  # off, the goal's disk attached
    STARTING = "starting"
    BOOTING = "booting"  # runs on the goal's disk, nothing fresh said yet
    RENDERING = "rendering"  # of a change of metadata: it renders its files again
    RESUMING = "resuming"  # healthy on the goal's disk, and being given its load again
    UPDATING = "updating"  # of a managed instance group: it replaces its instances
    REPLACED = "replaced"
    UNHEALTHY = "unhealthy"  # said so, or said nothing within its time
    OBSOLETE = "obsolete"  # off; the instance is to be deleted and created again
    ABSENT = "absent"  # the goal's disk is ready, and there is no instance
    SURPLUS = "surplus"  # the way back of a member that this run has created: it stands
    LEFTOVER = "leftover"  # ... its instance is gone, disks or addresses of it are not
    REMOVED = "removed"  # ... nothing of it is left
    LOST = "lost"  # gone, another instance of that name, or in other hands


TEXTS: dict[State, str] = {
    State.PENDING: "its next disk does not exist yet",
    State.PREPARING: "its next disk is being made",
    State.PREPARED: "its next disk is ready, the member runs on the present one",
    State.BLOCKED: "its next disk is ready, and the member may not be stopped yet",
    State.DRAINING: "its load is being taken off, before it is stopped",
    State.CLEARED: "everything agrees that the member is stopped",
    State.STOPPING: "the member is being stopped",
    State.STOPPED: "the member is off, with the present disk",
    State.BARE: "the member is off, without a boot disk",
    State.LOADED: "the member is off, with its next disk",
    State.STARTING: "the member is starting",
    State.BOOTING: "the member boots from its next disk and has not reported yet",
    State.RENDERING: "the member gets its metadata, and renders its files again",
    State.RESUMING: "the member is healthy on its next disk, and is given its load again",
    State.UPDATING: "the group replaces its instances",
    State.REPLACED: "the member runs on its next disk and is healthy",
    State.UNHEALTHY: "the member runs on its next disk and is not healthy",
    State.OBSOLETE: "the member is off, and its instance is to be recreated",
    State.ABSENT: "the member does not exist, and its boot disk is ready",
    State.SURPLUS: "the member was created by this rollout, and is to be deleted again",
    State.LEFTOVER: "the member is deleted, and what was made for it is not",
    State.REMOVED: "the member and what was made for it are deleted",
    State.LOST: "the member cannot be moved any more",
}
"""The second half of a sentence about a member."""


class Strategy(StrEnum):
    """How a member gets to its goal."""

    SWAP = "swap"  # another boot disk for its instance
    RECREATE = "recreate"  # another instance of its name, with its data disks
    CREATE = "create"  # there is none
    RENDER = "render"  # other metadata, and the files rendered again
    REMOVE = "remove"  # the way back of a member that was created

    @property
    def inserts(self) -> bool:
        """Whether an instance is created."""
        return self in {Strategy.RECREATE, Strategy.CREATE}


class Action(StrEnum):
    """The next action."""

    MAKE_DISK = "make_disk"
    ASK = "ask"
    DRAIN = "drain"
    STOP = "stop"
    DETACH = "detach"
    ATTACH = "attach"
    START = "start"
    RENDER = "render"
    RESUME = "resume"
    DELETE = "delete"
    INSERT = "insert"
    CLEAN_UP = "clean_up"
    WAIT = "wait"
    END = "end"


class Consent(StrEnum):
    """How far the question is whether the member may be stopped."""

    UNKNOWN = "unknown"  # nothing was asked yet, or the answer is too old
    REFUSED = "refused"  # a gate is closed
    GATES_OPEN = "gates_open"  # ... all are open, and it must be drained
    GIVEN = "given"


class Resumed(StrEnum):
    """How far a member is given its load again, once it is healthy."""

    NOT_YET = "not_yet"
    DONE = "done"  # or its image has nothing to do
    FAILED = "failed"


class Rendered(StrEnum):
    """How far a change of metadata is."""

    NOT_YET = "not_yet"
    DONE = "done"
    FAILED = "failed"


class Disk(StrEnum):
    """The state of the goal's disk."""

    ABSENT = "absent"
    CREATING = "creating"
    READY = "ready"
    TAKEN = "taken"  # made from another image, or attached to something else
    BROKEN = "broken"  # its creation has failed, or somebody deletes it


DOING: dict[Action, str] = {
    Action.MAKE_DISK: "making the disk {}",
    Action.STOP: "stopping the member",
    Action.DETACH: "taking out its present disk",
    Action.ATTACH: "attaching the disk {}",
    Action.START: "starting the member",
    Action.DELETE: "deleting the instance, and keeping its data disks",
    Action.INSERT: "creating the instance with the boot disk {}",
    Action.CLEAN_UP: "deleting what was made for the member",
}
"""What is done to a member; with the name of its next disk."""

ACTIONS: dict[State, Action] = {
    State.PENDING: Action.MAKE_DISK,
    State.PREPARING: Action.WAIT,
    State.PREPARED: Action.ASK,
    State.BLOCKED: Action.ASK,
    State.DRAINING: Action.DRAIN,
    State.CLEARED: Action.STOP,
    State.STOPPING: Action.WAIT,
    State.STOPPED: Action.DETACH,
    State.BARE: Action.ATTACH,
    State.LOADED: Action.START,
    State.STARTING: Action.WAIT,
    State.BOOTING: Action.WAIT,
    State.RENDERING: Action.RENDER,
    State.RESUMING: Action.RESUME,
    State.UPDATING: Action.WAIT,
    State.REPLACED: Action.END,
    State.UNHEALTHY: Action.END,
    State.OBSOLETE: Action.DELETE,
    State.ABSENT: Action.INSERT,
    State.SURPLUS: Action.DELETE,
    State.LEFTOVER: Action.CLEAN_UP,
    State.REMOVED: Action.END,
    State.LOST: Action.END,
}

# A look may miss a state that passes quickly (STOPPING, STARTING), never one that waits for a step
# of ours. STOPPING, LOADED and STARTING come again when a machine is taken away while it boots:
# preempted, or its host fails, and Compute Engine itself may have started it again.
MOVES: dict[State, frozenset[State]] = {
    State.PENDING: frozenset(
        {
            State.PREPARING,
            State.PREPARED,
            State.STOPPING,
            State.STOPPED,
            State.BARE,
            State.OBSOLETE,
            State.ABSENT,
        }
    ),
    State.PREPARING: frozenset(
        {
            State.PREPARED,
            State.STOPPING,
            State.STOPPED,
            State.BARE,
            State.OBSOLETE,
            State.ABSENT,
        }
    ),
    State.PREPARED: frozenset(
        {
            State.BLOCKED,
            State.DRAINING,
            State.CLEARED,
            State.STOPPING,
            State.STOPPED,
            State.UPDATING,
            State.OBSOLETE,
            State.RENDERING,
            State.SURPLUS,
            State.LEFTOVER,
            State.REMOVED,
        }
    ),
    State.BLOCKED: frozenset(
        {
            State.RENDERING,
            State.PREPARED,
            State.DRAINING,
            State.CLEARED,
            State.STOPPING,
            State.STOPPED,
            State.OBSOLETE,
            State.SURPLUS,
            State.LEFTOVER,
            State.REMOVED,
        }
    ),
    State.DRAINING: frozenset(
        {
            State.RENDERING,
            State.PREPARED,
            State.BLOCKED,
            State.CLEARED,
            State.STOPPING,
            State.STOPPED,
            State.OBSOLETE,
            State.SURPLUS,
            State.LEFTOVER,
            State.REMOVED,
        }
    ),
    State.CLEARED: frozenset(
        {
            State.PREPARED,
            State.BLOCKED,
            State.DRAINING,
            State.STOPPING,
            State.STOPPED,
            State.OBSOLETE,
        }
    ),
    State.STOPPING: frozenset(
        {
            State.STOPPED,
            State.LOADED,
            State.OBSOLETE,
            State.ABSENT,
            State.LEFTOVER,
            State.REMOVED,
        }
    ),
    State.STOPPED: frozenset({State.BARE}),
    State.BARE: frozenset({State.LOADED}),
    State.LOADED: frozenset(
        {
            State.STOPPING,
            State.STARTING,
            State.BOOTING,
            State.RESUMING,
            State.REPLACED,
            State.UNHEALTHY,
        }
    ),
    State.STARTING: frozenset(
        {
            State.STOPPING,
            State.BOOTING,
            State.LOADED,
            State.RESUMING,
            State.REPLACED,
            State.UNHEALTHY,
        }
    ),
    State.BOOTING: frozenset(
        {
            State.STOPPING,
            State.LOADED,
            State.STARTING,
            State.RESUMING,
            State.REPLACED,
            State.UNHEALTHY,
        }
    ),
    State.RENDERING: frozenset({State.PREPARED, State.RESUMING, State.REPLACED, State.UNHEALTHY}),
    State.RESUMING: frozenset(
        {
            State.STOPPING,
            State.LOADED,
            State.STARTING,
            State.BOOTING,
            State.REPLACED,
            State.UNHEALTHY,
        }
    ),
    State.UPDATING: frozenset({State.REPLACED, State.UNHEALTHY}),
    State.OBSOLETE: frozenset({State.STOPPING, State.ABSENT}),
    State.ABSENT: frozenset(
        {
            State.LOADED,
            State.STARTING,
            State.BOOTING,
            State.RESUMING,
            State.REPLACED,
            State.UNHEALTHY,
        }
    ),
    State.SURPLUS: frozenset(
        {
            State.PREPARED,
            State.BLOCKED,
            State.DRAINING,
            State.STOPPING,
            State.LEFTOVER,
            State.REMOVED,
        }
    ),
    State.LEFTOVER: frozenset({State.REMOVED}),
    State.REPLACED: frozenset(),
    State.REMOVED: frozenset(),
    State.UNHEALTHY: frozenset(),
    State.LOST: frozenset(),
}
REACHED = frozenset({State.REPLACED, State.REMOVED})  # the goal of a member
STUCK = "stuck"  # what is told of a member whose task ended in an error, not in a state
FINAL = frozenset(state for state, step in ACTIONS.items() if step is Action.END)

OFF = frozenset({"TERMINATED", "STOPPED"})
GOING_DOWN = frozenset({"STOPPING", "PENDING_STOP"})
COMING_UP = frozenset({"PROVISIONING", "STAGING", "REPAIRING", "PENDING"})


class IllegalMove(ValueError):
    """A transition to `after` that a rollout does not cause: somebody else changes the member."""

    def __init__(self, message: str, after: State) -> None:
        super().__init__(message)
        self.after = after


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


def move(before: State | None, after: State) -> State:
    """Check the transition and return `after`. Raises IllegalMove."""
    legal = before is None or after in {before, State.LOST} or after in MOVES[before]
    if not legal:
        raise IllegalMove(
            f"went from {before} to {after}, which this rollout does not do: "
            "somebody else changes the instance",
            after,
        )
    return after


def edges() -> Iterable[tuple[State, State]]:
    """Return all legal transitions, without those to LOST, which is reachable from every state."""
    return ((a, b) for a in State for b in State if b in MOVES[a])
