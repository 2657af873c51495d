"""How a machine image leaves: deleted, once it has been beyond its recipe's keep for long enough.

Compute Engine has no deprecation of machine images, and so no dates to write down. But it is known
since when one is beyond `keep`: since the image was made that pushed it out. What a custom image
spends deprecated and obsolete, it spends as it is. Nothing else stands upon it: an instance that
was made of it has disks of its own. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from bakehouse.bake.plan import created_at
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import Resource, labels_of
from bakehouse.recipe.model import Keep
from bakehouse.retire.retirement import Decision, Do


def plan(
    images: Iterable[Resource],
    keeps: Mapping[str, Keep],
    now: datetime,
    broken: Iterable[str] = (),
) -> list[Decision]:
    """One decision for each machine image that was promoted, newest first within its recipe."""
    mine = [image for image in images if _is_promoted(image)]
    found: list[Decision] = []
    for recipe in sorted({labels_of(image)[labels.RECIPE] for image in mine}):
        made = [image for image in mine if labels_of(image)[labels.RECIPE] == recipe]
        made.sort(key=created_at, reverse=True)
        keep = keeps.get(recipe)
        if keep is None:
            why = Reason.RECIPE_BROKEN if recipe in broken else Reason.RECIPE_GONE
            found += [_decide(image, Do.LEAVE, why) for image in made]
        else:
            found += _of_recipe(made, keep, now)
    return found


def _is_promoted(image: Resource) -> bool:
    told = labels_of(image)
    owned = {labels.RECIPE, labels.RUN, labels.ROLE} <= told.keys()
    promoted = told.get(labels.STATE) == labels.PROMOTED
    return owned and promoted and image.get("status") == "READY"


def _of_recipe(made: Sequence[Resource], keep: Keep, now: datetime) -> Iterator[Decision]:
    for place, image in enumerate(made):
        if place < keep.last:
            yield _decide(image, Do.LEAVE, Reason.WITHIN_KEEP)
            continue
        beyond = created_at(made[place - keep.last])
        if keep.days is not None:
            beyond = max(beyond, created_at(image) + timedelta(days=keep.days))
        due = beyond + 2 * keep.grace
        if now < beyond:
            yield _decide(image, Do.LEAVE, Reason.WITHIN_KEEP)
        elif labels.PIN in labels_of(image):
            yield _decide(image, Do.LEAVE, Reason.PINNED)
        elif now < due:
            yield _decide(image, Do.LEAVE, Reason.GRACE, f"deleted from {due:%Y-%m-%d %H:%M %Z}")
        else:
            yield _decide(image, Do.DELETE, Reason.NOT_KEPT)


def _decide(image: Resource, do: Do, reason: Reason, detail: str = "") -> Decision:
    return Decision(
        image=str(image["name"]),
        id=str(image["id"]),
        recipe=labels_of(image)[labels.RECIPE],
        kind=MACHINE_IMAGE,
        do=do,
        reason=reason,
        detail=detail,
    )
