"""How an image leaves: deprecated, then obsolete, then deleted, with a grace in between. Pure.

The stages are Compute Engine's own, and so is the memory: the dates on which the next stages are
due stand in the image's `deprecated`, for everybody to read. So a run that was killed, or a month
in which nobody kept house, changes nothing but the day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from bakehouse.bake.plan import created_at
from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE
from bakehouse.images.links import Resource, labels_of
from bakehouse.recipe.model import Keep
from bakehouse.retire.references import Use

ACTIVE, DEPRECATED, OBSOLETE = "ACTIVE", "DEPRECATED", "OBSOLETE"


class Do(StrEnum):
    """The next thing that happens to an image."""

    LEAVE = "leave"
    DEPRECATE = "deprecate"
    MAKE_OBSOLETE = "make_obsolete"
    DELETE = "delete"


class Decision(Frozen):
    """What becomes of one image, and why."""

    image: str
    id: str
    recipe: str
    kind: str = CUSTOM_IMAGE
    do: Do
    reason: Reason
    detail: str = ""
    body: dict[str, str] = Field(default={}, description="of images.deprecate")

    def __str__(self) -> str:
        more = f" ({self.detail})" if self.detail else ""
        return f"{self.image}: {self.do.replace('_', ' ')}, {self.reason.text}{more}"


def plan(
    images: Iterable[Resource],
    keeps: Mapping[str, Keep],
    uses: Mapping[str, Sequence[Use]],
    now: datetime,
    broken: Iterable[str] = (),
) -> list[Decision]:
    """One decision for each image that was promoted or revoked, newest first within its recipe.

    `keeps` are those of the recipes that have a file; `broken` have one that cannot be read.
    """
    mine = [image for image in images if _is_ours(image)]
    newest = _newest_of_families(mine)
    found: list[Decision] = []
    for recipe in sorted({labels_of(image)[labels.RECIPE] for image in mine}):
        made = _newest_first(i for i in mine if labels_of(i)[labels.RECIPE] == recipe)
        keep = keeps.get(recipe)
        if keep is None:
            why = Reason.RECIPE_BROKEN if recipe in broken else Reason.RECIPE_GONE
            found += [_leave(image, why) for image in made]
        else:
            found += _of_recipe(made, keep, uses, newest, now)
    return found


def is_done(decision: Decision, image: Resource | None) -> bool:
    """Whether the image (None: it is gone) stands where the decision wanted it."""
    if image is None or decision.do is Do.DELETE:
        return image is None
    return state_of(image) == decision.body["state"]


def state_of(image: Resource) -> str:
    """Compute Engine's word for where the image stands."""
    return str((image.get("deprecated") or {}).get("state") or ACTIVE)


def obsolete(image: Resource, now: datetime, grace: timedelta, by: str = "") -> dict[str, str]:
    """The body that makes an image obsolete: nothing can be made of it any more."""
    told = {str(k): str(v) for k, v in (image.get("deprecated") or {}).items() if v}
    if by:
        told["replacement"] = by
    dates = {"obsolete": _stamp(now), "deleted": _stamp(now + grace)}
    return told | {"state": OBSOLETE} | dates


def deprecated(now: datetime, grace: timedelta, by: str = "") -> dict[str, str]:
    """The body that deprecates one, with the dates of what follows."""
    body = {"state": DEPRECATED, "deprecated": _stamp(now)}
    body |= {"obsolete": _stamp(now + grace), "deleted": _stamp(now + 2 * grace)}
    return body | ({"replacement": by} if by else {})


def newest_of(images: Iterable[Resource], family: str | None) -> Resource | None:
    """The family's newest that may be used: what is told to take in place of a retired one."""
    usable = [i for i in images if i.get("family") == family and family and _is_usable(i)]
    return max(usable, key=created_at, default=None)


def _is_ours(image: Resource) -> bool:
    told = labels_of(image)
    owned = {labels.RECIPE, labels.RUN, labels.ROLE} <= told.keys()
    retired = told.get(labels.STATE) in {labels.PROMOTED, labels.REVOKED}
    return owned and retired and image.get("status", "READY") == "READY"


def _is_usable(image: Resource) -> bool:
    told = labels_of(image)
    kept = told.get(labels.STATE) == labels.PROMOTED and labels.REVOKED_BASE not in told
    return kept and state_of(image) == ACTIVE


