"""Reads the holds of fleets from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.history.fleet_events import HoldReleasedEvent, ImageHeldEvent
from bakehouse.history.holds import Hold, holds
from bakehouse.history.ledger import Ledger
from bakehouse.history.rollout_events import RolloutEndedEvent

if TYPE_CHECKING:
    from bakehouse.history.event import Event

KINDS: tuple[type[Event], ...] = (ImageHeldEvent, HoldReleasedEvent, RolloutEndedEvent)


def read_holds(ledger: str) -> dict[str, Hold]:
    """Return the hold of each fleet that has one, by the ledger at this URL."""
    return holds(Ledger(ledger).events(kinds=KINDS))


def read_hold(ledger: str, fleet: str) -> Hold | None:
    """Return the hold of a fleet, if it has one."""
    return holds(Ledger(ledger).events(kinds=KINDS, fleet=fleet)).get(fleet)
