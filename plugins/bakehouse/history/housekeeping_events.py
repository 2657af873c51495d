"""Events of housekeeping and revocation: what was swept, retired, revoked, or drifts. Pure."""

from __future__ import annotations

from typing import Literal

from pydantic import (
    Field,
)

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.history.event import Event


class SweptDetail(Frozen):
    """A resource that no run owns any more."""

    kind: str  # instance, disk, image, machine image, template
    name: str
    id: str
    role: str
    run: str
    zone: str = ""
    detail: str = ""
    attached: bool = False


class SweptEvent(Event):
    """A resource is deleted now: written before the call."""

    kind: Literal["swept"] = "swept"
    detail: SweptDetail


RetiredStage = Literal["deprecate", "make_obsolete", "delete"]


class RetiredDetail(Frozen):
    """The stage that an image goes to; `body` is that of images.deprecate."""

    id: str
    do: RetiredStage
    detail: str = ""
    body: dict[str, str] = Field(default={})


class ImageDeprecatedEvent(Event):
    """An image becomes DEPRECATED: written before the call."""

    kind: Literal["image_deprecated"] = "image_deprecated"
    detail: RetiredDetail


class ImageObsoleteEvent(Event):
    """An image becomes OBSOLETE: written before the call."""

    kind: Literal["image_obsolete"] = "image_obsolete"
    detail: RetiredDetail


class ImageDeletedEvent(Event):
    """An image is deleted: written before the call."""

    kind: Literal["image_deleted"] = "image_deleted"
    detail: RetiredDetail


class KeptImage(Frozen):
    """An image that stays, and why."""

    image: str
    reason: Reason
    detail: str = ""


class ImagesKeptDetail(Frozen):
    """Images that the recipe's `image.keep` does not keep and that stay all the same."""

    kept: tuple[KeptImage, ...]


class ImagesKeptEvent(Event):
    """Why a recipe's other images stay."""

    kind: Literal["images_kept"] = "images_kept"
    detail: ImagesKeptDetail


class MemberBehind(Frozen):
    """A member and the image that its boot disk was made from."""

    name: str
    zone: str
    image: str  # empty when it has no boot disk
    image_id: str = ""
    age_days: float | None = None


class MemberIll(Frozen):
    """A member that is reported unhealthy, or has stopped to report."""

    name: str
    zone: str
    why: str


class OtherMember(Frozen):
    """A member that differs from the fleet's template, and in what."""

    name: str
    zone: str
    differs: tuple[str, ...]


class DriftDetail(Frozen):
    """A fleet against its images and its template, and its members' health."""

    fleet: str
    newest: str | None
    on_newest: int
    behind: tuple[MemberBehind, ...] = ()
    ill: tuple[MemberIll, ...] = ()
    missing: tuple[str, ...] = ()  # listed names without an instance, or labels that nobody has
    pinned: str | None = None  # the image of the fleet's last rollout that ended well
    strayed: tuple[MemberBehind, ...] = ()  # members that run another one
    others: tuple[OtherMember, ...] = ()
    undeclared: tuple[str, ...] = ()  # created for the fleet, and not in its file any more


class DriftEvent(Event):
    """A fleet is not all on its image, not all as declared, not all healthy, or not all there."""

    kind: Literal["drift"] = "drift"
    detail: DriftDetail


class RevokedDetail(Frozen):
    """Why, and the images that are built on it."""

    why: str
    image_id: str
    descendants: tuple[str, ...] = ()


class RevokedEvent(Event):
    """An image was revoked."""

    kind: Literal["revoked"] = "revoked"
    detail: RevokedDetail


class MarkedDetail(Frozen):
    """The image, and the revoked one that it is built on."""

    image_id: str
    revoked: str
    revoked_id: str


class MarkedEvent(Event):
    """An image that is built on a revoked one was labelled so."""

    kind: Literal["marked"] = "marked"
    detail: MarkedDetail


class RunsRevokedDetail(Frozen):
    """A member of a fleet and the image that it runs."""

    fleet: str
    member: str
    zone: str
    image: str
    revoked: str


class RunsRevokedEvent(Event):
    """A member runs a revoked image, or one built on it."""

    kind: Literal["runs_revoked"] = "runs_revoked"
    detail: RunsRevokedDetail
