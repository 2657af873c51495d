"""Rules across fleets and recipes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.recipe.mistakes import did_you_mean
from bakehouse.recipe.rules import Broken

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bakehouse.fleet.model import Fleet
    from bakehouse.recipe.model import Recipe


def between(
    fleets: Sequence[Fleet], recipes: Mapping[str, Recipe], known: Collection[str]
) -> list[Broken]:
    """List every broken rule; `known` includes the recipes whose files have mistakes."""
    return [one for fleet in fleets for one in _of(fleet, recipes, known)]


def _of(fleet: Fleet, recipes: Mapping[str, Recipe], known: Collection[str]) -> Iterator[Broken]:
    if fleet.recipe not in known:
        problem = f"names the recipe {fleet.recipe}, which does not exist"
        remedy = did_you_mean(fleet.recipe, sorted(known))
        yield Broken(fleet.name, ("recipe",), problem, remedy)
    recipe = recipes.get(fleet.recipe)
    if recipe and recipe.image.kind == MACHINE_IMAGE and fleet.strategy == "swap":
        problem = f"is the recipe {fleet.recipe}, which creates machine images"
        remedy = (
            "A boot disk can only be created from a custom image: remove image.kind from"
            f" {fleet.recipe}.yaml, or this fleet"
        )
        yield Broken(fleet.name, ("recipe",), problem, remedy)
