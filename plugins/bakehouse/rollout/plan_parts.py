"""What the plan of a rollout says besides its members. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen


class FleetRules(Frozen):
    """What the fleet's file says when the rollout begins, and what holds until it has ended."""

    stages: tuple[int | str, ...]
    max_unavailable: int = Field(description="of the whole fleet; a share is counted already")
    on_failure: Literal["roll_back", "halt"] = "roll_back"
    halt_after: int | str | None = None


class ImageChange(Frozen):
    """The image that some members have, and how its packages differ from the new one's."""

    name: str = Field(description="empty if their disks are of no image")
    members: int
    packages: str = Field(default="", description="in one line; empty if it is unknown")
    unknown: str = Field(default="", description="why it is unknown")


class Blocker(Frozen):
    """What would keep the rollout from going on if it began now."""

    what: str = Field(description="max_unavailable, lease, gate, freeze or window")
    why: str
    members: tuple[str, ...] = Field(default=(), description="that wait for it; empty: all")


class GateAnswer(Frozen):
    """What the gates of a member say when the plan is made."""

    member: str
    open: bool = Field(description="it may be stopped now")
    why: str = Field(default="", description="in one line: what blocks, or what is said besides")
    detail: str = Field(default="", description="the answer of the member's own gate, as it is")
    leader: bool = Field(default=False, description="it leads, so that it comes last")


class NotAsked(Frozen):
    """Members whose gates were not asked, and why."""

    why: str
    members: tuple[str, ...]


class GatesNow(Frozen):
    """What the gates say when the plan is made; they are asked again before each stop."""

    at: AwareDatetime
    answers: tuple[GateAnswer, ...] = ()
    not_asked: tuple[NotAsked, ...] = ()


class Span(Frozen):
    """A part of the predicted time."""

    what: str
    seconds: float


class Forecast(Frozen):
    """When the rollout ends, by the replacements of the past."""

    seconds: float | None = Field(default=None, description="None: nothing like it was ever done")
    end: AwareDatetime | None = Field(default=None, description="if it begins at the plan's time")
    past: int = Field(default=0, description="replacements on which this is based")
    of: str = Field(default="", description="of what: `the fleet web`, `the recipe web`")
    at_most: float = Field(description="seconds, by the fleet's deadlines")
    spans: tuple[Span, ...] = ()
    blocker: str = Field(default="", description="what its end depends on most")
