"""Decide the family and state of an image that passed its smoke test. Pure."""

from __future__ import annotations

from typing import NamedTuple

from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.image_kinds import CUSTOM_IMAGE, MACHINE_IMAGE
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import is_promoted


class Promotion(NamedTuple):
    """The family and state that an image is to have."""

    family: str | None
    state: str
    reason: Reason


def promotion(family: str, *, history: bool, kind: str = CUSTOM_IMAGE) -> Promotion:
    """Return the promotion of a run's image.

    A backfill rebuilds the past: its images never become the newest of a family. A machine image
    has no family: its label alone promotes it.

    Args:
        family: the recipe's.
        history: whether the run is of a backfill.
        kind: an `ImageKind`.
    """
    if history:
        return Promotion(None, labels.HISTORY, Reason.KEPT_AS_HISTORY)
    if kind == MACHINE_IMAGE:
        return Promotion(None, labels.PROMOTED, Reason.PROMOTED)
    return Promotion(family, labels.PROMOTED, Reason.PROMOTED)


def needs_family(image: Resource, promotion: Promotion) -> bool:
    """Whether the family is still to be set."""
    return promotion.family is not None and image.get("family") != promotion.family


def needs_state(image: Resource, promotion: Promotion) -> bool:
    """Whether the state label is still to be set; a promoted image stays so, whoever asks."""
    state = labels_of(image).get(labels.STATE)
    return state != promotion.state and not is_promoted(image)
