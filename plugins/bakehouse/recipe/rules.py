"""Rules across recipes: bases form a tree, and no two recipes share a family. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bakehouse.images.image_kinds import MACHINE_IMAGE
from bakehouse.recipe.base import BaseRecipe
from bakehouse.recipe.limits import architecture_of
from bakehouse.recipe.mistakes import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bakehouse.recipe.model import Recipe

Loc = tuple[str | int, ...]


class Broken(NamedTuple):
    """A rule that a recipe breaks: the field, the problem and the remedy."""

    recipe: str
    loc: Loc
    problem: str
    remedy: str


def parent_of(recipe: Recipe) -> str | None:
    """Return the recipe that this one is built on."""
    return recipe.base.recipe if isinstance(recipe.base, BaseRecipe) else None


def children_of(name: str, recipes: Sequence[Recipe]) -> list[str]:
    """List the recipes that are built on this one, by name."""
    return sorted(recipe.name for recipe in recipes if parent_of(recipe) == name)


def ancestors_of(recipe: Recipe, recipes: Sequence[Recipe]) -> list[str]:
    """List the recipes below this one, nearest first; each recipe of a cycle once."""
    return _ancestors(recipe, {one.name: parent_of(one) for one in recipes})


class Relatives:
    """The relatives of each of many recipes: each costs what it finds, however many there are."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        """Take all recipes of a project."""
        self._by_name = {one.name: one for one in recipes}
        self._parents = {one.name: parent_of(one) for one in recipes}
        self._children: dict[str | None, list[Recipe]] = {}
        for one in recipes:
            self._children.setdefault(parent_of(one), []).append(one)

    def of(self, recipe: Recipe) -> list[Recipe]:
        """Return the recipes below this one and those built on it."""
        return [*self.below(recipe), *self._children.get(recipe.name, [])]

    def below(self, recipe: Recipe) -> list[Recipe]:
        """Return the recipes below this one."""
        below = _ancestors(recipe, self._parents)
        return [self._by_name[name] for name in below if name in self._by_name]


def _ancestors(recipe: Recipe, parents: Mapping[str, str | None]) -> list[str]:
    found: list[str] = []
    name = parent_of(recipe)
    while name is not None and name not in found:
        found.append(name)
        name = parents.get(name)
    return found


def between(recipes: Sequence[Recipe], unreadable: Sequence[str] = ()) -> list[Broken]:
    """List every broken rule; `unreadable` are recipes whose own files have mistakes.

    A recipe that is built on an unreadable one stays: its parent's images still exist.
    """
    return [*_families(recipes), *_bases(recipes, unreadable)]


def _bases(recipes: Sequence[Recipe], unreadable: Sequence[str]) -> Iterator[Broken]:
    known = {*(recipe.name for recipe in recipes), *unreadable}
    parents = {recipe.name: parent_of(recipe) for recipe in recipes}
    by_name = {recipe.name: recipe for recipe in recipes}
    whole = {recipe.name for recipe in recipes if recipe.image.kind == MACHINE_IMAGE}
    for recipe in recipes:
        parent = parent_of(recipe)
        if parent is None:
            continue
        if parent in whole:
            problem = f"is the recipe {parent}, which creates machine images"
            remedy = "Use a recipe that creates custom images: a boot disk needs one"
            yield Broken(recipe.name, ("base", "recipe"), problem, remedy)
        elif parent not in known:
            others = sorted(known - {recipe.name})
            problem = f"names the recipe {parent}, which does not exist"
            yield Broken(recipe.name, ("base", "recipe"), problem, did_you_mean(parent, others))
        elif recipe.name in (below := _ancestors(recipe, parents)):
            yield _cycle(recipe.name, below[: below.index(recipe.name) + 1])
        elif parent in by_name:
            yield from _fit(recipe, by_name[parent])


def _fit(recipe: Recipe, parent: Recipe) -> Iterator[Broken]:
    """A disk is as large as its image, and the machine's processors are those of its programs."""
    own, below = recipe.builder, parent.builder
    if own.disk_gb < below.disk_gb:
        problem = f"is smaller than the {below.disk_gb} GB of {parent.name}'s images"
        remedy = f"Set it to {below.disk_gb} or more"
        yield Broken(recipe.name, ("builder", "disk_gb"), problem, remedy)
    if architecture_of(own.machine_type) != (kind := architecture_of(below.machine_type)):
        problem = f"cannot boot images of {parent.name}, which are for {kind}"
        remedy = f"Choose a machine type for {kind}, such as {below.machine_type}"
        yield Broken(recipe.name, ("builder", "machine_type"), problem, remedy)


def _cycle(name: str, below: Sequence[str]) -> Broken:
    if len(below) == 1:
        problem, files = "is the recipe itself", "this file"
    else:
        problem = f"is part of a cycle: {' -> '.join([name, *below])}"
        files = " or ".join(f"{one}.yaml" for one in sorted(below))
    remedy = f"Give {files} a base that is a family, such as debian-cloud/debian-12"
    return Broken(name, ("base", "recipe"), problem, remedy)


def _families(recipes: Sequence[Recipe]) -> Iterator[Broken]:
    """A family belongs to the recipe of the same name, else to the first by name."""
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
                yield Broken(name, ("image", "family"), problem, _another(family))


def _another(family: str) -> str:
    own = f" (images of both would take turns as the newest of {family})"
    return f"Choose another one, or remove the field to use the recipe's name{own}"


def by_recipe(broken: Sequence[Broken]) -> Mapping[str, list[Broken]]:
    """Group broken rules by recipe."""
    found: dict[str, list[Broken]] = {}
    for one in broken:
        found.setdefault(one.recipe, []).append(one)
    return found
