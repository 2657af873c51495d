"""The legal transitions of a member. Pure.

The drawing is docs/rollouts.md; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.rollout.states import State

if TYPE_CHECKING:
    from collections.abc import Iterable


# Sets of states that several states lead to.
_ASKED = frozenset({State.PREPARED, State.BLOCKED, State.DRAINING, State.CLEARED})
_ON_THE_WAY_DOWN = frozenset({State.STOPPING, State.STOPPED, State.OBSOLETE})
_WITH_ITS_DISK = _ON_THE_WAY_DOWN | {State.PREPARED, State.BARE, State.ABSENT}
_ON_THE_WAY_UP = frozenset({State.LOADED, State.STARTING, State.BOOTING, State.RESUMING})
_JUDGED = frozenset({State.REPLACED, State.UNHEALTHY})
_GONE = frozenset({State.LEFTOVER, State.REMOVED})
_MAY_STOP = _ASKED | _ON_THE_WAY_DOWN | _GONE | {State.RENDERING, State.SURPLUS}
_STARTED = _ON_THE_WAY_UP | _JUDGED

# A look may miss a state that passes quickly (STOPPING, STARTING), never one that waits for a step
# of ours. STOPPING, LOADED and STARTING come again when a machine is taken away while it boots:
# preempted, or its host fails, and Compute Engine itself may have started it again.
_LEADS_TO: dict[State, frozenset[State]] = {
    State.PENDING: _WITH_ITS_DISK | {State.PREPARING},
    State.PREPARING: _WITH_ITS_DISK,
    State.PREPARED: _MAY_STOP | {State.UPDATING},
    State.BLOCKED: _MAY_STOP,
    State.DRAINING: _MAY_STOP,
    State.CLEARED: _ASKED | _ON_THE_WAY_DOWN,
    State.STOPPING: _GONE | {State.STOPPED, State.LOADED, State.OBSOLETE, State.ABSENT},
    State.STOPPED: frozenset({State.BARE}),
    State.BARE: frozenset({State.LOADED}),
    State.LOADED: _STARTED | {State.STOPPING},
    State.STARTING: _STARTED | {State.STOPPING},
    State.BOOTING: _STARTED | {State.STOPPING},
    State.RENDERING: _JUDGED | {State.PREPARED, State.RESUMING},
    State.RESUMING: _STARTED | {State.STOPPING},
    State.UPDATING: _JUDGED,
    State.OBSOLETE: frozenset({State.STOPPING, State.ABSENT}),
    State.ABSENT: _STARTED,
    State.SURPLUS: (_ASKED - {State.CLEARED}) | _GONE | {State.STOPPING},
    State.LEFTOVER: frozenset({State.REMOVED}),
    State.REPLACED: frozenset(),
    State.REMOVED: frozenset(),
    State.UNHEALTHY: frozenset(),
    State.LOST: frozenset(),
}
MOVES = {state: others - {state} for state, others in _LEADS_TO.items()}


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
