"""The legal transitions of a member. Pure.

The drawing is docs/rollouts.md; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.rollout.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable


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


class IllegalMove(ValueError):
    """A transition to `after` that a rollout does not cause: somebody else changes the member."""

    def __init__(self, message: str, after: State) -> None:
        super().__init__(message)
        self.after = after


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
