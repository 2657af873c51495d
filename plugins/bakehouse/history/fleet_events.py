"""Events of a fleet outside its rollouts: who runs what, missing fixes, holds. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.history.bake_events import UpdateRecord
from bakehouse.history.event import Event, Moment


class ListedMember(Frozen):
    """An instance of a fleet, and the image that its boot disk was made from."""

    member: str
    zone: str
    image: str = Field(description="empty if it has no boot disk, or one of no image")
    image_id: str = ""
    image_created: Moment | None = Field(
        default=None, description="None if the image does not exist any more"
    )


class MembersDetail(Frozen):
    """Every member of a fleet that exists, by name."""

    fleet: str
    members: tuple[ListedMember, ...] = ()


class MembersEvent(Event):
    """A look at a fleet: its members, and the image of each."""

    kind: Literal["members"] = "members"
    detail: MembersDetail


class MissingFixesDetail(Frozen):
    """The security updates that an image lacks, by the indexes of its own apt sources."""

    image_id: str = Field(description="empty if it was not known")
    found: tuple[UpdateRecord, ...] = ()
    unread: tuple[str, ...] = Field(
        default=(), description="an index that could not be read, and why"
    )
    indexes: int = Field(default=0, description="how many were read")


class MissingFixesEvent(Event):
    """A look at the archives for an image that members run."""

    kind: Literal["missing_fixes"] = "missing_fixes"
    image: str
    detail: MissingFixesDetail


class ImageHeldDetail(Frozen):
    """The image that a person has rolled a fleet back from."""

    fleet: str
    image_id: str
    created: Moment = Field(description="of the image: what is newer is not held")
    instead: str = Field(description="the image that the fleet was rolled back to")
    instead_id: str
    by: str = Field(default="", description="the user who triggered the run; empty if unknown")
    why: str = Field(default="", description="of the form")


class ImageHeldEvent(Event):
    """No run takes this image into this fleet by itself any more."""

    kind: Literal["image_held"] = "image_held"
    image: str
    detail: ImageHeldDetail


class HoldReleasedDetail(Frozen):
    """Who has released the hold of a fleet, and why."""

    fleet: str
    by: str = ""
    why: str = ""


class HoldReleasedEvent(Event):
    """A person has released the hold of a fleet."""

    kind: Literal["hold_released"] = "hold_released"
    detail: HoldReleasedDetail
