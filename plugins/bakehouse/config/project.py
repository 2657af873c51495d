"""The whole of include/: every recipe, fleet and script, and every mistake of every file.

The DAG files, their import errors and `bakehouse validate` all read it here, so they tell the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bakehouse.fleet import rules as fleet_rules
from bakehouse.fleet.load import load_fleets
from bakehouse.fleet.model import Fleet
from bakehouse.recipe import rules
from bakehouse.recipe.load import load_recipes, mistake_at
from bakehouse.recipe.mistakes import Mistake, Mistakes
from bakehouse.recipe.model import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bakehouse.recipe.rules import Broken

Named = TypeVar("Named", Recipe, Fleet)

RECIPES, FLEETS, SCRIPTS = "recipes", "fleets", "startup_scripts"


@dataclass(frozen=True)
class Project:
    """What is right, and what is not: one Mistakes for each broken file."""

    recipes: list[Recipe]
    fleets: list[Fleet]
    broken_recipes: list[Mistakes]
    broken_fleets: list[Mistakes]


def read_project(include: Path) -> Project:
    """Everything but the scripts, which decide what a bake makes and not whether there is a DAG."""
    recipes, unreadable = load_recipes(include / RECIPES)
    fleets, unreadable_fleets = load_fleets(include / FLEETS)
    broken = rules.between(recipes, _stems(unreadable))
    wrong = _files(include / RECIPES, broken)
    known = {*(recipe.name for recipe in recipes), *_stems(unreadable)}
    adrift = fleet_rules.between(fleets, {recipe.name: recipe for recipe in recipes}, known)
    return Project(
        recipes=_without(recipes, broken),
        fleets=_without(fleets, adrift),
        broken_recipes=_in_order([*unreadable, *wrong]),
        broken_fleets=_in_order([*unreadable_fleets, *_files(include / FLEETS, adrift)]),
    )


def read_scripts(include: Path, recipes: Sequence[Recipe]) -> list[Mistakes]:
    """What is wrong in the scripts, one Mistakes for each file; rendered are those of `recipes`.

    The other folders may be of recipes that are wrong themselves: what can be told of them, is.
    """
    from bakehouse.recipe.scripts import INSTALL, wrong_in, wrong_with
    from bakehouse.recipe.templates import script_environment

    texts = _texts(include / SCRIPTS)
    environment = script_environment({**_guest_texts(), **texts}, f"include/{SCRIPTS}")
    found = wrong_in(texts)
    told = {mistake.file for mistake in found}
    for recipe in recipes:
        install = f"{recipe.scripts}/{INSTALL}"
        if install not in texts:
            found.append(_lacks_install(include, recipe))
        elif f"include/{SCRIPTS}/{install}" not in told:
            found += wrong_with(recipe, environment)
    return _by_file(found)


def everything_wrong(include: Path) -> list[Mistakes]:
    """All mistakes below include/, as DAG import errors show them."""
    project = read_project(include)
    return [*recipes_wrong(include, project), *project.broken_fleets]


def recipes_wrong(include: Path, project: Project) -> list[Mistakes]:
    """Those of recipes and their scripts."""
    return [*project.broken_recipes, *read_scripts(include, project.recipes)]


def _without(models: Sequence[Named], broken: Sequence[Broken]) -> list[Named]:
    names = {one.recipe for one in broken}
    return [model for model in models if model.name not in names]


def _files(folder: Path, broken: Sequence[Broken]) -> list[Mistakes]:
    return [
        Mistakes(
            mistake_at(folder / f"{name}.yaml", one.loc, one.problem, one.remedy) for one in found
        )
        for name, found in rules.by_recipe(broken).items()
    ]


def _stems(broken: Iterable[Mistakes]) -> list[str]:
    return [Path(one.mistakes[0].file).stem for one in broken]


def _in_order(broken: Iterable[Mistakes]) -> list[Mistakes]:
    return sorted(broken, key=lambda one: one.mistakes[0])


def _by_file(mistakes: Iterable[Mistake]) -> list[Mistakes]:
    files: dict[str, list[Mistake]] = {}
    for mistake in sorted(set(mistakes)):
        files.setdefault(mistake.file, []).append(mistake)
    return [Mistakes(found) for found in files.values()]


def _lacks_install(include: Path, recipe: Recipe) -> Mistake:
    file = include / RECIPES / f"{recipe.name}.yaml"
    problem = f"lacks include/{SCRIPTS}/{recipe.scripts}/install.sh.j2"
    return mistake_at(file, ("scripts",), problem, "Write it, or name the folder that has one")


def _guest_texts() -> dict[str, str]:
    from bakehouse.recipe.guest_scripts import guest_scripts

    return {name: file.data.decode() for name, file in guest_scripts().items()}


def _texts(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): file.read_text("utf-8", "replace")
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.suffix in {".j2", ".sh"}
    }
