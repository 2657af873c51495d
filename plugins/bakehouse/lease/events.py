"""The events of the triggers that wait for a lease. Pure."""

from __future__ import annotations

from bakehouse.core.models import Frozen


class LeaseLooksFree(Frozen):
    """The event of a lease's wait; `free` is False at the deadline, and `why` says who has it."""

    free: bool
    why: str


class SlotTaken(Frozen):
    """The event of a slot's wait; `slot` is None at the deadline, and `why` says who has them."""

    slot: int | None
    why: str
