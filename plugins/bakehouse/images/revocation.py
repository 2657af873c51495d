"""The revocation of images: descendants, and what is refused afterwards. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE, kind_of
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import DeprecationState, deprecation_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

REVOCABLE = frozenset({labels.PROMOTED, labels.HISTORY, labels.REVOKED})
NOTHING_IS_MADE_OF = frozenset({DeprecationState.OBSOLETE, DeprecationState.DELETED})


class RevokedImage(Frozen):
    """The revoked image, or one that is built on it."""

    name: str
    id: str
    recipe: str
    git_sha: str = ""
    kind: str = CUSTOM_IMAGE.value  # or machine_image


class Revocation(Frozen):
    """What is revoked, and why."""

    image: RevokedImage
    why: str
    descendants: tuple[RevokedImage, ...] = ()

    def reaches(self, image_id: str) -> RevokedImage | None:
        """The image of this id, when it must not be run any more."""
        every = (self.image, *self.descendants)
        return next((image for image in every if image.id == image_id), None)


def revoked_image(image: Resource) -> RevokedImage:
    """An image of Compute Engine as the tasks of a revocation hand it on."""
    told = labels_of(image)
    return RevokedImage(
        name=str(image["name"]),
        id=str(image["id"]),
        recipe=told.get(labels.RECIPE, ""),
        git_sha=told.get(labels.GIT_SHA, ""),
        kind=kind_of(image),
    )


def refusal_to_revoke(image: Resource) -> str | None:
    """Why this image cannot be revoked, as a sentence; None when it can."""
    told, name = labels_of(image), image["name"]
    if not {labels.RECIPE, labels.RUN, labels.STATE} <= told.keys():
        return f"{name} is not an image of Bakehouse (it lacks the labels)"
    state = told[labels.STATE]
    if state not in REVOCABLE:
        return (
            f"{name} is not promoted (its bakehouse-state is {state}): no fleet can use it,"
            " and housekeeping deletes it"
        )
    return None


def refusal_to_use(image: Resource) -> str | None:
    """Why nothing may be made of this image, as a sentence; None when something may.

    It is revoked, built on a revoked one, or obsolete. One that is only deprecated can be used by
    whoever names it. Any image may be asked about, also one that Bakehouse did not make.
    """
    told, name = labels_of(image), image.get("name")
    if told.get(labels.STATE) == labels.REVOKED:
        return f"{name}: {Reason.REVOKED.text}"
    if labels.REVOKED_BASE in told:
        base = told[labels.REVOKED_BASE]
        return (
            f"{name}: {Reason.REVOKED_BASE.text} (id {base}); bake {told.get(labels.RECIPE)} again"
        )
    state = deprecation_state(image)
    if state in NOTHING_IS_MADE_OF:
        return f"{name} is {state}: Compute Engine creates no disk from it any more"
    return None


def descendants(image_id: str, images: Iterable[Resource]) -> list[Resource]:
    """Every image whose chain of base images leads to this one, nearest first.

    Source: the label `base-image-id`. A circle of labels ends; the image itself is not among them.
    """
    children: dict[str, list[Resource]] = {}
    for image in images:
        base = labels_of(image).get(labels.BASE_IMAGE_ID)
        if base:
            children.setdefault(base, []).append(image)
    found: dict[str, Resource] = {}
    waiting = [image_id]
    while waiting:
        for child in children.get(waiting.pop(0), []):
            child_id = str(child["id"])
            if child_id not in found and child_id != image_id:
                found[child_id] = child
                waiting.append(child_id)
    return list(found.values())


def recipes_to_bake(revoked: Revocation) -> Sequence[str]:
    """The recipes whose images cannot be used any more, the revoked image's own first."""
    return list(dict.fromkeys([revoked.image.recipe, *(d.recipe for d in revoked.descendants)]))
