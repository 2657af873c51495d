"""The event of the swap trigger. Pure."""

from __future__ import annotations

from bakehouse.core.models import Frozen
from bakehouse.rollout.states import State


class SwapEnded(Frozen):
    """A swap has ended: the final state of its member, or the error."""

    state: State | None = None
    why: str
    seconds: float | None = None
    transient: bool = False  # another try may go on from here
