"""Resolve the base image of a bake: the newest one, or for a backfill the newest at its date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.bake.plan import BaseImage
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.images.revocation import refusal_to_use
from bakehouse.images.selection import ChosenImage, newest_of_recipe, newest_then, not_older
from bakehouse.recipe.base import BaseFamily, BaseRecipe
from bakehouse.recipe.base import BaseImage as FixedImage
from bakehouse.recipe.limits import ARM, X86, architecture_of

if TYPE_CHECKING:
    from datetime import datetime

    from bakehouse.bake.image_reads import ImageReads
    from bakehouse.recipe.model import Builder


def resolve(
    reads: ImageReads,
    base: BaseFamily | FixedImage | BaseRecipe,
    then: datetime | None,
    promoted: str | None = None,
    *,
    local: bool = False,
) -> BaseImage:
    """Resolve the `base` of a recipe to an image.

    Args:
        reads: the reads of images; errors of their calls are their own.
        base: as the recipe has it.
        then: a moment of the past, for a backfill; None for now.
        promoted: of the recipe that is built on, the image whose promotion asks for this bake: it
            is that one or a newer one.
        local: for a local build, for which the images of local builds count as well.

    Raises:
        PermanentError: there is none, nothing may be made of it, or it is older than `promoted`.
    """
    chosen = _chosen(reads, base, then, promoted, local=local)
    if chosen is None:
        raise PermanentError(_nothing(base))
    if (refused := refusal_to_use(chosen.image)) is not None:
        raise PermanentError(f"base: {base} cannot be used as a base: {refused}")
    return BaseImage(
        self_link=str(chosen.image["selfLink"]),
        id=str(chosen.image["id"]),
        name=str(chosen.image["name"]),
        reason=chosen.reason,
        disk_gb=int(chosen.image.get("diskSizeGb") or 0),
        architecture=str(chosen.image.get("architecture") or ""),
    )


def check_fits(base: BaseImage, builder: Builder) -> None:
    """Check that a builder's disk can be created from the image, and that it can boot it.

    Raises:
        PermanentError: the disk is too small, or the machine's processors are of another kind.
    """
    if builder.disk_gb < base.disk_gb:
        raise PermanentError(
            f"builder.disk_gb is {builder.disk_gb}, but the base image {base.name} has"
            f" {base.disk_gb} GB: set it to {base.disk_gb} or more"
        )
    machine = architecture_of(builder.machine_type)
    if base.architecture in {ARM, X86} and base.architecture != machine:
        raise PermanentError(
            f"the base image {base.name} is for {base.architecture}, but {builder.machine_type}"
            f" is {machine}: choose another base or builder.machine_type"
        )


def _nothing(base: BaseFamily | FixedImage | BaseRecipe) -> str:
    if isinstance(base, BaseRecipe):
        return (
            f"the recipe {base.recipe} has no promoted image yet to build on: bake it first, with"
            f" bake__{base.recipe}; its promotion triggers this recipe's bake"
        )
    return f"no image exists for base: {base}; correct the recipe's base"


def _chosen(
    reads: ImageReads,
    base: BaseFamily | FixedImage | BaseRecipe,
    then: datetime | None,
    promoted: str | None,
    *,
    local: bool,
) -> ChosenImage | None:
    if isinstance(base, FixedImage):
        found = reads.image(base.image, base.project)
        return ChosenImage(found, Reason.NEWEST_BASE) if found else None
    if isinstance(base, BaseRecipe):
        images = reads.images_of_recipe(base.recipe)
        if promoted and promoted not in {image["name"] for image in images}:
            missing = reads.image(promoted)  # a list may be a moment behind
            images += [missing] if missing else []
        chosen = newest_of_recipe(images, base.recipe, then, local=local)
        return not_older(chosen, promoted, images)
    if then is None:
        found = reads.image_of_family(base.project, base.family)
        return ChosenImage(found, Reason.NEWEST_BASE) if found else None
    return newest_then(reads.images_of_family(base.project, base.family), then)
