"""Which image a bake is built on: the newest now, or for a date of the past the newest then."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bakehouse.bake.plan import BaseImage, created_at
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.names import image_time
from bakehouse.images.revocation import why_not
from bakehouse.recipe.base import BaseFamily, BaseRecipe
from bakehouse.recipe.base import BaseImage as FixedImage

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook

Resource = Mapping[str, Any]


class Chosen(NamedTuple):
    """The base image, and why this one."""

    image: Resource
    reason: Reason


def resolve(
    compute: ComputeHook,
    base: BaseFamily | FixedImage | BaseRecipe,
    then: datetime | None,
    promoted: str | None = None,
) -> BaseImage:
    """The image that `base` means, as of `then` when that is given. Raises PermanentError.

    :param promoted: of the recipe that is built on, the image whose promotion asks for this bake:
        it is that one or a newer one.
    """
    chosen = _chosen(compute, base, then, promoted)
    if chosen is None:
        raise PermanentError(_nothing(base))
    if (refused := why_not(chosen.image)) is not None:
        raise PermanentError(f"base: {base} cannot be built upon: {refused}")
    return BaseImage(
        self_link=str(chosen.image["selfLink"]),
        id=str(chosen.image["id"]),
        name=str(chosen.image["name"]),
        reason=chosen.reason,
    )


def _nothing(base: BaseFamily | FixedImage | BaseRecipe) -> str:
    if isinstance(base, BaseRecipe):
        return (
            f"the recipe {base.recipe} has no promoted image yet to build on: bake it first, with"
            f" bake__{base.recipe}; its promotion triggers this recipe's bake"
        )
    return f"there is no image for base: {base}; mend the recipe's base"


def _chosen(
    compute: ComputeHook,
    base: BaseFamily | FixedImage | BaseRecipe,
    then: datetime | None,
    promoted: str | None,
) -> Chosen | None:
    if isinstance(base, FixedImage):
        found = compute.image(base.image, base.project)
        return Chosen(found, Reason.NEWEST_BASE) if found else None
    if isinstance(base, BaseRecipe):
        images = compute.images(f"labels.{labels.RECIPE}={base.recipe}")
        if promoted and promoted not in {image["name"] for image in images}:
            missing = compute.image(promoted)  # a list may be a moment behind
            images += [missing] if missing else []
        return not_older(of_recipe(images, then), promoted, images)
    if then is None:
        found = compute.image_of_family(base.project, base.family)
        return Chosen(found, Reason.NEWEST_BASE) if found else None
    listed = compute.images(f"family={base.family}", base.project)
    return newest_then([image for image in listed if image.get("family") == base.family], then)


def newest_then(images: Iterable[Resource], then: datetime) -> Chosen | None:
    """Of a family's images, deprecated ones too, the newest that was there at `then`.

    Old public images are deleted by their makers: with none left that is old enough it is the
    oldest there is, and the reason says so.
    """
    return _as_of([(created_at(image), image) for image in images if _ready(image)], then)


def of_recipe(images: Iterable[Resource], then: datetime | None) -> Chosen | None:
    """Of a recipe's images the newest promoted one; for the past also one of the history, by the
    date that it stands for and not by the day on which it was rebuilt."""
    states = {labels.PROMOTED} if then is None else {labels.PROMOTED, labels.HISTORY}
    dated = [
        (image_time(str(image["name"])) or created_at(image), image)
        for image in images
        if _ready(image) and _serves(image, states)
    ]
    if then is not None:
        return _as_of(dated, then)
    newest = max((image for _, image in dated if _active(image)), key=created_at, default=None)
    return Chosen(newest, Reason.NEWEST_BASE) if newest else None


def not_older(
    chosen: Chosen | None, promoted: str | None, images: Iterable[Resource]
) -> Chosen | None:
    """The choice, unless the image whose promotion asks for it is newer: then somebody has taken
    that one out of use. Raises PermanentError."""
    if promoted is None or chosen is None or chosen.image["name"] == promoted:
        return chosen
    asked = next((image for image in images if image["name"] == promoted), None)
    asked_at = created_at(asked) if asked else image_time(promoted)
    if asked_at is None or created_at(chosen.image) >= asked_at:
        return chosen
    raise PermanentError(
        f"the promotion of {promoted} asks for this bake, and that image has been taken out of use"
        f" since; {chosen.image['name']}, the newest one there is, is older. Trigger the bake by"
        " hand to build on that one all the same"
    )


def _as_of(dated: list[tuple[datetime, Resource]], then: datetime) -> Chosen | None:
    if not dated:
        return None
    in_order = sorted(dated, key=lambda pair: (pair[0].astimezone(UTC), str(pair[1]["name"])))
    known = [image for when, image in in_order if when <= then]
    if known:
        return Chosen(known[-1], Reason.BASE_OF_THAT_DATE)
    return Chosen(in_order[0][1], Reason.BASE_OF_THAT_DATE_GONE)


def _ready(image: Resource) -> bool:
    return bool(image.get("status", "READY") == "READY")


def _serves(image: Resource, states: set[str]) -> bool:
    told = image.get("labels") or {}
    return told.get(labels.STATE) in states and labels.REVOKED_BASE not in told


def _active(image: Resource) -> bool:
    return bool((image.get("deprecated") or {}).get("state", "ACTIVE") == "ACTIVE")
