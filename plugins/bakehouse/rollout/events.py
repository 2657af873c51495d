"""The event of the trigger that walks a member through its swap. Pure."""

from __future__ import annotations

from bakehouse.core.models import Frozen
from bakehouse.rollout.states import State


class SwapEnded(Frozen):
    """The event of a swap: the final state of its member, or the error that ended the walk."""

    state: State | None = None
    why: str
    seconds: float | None = None
    transient: bool = False  # another try may go on from here
