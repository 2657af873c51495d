"""Decide when a machine image is deleted. Pure.

Compute Engine has no deprecation of machine images, so no date can be written down. But it
has been beyond `keep` since the creation of the image that replaced it there. It stays for as long
as a custom image is deprecated and obsolete. Nothing refers to it: an instance that
was made of it has disks of its own. Pure.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import (
    created_at,
    is_promoted,
    is_ready,
    is_usable,
    newest_first,
)
from bakehouse.retire.retirement import Action, Decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bakehouse.recipe.model import Keep


def plan_machine_image_retirement(
    images: Iterable[Resource],
    keeps: Mapping[str, Keep],
    now: datetime,
    broken: Iterable[str] = (),
) -> list[Decision]:
    """One decision for each machine image that was promoted, newest first within its recipe.

    Args:
        images: machine images as machineImages.list gives them, of whatever state.
        keeps: recipe -> its `image.keep`, of those recipes that have a valid file.
        now: the moment of the run.
        broken: the recipes whose file has mistakes; their images are not changed.
    """
    mine = [image for image in images if _is_in_scope(image)]
    found: list[Decision] = []
    for recipe in sorted({labels_of(image)[labels.RECIPE] for image in mine}):
        its = newest_first(i for i in mine if labels_of(i)[labels.RECIPE] == recipe)
        keep = keeps.get(recipe)
        if keep is None:
            why = Reason.RECIPE_BROKEN if recipe in broken else Reason.RECIPE_GONE
            found += [_decision(image, Action.LEAVE, why) for image in its]
        else:
            found += _of_recipe(its, keep, now)
    return found


def _is_in_scope(image: Resource) -> bool:
    owned = {labels.RECIPE, labels.RUN, labels.ROLE} <= labels_of(image).keys()
    return owned and is_promoted(image) and is_ready(image)


def _of_recipe(images: Sequence[Resource], keep: Keep, now: datetime) -> Iterator[Decision]:
    newer: list[Resource] = []  # usable ones; the newest first
    for image in images:
        yield _of_image(image, newer, keep, now)
        if is_usable(image):
            newer.append(image)


def _of_image(image: Resource, newer: Sequence[Resource], keep: Keep, now: datetime) -> Decision:
    if len(newer) < keep.last:
        return _decision(image, Action.LEAVE, Reason.WITHIN_KEEP)
    beyond = created_at(newer[-keep.last])
    if keep.days is not None:
        beyond = max(beyond, created_at(image) + timedelta(days=keep.days))
    due = beyond + 2 * keep.grace
    if now < beyond:
        return _decision(image, Action.LEAVE, Reason.WITHIN_KEEP)
    if labels.PIN in labels_of(image):
        return _decision(image, Action.LEAVE, Reason.PINNED)
    if now < due:
        until = f"deleted from {due:%Y-%m-%d %H:%M %Z}"
        return _decision(image, Action.LEAVE, Reason.GRACE, until)
    return _decision(image, Action.DELETE, Reason.NOT_KEPT)


def _decision(image: Resource, action: Action, reason: Reason, detail: str = "") -> Decision:
    return Decision(
        image=str(image["name"]),
        id=str(image["id"]),
        recipe=labels_of(image)[labels.RECIPE],
        kind=MACHINE_IMAGE,
        do=action,
        reason=reason,
        detail=detail,
    )
