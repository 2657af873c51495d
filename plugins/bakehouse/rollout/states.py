"""The states of a member's swap, and the action of each; `moves` has the legal transitions. Pure.

No state is stored: it is read from the resources (which disk is the boot disk, whether the
instance runs, what it reports), so that a trigger that was killed continues from the current state.
A stop is requested in one state only, while the instance runs on another disk than the goal's; no
transition leads back to it from behind the stop, so no member is stopped twice.

What a member has agreed to (`Consent`) is asked anew by a trigger that continues: an answer counts
while it is fresh, and a drain that was carried out is answered again, not carried out again.

A second try on a fresh disk and a roll-back use the same states with another goal. `observation`
reads the state. The drawing is docs/rollouts.md.
"""

from __future__ import annotations

from enum import StrEnum


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

REACHED = frozenset({State.REPLACED, State.REMOVED})  # the goal of a member
STUCK = "stuck"  # what is told of a member whose task ended in an error, not in a state
FINAL = frozenset(state for state, step in ACTIONS.items() if step is Action.END)
