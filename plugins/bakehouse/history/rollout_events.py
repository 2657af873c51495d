"""Events of a rollout: what was planned, and how each member ended. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.history.event import Event, Moment


class PlannedMember(Frozen):
    """A member that is to change: what it has, and which way back is open."""

    member: str
    old_image: str = Field(description="empty if its disk is of no image")
    way_back: str = Field(description="one of rollout.plan.WayBack, such as disk or closed")


class RolloutPlannedDetail(Frozen):
    """The members of each stage, and what was known before the first of them was stopped."""

    fleet: str
    image_id: str
    stages: tuple[tuple[str, ...], ...]
    only_disk: dict[str, str] = Field(
        default={}, description="whose old disk is the only way back, and why"
    )
    members: tuple[PlannedMember, ...] = ()
    packages: dict[str, str] = Field(default={}, description="by old image, in one line")
    left: dict[str, int] = Field(default={}, description="members that stay, by reason")
    blockers: tuple[str, ...] = Field(default=(), description="what it would have waited for")
    max_unavailable: int | None = None
    seconds: float | None = Field(default=None, description="predicted")
    ends: Moment | None = Field(default=None, description="predicted")
    depends_on: str = Field(default="", description="what the end depends on most")
    plan_only: bool = Field(default=False, description="nothing was changed by this run")
    by: str = Field(default="", description="the user who triggered the run; empty: nobody did")


class RolloutPlannedEvent(Event):
    """A rollout is about to begin."""

    kind: Literal["rollout_planned"] = "rollout_planned"
    detail: RolloutPlannedDetail


class MemberSkippedDetail(Frozen):
    """A member that is left alone; what it has is known only once its turn has come."""

    fleet: str
    member: str
    why: str
    image_id: str | None = None
    zone: str | None = None
    instance_id: str | None = None
    disk: str | None = None
    old_image: str | None = None
    old_image_id: str | None = None


class MemberSkippedEvent(Event):
    """A member was left alone, by the plan or because the rollout halted."""

    kind: Literal["member_skipped"] = "member_skipped"
    detail: MemberSkippedDetail


class MemberDetail(Frozen):
    """A member, what it had when the rollout began and how its replacement ended."""

    fleet: str
    member: str
    zone: str
    instance_id: str
    disk: str  # the boot disk that it was to have
    image_id: str
    old_image: str
    old_image_id: str
    state: str
    why: str
    seconds: float | None = None
    cause: str = Field(default="", description="why it failed: a `Cause`; empty if it did not")
    first_try: str = Field(
        default="", description="how the first try ended, if there was a second on a fresh disk"
    )


class MemberReplacedEvent(Event):
    """A member runs the new image and is healthy."""

    kind: Literal["member_replaced"] = "member_replaced"
    detail: MemberDetail


class MemberReplacedFailedEvent(Event):
    """A member did not get healthy on the new image."""

    kind: Literal["member_replaced_failed"] = "member_replaced_failed"
    detail: MemberDetail


class MemberRolledBackEvent(Event):
    """A member runs the image that it had before."""

    kind: Literal["member_rolled_back"] = "member_rolled_back"
    detail: MemberDetail


class MemberRolledBackFailedEvent(Event):
    """A member did not get healthy on the image that it had before."""

    kind: Literal["member_rolled_back_failed"] = "member_rolled_back_failed"
    detail: MemberDetail


class MemberOutcome(Frozen):
    """How one member's replacement, or its way back, ended."""

    member: str
    way: Literal["forward", "back"]
    state: str
    why: str
    image: str
    disk: str
    cause: str = Field(default="", description="why it failed: a `Cause`; empty if it did not")
    first_try: str = Field(
        default="", description="how the first try ended, if there was a second on a fresh disk"
    )


class BlamedMember(Frozen):
    """A member that did not get or stay healthy on an image."""

    member: str
    why: str


class ImageRolledBackDetail(Frozen):
    """The image that leaves its family, and the members because of which it does."""

    fleet: str
    image_id: str
    members: tuple[BlamedMember, ...]
    newest: str | None = Field(default=None, description="the recipe's newest image from now on")


class ImageRolledBackEvent(Event):
    """A rollout blames its image, which is deprecated now: written before the call."""

    kind: Literal["image_rolled_back"] = "image_rolled_back"
    detail: ImageRolledBackDetail


class DataFinalisedDetail(Frozen):
    """The formats that a fleet's data have, and who has approved it."""

    fleet: str
    image_id: str
    member: str = Field(description="that was told to do it")
    before: dict[str, int] = Field(description="format and version")
    after: dict[str, int] = Field(description="as the member says; empty if it says nothing")
    state: str = Field(description="of its answer: ok, failed")
    said: str
    approved_by: str = ""
    why: str = Field(default="", description="of the form")


class DataFinalisedEvent(Event):
    """A fleet's data were told to get their newest formats: the way back is closed."""

    kind: Literal["data_finalised"] = "data_finalised"
    detail: DataFinalisedDetail


class RolloutEndedDetail(Frozen):
    """The outcome for each member, forward and then back."""

    fleet: str
    image_id: str
    outcomes: tuple[MemberOutcome, ...] = ()
    state: str = Field(
        default="", description="a `RolloutState`; empty in what older versions have written"
    )
    failed_here: bool = Field(
        default=False, description="the image is marked as failed in this fleet"
    )
    partial: bool = False  # of some members only, so that it pins the fleet to no image


class RolloutEndedEvent(Event):
    """A rollout ended, well or not: the reason says which."""

    kind: Literal["rollout_ended"] = "rollout_ended"
    detail: RolloutEndedDetail


class RolloutCutShortDetail(Frozen):
    """Of a rollout whose run is over, or was deleted, before the rollout said how it ended."""

    fleet: str
    why: str


class RolloutCutShortEvent(Event):
    """A rollout is under way no longer, and nobody has said what became of its members."""

    kind: Literal["rollout_cut_short"] = "rollout_cut_short"
    detail: RolloutCutShortDetail
