"""Decide how a custom image is retired: deprecated, then obsolete, then deleted. Pure.

The states are those of Compute Engine, and the dates of the next states are in the image's field
`deprecated`. No other record is kept: after a killed run, or a month without housekeeping, an image
is retired later.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.core.time import parse_timestamp
from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import (
    DeprecationState,
    created_at,
    deprecation_state,
    is_promoted,
    is_ready,
    is_tainted,
    is_usable,
    newest,
    newest_first,
    newest_of_family,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bakehouse.recipe.model import Keep
    from bakehouse.retire.references import Reference

NO_DATE = "it had no date for the next step"


class Action(StrEnum):
    """The next step of an image's retirement."""

    LEAVE = "leave"
    DEPRECATE = "deprecate"
    MAKE_OBSOLETE = "make_obsolete"
    DELETE = "delete"


class Decision(Frozen):
    """The decision for one image, with the reason."""

    image: str
    id: str
    recipe: str
    kind: str = CUSTOM_IMAGE.value  # or machine_image
    do: Action
    reason: Reason
    detail: str = ""
    body: dict[str, str] = Field(default={}, description="of images.deprecate")

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        return f"{self.image}: {self.do.replace('_', ' ')}, {self.reason.text}{more}"


def plan_retirement(
    images: Iterable[Resource],
    keeps: Mapping[str, Keep],
    references: Mapping[str, Sequence[Reference]],
    now: datetime,
    broken: Iterable[str] = (),
) -> list[Decision]:
    """One decision for each image that was promoted or revoked, newest first within its recipe.

    Args:
        images: custom images as images.list gives them, of whatever state.
        keeps: recipe -> its `image.keep`, of those recipes that have a valid file.
        references: image id -> references, from `references.references`.
        now: the moment of the run.
        broken: the recipes whose file has mistakes; their images are not changed.
    """
    mine = [image for image in images if _is_in_scope(image)]
    newest_by_family = _newest_of_families(mine)
    found: list[Decision] = []
    for recipe in sorted({labels_of(image)[labels.RECIPE] for image in mine}):
        its = newest_first(i for i in mine if labels_of(i)[labels.RECIPE] == recipe)
        keep = keeps.get(recipe)
        if keep is None:
            why = Reason.RECIPE_BROKEN if recipe in broken else Reason.RECIPE_GONE
            found += [_decision(image, Action.LEAVE, why) for image in its]
        else:
            found += _of_recipe(its, keep, references, newest_by_family, now)
    return found


def is_done(decision: Decision, image: Resource | None) -> bool:
    """Whether the decision was carried out; None: the image does not exist any more."""
    if image is None or decision.do is Action.DELETE:
        return image is None
    return deprecation_state(image) == decision.body["state"]


def deprecation_body(now: datetime, grace: timedelta, by: str = "") -> dict[str, str]:
    """Return the body of images.deprecate that deprecates an image.

    Args:
        now: when.
        grace: from deprecated to obsolete, and from there to deleted.
        by: the link of the image to use in its place; empty for none.
    """
    body = {"state": DeprecationState.DEPRECATED.value, "deprecated": _rfc3339(now)}
    body |= {"obsolete": _rfc3339(now + grace), "deleted": _rfc3339(now + 2 * grace)}
    return body | ({"replacement": by} if by else {})


def obsolescence_body(
    image: Resource, now: datetime, grace: timedelta, by: str = ""
) -> dict[str, str]:
    """Return the body of images.deprecate that makes an image obsolete.

    What its `deprecated` says already, such as a replacement, stays unless it is given again. The
    arguments are those of `deprecation_body`.
    """
    told = {str(k): str(v) for k, v in (image.get("deprecated") or {}).items() if v}
    if by:
        told["replacement"] = by
    dates = {"obsolete": _rfc3339(now), "deleted": _rfc3339(now + grace)}
    return told | {"state": DeprecationState.OBSOLETE.value} | dates


def _is_in_scope(image: Resource) -> bool:
    told = labels_of(image)
    owned = {labels.RECIPE, labels.RUN, labels.ROLE} <= told.keys()
    lasting = is_promoted(image) or told.get(labels.STATE) == labels.REVOKED
    return owned and lasting and is_ready(image)


