"""Taking an image out of use for good: what it reaches, and what may no longer be made. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE

Resource = Mapping[str, Any]
REVOCABLE = frozenset({labels.PROMOTED, labels.HISTORY, labels.REVOKED})


class Bad(Frozen):
    """The revoked image, or one that is built upon it."""

    name: str
    id: str
    recipe: str
    git_sha: str = ""
    kind: str = CUSTOM_IMAGE  # or MACHINE_IMAGE


class Revocation(Frozen):
    """What is revoked, and why."""

    image: Bad
    why: str
    descendants: tuple[Bad, ...] = ()

    def reaches(self, image_id: str) -> Bad | None:
        """The image of this id, when it must not be run any more."""
        return next((b for b in (self.image, *self.descendants) if b.id == image_id), None)


def bad(image: Resource) -> Bad:
    """The image as tasks hand it on."""
    told = image.get("labels") or {}
    return Bad(
        name=str(image["name"]),
        id=str(image["id"]),
        recipe=told.get(labels.RECIPE, ""),
        git_sha=told.get(labels.GIT_SHA, ""),
        kind=MACHINE_IMAGE if image.get("kind") == "compute#machineImage" else CUSTOM_IMAGE,
    )


def refusal(image: Resource) -> str | None:
    """Why this image cannot be revoked; None when it can."""
    told, name = image.get("labels") or {}, image["name"]
    if not {labels.RECIPE, labels.RUN, labels.STATE} <= told.keys():
        return f"{name} is not an image of Bakehouse (it lacks its labels)"
    state = told[labels.STATE]
    if state not in REVOCABLE:
        return (
            f"{name} is not promoted (its bakehouse-state is {state}): no fleet can be given it,"
            " and housekeeping deletes it"
        )
    return None


def descendants(image_id: str, images: Iterable[Resource]) -> list[Resource]:
    """Every image whose chain of base images leads to this one, nearest first."""
    children: dict[str, list[Resource]] = {}
    for image in images:
        base = (image.get("labels") or {}).get(labels.BASE_IMAGE_ID)
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


def why_not(image: Resource) -> str | None:
    """Why nothing may be made of this image: revoked, built upon a revoked one, or obsolete."""
    told = image.get("labels") or {}
    name = image.get("name")
    if told.get(labels.STATE) == labels.REVOKED:
        return f"{name}: {Reason.REVOKED.text}"
    if labels.REVOKED_BASE in told:
        base = told[labels.REVOKED_BASE]
        return (
            f"{name}: {Reason.REVOKED_BASE.text} (id {base}); bake {told.get(labels.RECIPE)} anew"
        )
    state = (image.get("deprecated") or {}).get("state")
    if state in {"OBSOLETE", "DELETED"}:
        return f"{name} is {state}: Compute Engine makes no disk from it any more"
    return None


def recipes_to_bake(revoked: Revocation) -> Sequence[str]:
    """Those whose images are gone with it, the image's own first."""
    return list(dict.fromkeys([revoked.image.recipe, *(d.recipe for d in revoked.descendants)]))