def _newest_of_families(images: Sequence[Resource]) -> Mapping[str, Resource]:
    """Family -> its newest: of those in use, and where none is, of those that were promoted."""
    found: dict[str, Resource] = {}
    for family in {str(image["family"]) for image in images if image.get("family")}:
        promoted = [i for i in images if i.get("family") == family and not _is_bad(i)]
        newest = newest_of(images, family) or max(promoted, key=created_at, default=None)
        if newest is not None:
            found[family] = newest
    return found


def _is_bad(image: Resource) -> bool:
    told = labels_of(image)
    return told.get(labels.STATE) == labels.REVOKED or labels.REVOKED_BASE in told


def _of_recipe(
    made: Sequence[Resource],
    keep: Keep,
    uses: Mapping[str, Sequence[Use]],
    newest: Mapping[str, Resource],
    now: datetime,
) -> Iterator[Decision]:
    kept = _kept(made, keep, now)
    for image in made:
        newer = newest.get(str(image.get("family")))
        held = _held(image, newer, kept, uses)
        yield held or _next_stage(image, keep.grace, newer, now)


def _kept(made: Sequence[Resource], keep: Keep, now: datetime) -> frozenset[str]:
    """The newest `last` that are in use by right, whatever stands among them, and young ones."""
    found, count = set[str](), 0
    for image in made:
        young = keep.days is not None and now - created_at(image) < timedelta(days=keep.days)
        if not _is_bad(image) and (count < keep.last or young):
            found.add(str(image["id"]))
        count += _is_usable(image)
    return frozenset(found)


def _held(
    image: Resource,
    newest: Resource | None,
    kept: frozenset[str],
    uses: Mapping[str, Sequence[Use]],
) -> Decision | None:
    """Why it stays as it is, whatever its age."""
    image_id = str(image["id"])
    if newest is not None and str(newest["id"]) == image_id:
        return _leave(image, Reason.FAMILYS_NEWEST)
    if image_id in kept:
        return _leave(image, Reason.WITHIN_KEEP)
    if labels.PIN in labels_of(image):
        return _leave(image, Reason.PINNED)
    if found := uses.get(image_id):
        who = ", ".join(dict.fromkeys(use.by for use in found if use.reason is found[0].reason))
        return _leave(image, found[0].reason, who)
    return None


def _next_stage(
    image: Resource, grace: timedelta, newest: Resource | None, now: datetime
) -> Decision:
    why = _why(image)
    by = str(newest["selfLink"]) if newest else ""
    told: Mapping[str, Any] = image.get("deprecated") or {}
    state = state_of(image)
    due = _time(told.get("obsolete" if state == DEPRECATED else "deleted"))
    if state == ACTIVE:
        return _do(image, Do.DEPRECATE, why, body=deprecated(now, grace, by))
    if due is None:  # somebody else's doing: the grace begins now
        body = deprecated(now, grace, by) if state == DEPRECATED else obsolete(image, now, grace)
        return _do(image, _SAME[state], why, "it had no date for the next stage", body)
    if now < due:
        following = "obsolete" if state == DEPRECATED else "deleted"
        return _leave(image, Reason.GRACE, f"{following} from {due:%Y-%m-%d %H:%M %Z}")
    if state == DEPRECATED:
        return _do(image, Do.MAKE_OBSOLETE, why, body=obsolete(image, now, grace))
    return _do(image, Do.DELETE, why)


_SAME = {DEPRECATED: Do.DEPRECATE, OBSOLETE: Do.MAKE_OBSOLETE, "DELETED": Do.MAKE_OBSOLETE}


def _why(image: Resource) -> Reason:
    if labels_of(image).get(labels.STATE) == labels.REVOKED:
        return Reason.REVOKED
    return Reason.REVOKED_BASE if labels.REVOKED_BASE in labels_of(image) else Reason.NOT_KEPT


def _leave(image: Resource, reason: Reason, detail: str = "") -> Decision:
    return _do(image, Do.LEAVE, reason, detail)


def _do(
    image: Resource, do: Do, reason: Reason, detail: str = "", body: dict[str, str] | None = None
) -> Decision:
    return Decision(
        image=str(image["name"]),
        id=str(image["id"]),
        recipe=labels_of(image)[labels.RECIPE],
        do=do,
        reason=reason,
        detail=detail,
        body=body or {},
    )


def _newest_first(images: Iterable[Resource]) -> list[Resource]:
    return sorted(images, key=lambda i: (created_at(i), str(i["name"])), reverse=True)


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


def _time(text: object) -> datetime | None:
    """A date as people and programs write it; one without a zone is UTC, a bad one is none."""
    try:
        found = datetime.fromisoformat(str(text)) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
