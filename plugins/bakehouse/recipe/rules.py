"""What must hold between recipes: their bases form a tree, and no family has two of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.recipe.base import BaseRecipe
from bakehouse.recipe.mistakes import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bakehouse.recipe.model import Recipe

Loc = tuple[str | int, ...]


class Broken(NamedTuple):
    """A rule that a recipe breaks: where in its file, how, and what to do."""

    recipe: str
    loc: Loc
    problem: str
    remedy: str


def parent_of(recipe: Recipe) -> str | None:
    """The recipe that this one is built on."""
    return recipe.base.recipe if isinstance(recipe.base, BaseRecipe) else None


def children_of(name: str, recipes: Sequence[Recipe]) -> list[str]:
    """The recipes that are built on this one, by name."""
    return sorted(recipe.name for recipe in recipes if parent_of(recipe) == name)


def ancestors_of(recipe: Recipe, recipes: Sequence[Recipe]) -> list[str]:
    """The recipes below this one, nearest first; a circle is gone round once."""
    parents = {one.name: parent_of(one) for one in recipes}
    found: list[str] = []
    name = parent_of(recipe)
    while name is not None and name not in found:
        found.append(name)
        name = parents.get(name)
    return found


def between(recipes: Sequence[Recipe], unreadable: Sequence[str] = ()) -> list[Broken]:
    """Every rule that is broken; `unreadable` are names whose own files are broken.

    A recipe on top of an unreadable one stays: its parent's images are still there to build on.
    """
    return [*_families(recipes), *_bases(recipes, unreadable)]


def _bases(recipes: Sequence[Recipe], unreadable: Sequence[str]) -> Iterator[Broken]:
    known = sorted({*(recipe.name for recipe in recipes), *unreadable})
    whole = {recipe.name for recipe in recipes if recipe.image.kind == MACHINE_IMAGE}
    for recipe in recipes:
        parent = parent_of(recipe)
        if parent is None:
            continue
        if parent in whole:
            problem = f"is the recipe {parent}, which makes machine images"
            remedy = "Build on one that makes custom images: a disk is made from those only"
            yield Broken(recipe.name, ("base", "recipe"), problem, remedy)
        elif parent not in known:
            others = [name for name in known if name != recipe.name]
            problem = f"names the recipe {parent}, which is not there"
            yield Broken(recipe.name, ("base", "recipe"), problem, did_you_mean(parent, others))
        elif recipe.name in (below := ancestors_of(recipe, recipes)):
            yield _circle(recipe.name, below[: below.index(recipe.name) + 1])


def _circle(name: str, below: Sequence[str]) -> Broken:
    if len(below) == 1:
        problem, files = "is the recipe itself", "this file"
    else:
        problem = f"goes round in a circle: {' -> '.join([name, *below])}"
        files = " or ".join(f"{one}.yaml" for one in sorted(below))
    remedy = f"Give {files} a base that is a family, such as debian-cloud/debian-12"
    return Broken(name, ("base", "recipe"), problem, remedy)


def _families(recipes: Sequence[Recipe]) -> Iterator[Broken]:
    """The recipe of the family's own name has it, else the first by name."""
    by_family: dict[str, list[str]] = {}
    for recipe in recipes:
        if recipe.image.kind == MACHINE_IMAGE:
            continue
        by_family.setdefault(recipe.family, []).append(recipe.name)
    for family, names in by_family.items():
        owner = family if family in names else min(names)
        for name in names:
            if name != owner:
                problem = f"is the family of the recipe {owner} too"
                yield Broken(name, ("image", "family"), problem, _another(family, owner))


def _another(family: str, owner: str) -> str:
    own = f" (images of {owner} would be the newest of {family} by turns)"
    return f"Choose another, or leave it out for the recipe's own name{own}"


def by_recipe(broken: Sequence[Broken]) -> Mapping[str, list[Broken]]:
    """The same, for each recipe that has any."""
    found: dict[str, list[Broken]] = {}
    for one in broken:
        found.setdefault(one.recipe, []).append(one)
    return found
