"""Resolve the base image of a bake: the newest one, or for a backfill the newest at its date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.bake.plan import BaseImage
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.revocation import refusal_to_use
from bakehouse.images.selection import ChosenImage, newest_of_recipe, newest_then, not_older
from bakehouse.recipe.base import BaseFamily, BaseRecipe
from bakehouse.recipe.base import BaseImage as FixedImage
from bakehouse.recipe.limits import ARM, X86, architecture_of

if TYPE_CHECKING:
    from datetime import datetime

    from bakehouse.cloud.compute_hook import ComputeHook
    from bakehouse.recipe.model import Builder


def resolve(
    compute: ComputeHook,
    base: BaseFamily | FixedImage | BaseRecipe,
    then: datetime | None,
    promoted: str | None = None,
    *,
    local: bool = False,
) -> BaseImage:
    """Resolve the `base` of a recipe to an image.

    Args:
        compute: the connection; errors of its calls are its own.
        base: as the recipe has it.
        then: a moment of the past, for a backfill; None for now.
        promoted: of the recipe that is built on, the image whose promotion asks for this bake: it
            is that one or a newer one.
        local: for a local build, for which the images of local builds count as well.

    Raises:
        PermanentError: there is none, nothing may be made of it, or it is older than `promoted`.
    """
    chosen = _chosen(compute, base, then, promoted, local=local)
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
    compute: ComputeHook,
    base: BaseFamily | FixedImage | BaseRecipe,
    then: datetime | None,
    promoted: str | None,
    *,
    local: bool,
) -> ChosenImage | None:
    if isinstance(base, FixedImage):
        found = compute.image(base.image, base.project)
        return ChosenImage(found, Reason.NEWEST_BASE) if found else None
    if isinstance(base, BaseRecipe):
        images = compute.images(f"labels.{labels.RECIPE}={base.recipe}")
        if promoted and promoted not in {image["name"] for image in images}:
            missing = compute.image(promoted)  # a list may be a moment behind
            images += [missing] if missing else []
        chosen = newest_of_recipe(images, base.recipe, then, local=local)
        return not_older(chosen, promoted, images)
    if then is None:
        found = compute.image_of_family(base.project, base.family)
        return ChosenImage(found, Reason.NEWEST_BASE) if found else None
    listed = compute.images(f"family={base.family}", base.project)
    return newest_then([image for image in listed if image.get("family") == base.family], then)