def _newest_of_families(images: Sequence[Resource]) -> Mapping[str, Resource]:
    """Return the newest usable image of each family, else its newest image that is not tainted."""
    found: dict[str, Resource] = {}
    for family in {str(image["family"]) for image in images if image.get("family")}:
        untainted = (i for i in images if i.get("family") == family and not is_tainted(i))
        latest = newest_of_family(images, family) or newest(untainted)
        if latest is not None:
            found[family] = latest
    return found


def _of_recipe(
    images: Sequence[Resource],
    keep: Keep,
    references: Mapping[str, Sequence[Reference]],
    newest_by_family: Mapping[str, Resource],
    now: datetime,
) -> Iterator[Decision]:
    kept = _kept(images, keep, now)
    for image in images:
        newer = newest_by_family.get(str(image.get("family")))
        held = _held(image, newer, kept, references)
        yield held or _next_stage(image, keep.grace, newer, now)


def _kept(images: Sequence[Resource], keep: Keep, now: datetime) -> frozenset[str]:
    """The ids of the newest `keep.last` usable images and of young images.

    Images between them count too. `images` are those of a recipe, newest first.
    """
    found, usable = set[str](), 0
    for image in images:
        young = keep.days is not None and now - created_at(image) < timedelta(days=keep.days)
        if not is_tainted(image) and (usable < keep.last or young):
            found.add(str(image["id"]))
        usable += is_usable(image)
    return frozenset(found)


def _held(
    image: Resource,
    newest_of_its_family: Resource | None,
    kept: frozenset[str],
    references: Mapping[str, Sequence[Reference]],
) -> Decision | None:
    """Return why an image stays, whatever its age."""
    image_id = str(image["id"])
    if newest_of_its_family is not None and str(newest_of_its_family["id"]) == image_id:
        return _decision(image, Action.LEAVE, Reason.FAMILYS_NEWEST)
    if image_id in kept:
        return _decision(image, Action.LEAVE, Reason.WITHIN_KEEP)
    if labels.PIN in labels_of(image):
        return _decision(image, Action.LEAVE, Reason.PINNED)
    if found := references.get(image_id):
        first = found[0].reason
        who = ", ".join(dict.fromkeys(each.by for each in found if each.reason is first))
        return _decision(image, Action.LEAVE, first, who)
    return None


def _next_stage(
    image: Resource, grace: timedelta, newest_of_its_family: Resource | None, now: datetime
) -> Decision:
    state, why = deprecation_state(image), _why(image)
    by = str(newest_of_its_family["selfLink"]) if newest_of_its_family else ""
    if state == DeprecationState.ACTIVE:
        return _decision(image, Action.DEPRECATE, why, body=deprecation_body(now, grace, by))
    dates: Mapping[str, Any] = image.get("deprecated") or {}
    if state == DeprecationState.DEPRECATED:
        due = _date(dates.get("obsolete"))
        if due is None:  # somebody else deprecated it: the grace begins now
            body = deprecation_body(now, grace, by)
            return _decision(image, Action.DEPRECATE, why, NO_DATE, body)
        if now < due:
            return _decision(image, Action.LEAVE, Reason.GRACE, f"obsolete from {_day(due)}")
        body = obsolescence_body(image, now, grace)
        return _decision(image, Action.MAKE_OBSOLETE, why, body=body)
    due = _date(dates.get("deleted"))
    if due is None:
        body = obsolescence_body(image, now, grace)
        return _decision(image, Action.MAKE_OBSOLETE, why, NO_DATE, body)
    if now < due:
        return _decision(image, Action.LEAVE, Reason.GRACE, f"deleted from {_day(due)}")
    return _decision(image, Action.DELETE, why)


def _why(image: Resource) -> Reason:
    if labels_of(image).get(labels.STATE) == labels.REVOKED:
        return Reason.REVOKED
    return Reason.REVOKED_BASE if labels.REVOKED_BASE in labels_of(image) else Reason.NOT_KEPT


def _decision(
    image: Resource,
    action: Action,
    reason: Reason,
    detail: str = "",
    body: dict[str, str] | None = None,
) -> Decision:
    return Decision(
        image=str(image["name"]),
        id=str(image["id"]),
        recipe=labels_of(image)[labels.RECIPE],
        do=action,
        reason=reason,
        detail=detail,
        body=body or {},
    )


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"


def _date(text: object) -> datetime | None:
    """Parse a date; without a time zone it is UTC, an invalid one is None."""
    try:
        return parse_timestamp(text) if text else None
    except ValueError:
        return None
