"""What a bake can make of a stopped builder. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class ImageKind(StrEnum):
    """The value is what recipes, plans and the ledger hold."""

    CUSTOM_IMAGE = "custom_image"
    """The boot disk: it may have a family and be deprecated, and fleets are rolled out from it."""
    MACHINE_IMAGE = "machine_image"
    """The whole machine: Compute Engine gives it no family and no deprecation."""


CUSTOM_IMAGE, MACHINE_IMAGE = ImageKind.CUSTOM_IMAGE, ImageKind.MACHINE_IMAGE


def kind_of(image: Mapping[str, Any]) -> ImageKind:
    """The kind of an image as Compute Engine shows it.

    Source: the resource's `kind`, `compute#image` or `compute#machineImage`.
    """
    return MACHINE_IMAGE if image.get("kind") == "compute#machineImage" else CUSTOM_IMAGE
