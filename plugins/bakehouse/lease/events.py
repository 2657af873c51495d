"""The events of the triggers that wait for a lease. Pure."""

from __future__ import annotations

from bakehouse.core.models import Frozen


class LeaseLooksFree(Frozen):
    """A lease looks free; at the deadline `free` is False and `why` names the owner."""

    free: bool
    why: str


class SlotTaken(Frozen):
    """A slot was taken; at the deadline `slot` is None and `why` names the owners."""

    slot: int | None
    why: str
