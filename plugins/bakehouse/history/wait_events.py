"""Events of a task that waits for a person, a window, a gate: since when, and why. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.history.event import Event


class WaitDetail(Frozen):
    """What a task waits for."""

    what: str = Field(description="the fleet, or the image, that waits")
    member: str = Field(default="", description="the member whose turn it is; empty: a stage")
    since: AwareDatetime
    until: AwareDatetime | None = Field(
        default=None, description="when it ends by itself; None: when a person or a guest ends it"
    )
    why: str


class WaitsEvent(Event):
    """A task waits, for the event's reason."""

    kind: Literal["waits"] = "waits"
    detail: WaitDetail


class WaitedEvent(Event):
    """A wait is over; the reason is what it has waited for, and `why` how it has ended."""

    kind: Literal["waited"] = "waited"
    detail: WaitDetail
