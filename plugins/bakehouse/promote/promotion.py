"""Where an image goes that has proved itself: into its family, or into the history. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from bakehouse.bake.plan import created_at
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE


class Promotion(NamedTuple):
    """The family and state that an image is to have."""

    family: str | None
    state: str
    reason: Reason


def promotion(family: str, *, history: bool, kind: str = CUSTOM_IMAGE) -> Promotion:
    """A backfill rebuilds the past: its images never become the newest of a family.

    A machine image has none: it is promoted by its label alone.
    """
    if history:
        return Promotion(None, labels.HISTORY, Reason.KEPT_AS_HISTORY)
    if kind == MACHINE_IMAGE:
        return Promotion(None, labels.PROMOTED, Reason.PROMOTED)
    return Promotion(family, labels.PROMOTED, Reason.PROMOTED)


def newest_two(images: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of a family's images, or a recipe's, the promoted one that is newest and the one before."""
    promoted = [
        image
        for image in images
        if (image.get("labels") or {}).get(labels.STATE) == labels.PROMOTED
    ]
    return sorted(promoted, key=created_at, reverse=True)[:2]


def wants_family(image: Mapping[str, Any], wanted: Promotion) -> bool:
    """The family is still to be set."""
    return wanted.family is not None and image.get("family") != wanted.family


def previous(images: Iterable[Mapping[str, Any]], name: str) -> str | None:
    """The name of the family's image before this one, of all that are in the family."""
    known = {str(image["name"]): created_at(image) for image in images}
    mine = known.pop(name, None)  # a list may lag behind
    older = {other: made for other, made in known.items() if mine is None or made < mine}
    return max(older, key=lambda other: older[other], default=None)


def wants_state(image: Mapping[str, Any], wanted: Promotion) -> bool:
    """The state label is still to be set; one that was promoted stays so, whoever asks."""
    state = (image.get("labels") or {}).get(labels.STATE)
    return state not in {wanted.state, labels.PROMOTED}
