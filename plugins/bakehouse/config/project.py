"""Read include/: all recipes, fleets and scripts, and all mistakes of all files.

The DAG files, their import errors and `bakehouse validate` use it, and report the same mistakes.
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bakehouse.fleet import declared
from bakehouse.fleet import rules as fleet_rules
from bakehouse.fleet.load import load_fleets
from bakehouse.fleet.model import Fleet
from bakehouse.recipe import limits, rules
from bakehouse.recipe.load import FILES, load_recipes, mistake_at
from bakehouse.recipe.mistakes import Mistake, Mistakes
from bakehouse.recipe.model import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from bakehouse.recipe.limits import Problem
    from bakehouse.recipe.rules import Broken
    from bakehouse.recipe.snapshot import Snapshot

Named = TypeVar("Named", Recipe, Fleet)

RECIPES, FLEETS, SCRIPTS = "recipes", "fleets", "startup_scripts"


@dataclass(frozen=True)
class Project:
    """The valid recipes and fleets, and one Mistakes for each file with mistakes."""

    recipes: list[Recipe]
    fleets: list[Fleet]
    broken_recipes: list[Mistakes]
    broken_fleets: list[Mistakes]


def read_project(include: Path, only: str | None = None) -> Project:
    """Read recipes and fleets, not scripts: a recipe with a broken script keeps its DAG.

    Args:
        include: The folder with recipes/ and fleets/.
        only: The one recipe to read, with all fleets: what costs the same however many recipes
            there are. What it breaks of the rules across recipes is not found.
    """
    recipes, unreadable = load_recipes(include / RECIPES, only)
    fleets, unreadable_fleets = load_fleets(include / FLEETS)
    known = {file.stem for file in (include / RECIPES).glob(FILES)}
    broken = rules.between(recipes, sorted(known))
    broken_fleets = fleet_rules.between(fleets, {recipe.name: recipe for recipe in recipes}, known)
    return Project(
        recipes=_without(recipes, broken),
        fleets=_without(fleets, broken_fleets),
        broken_recipes=_in_order([*unreadable, *_files(include / RECIPES, broken)]),
        broken_fleets=_in_order([*unreadable_fleets, *_files(include / FLEETS, broken_fleets)]),
    )


def read_scripts(
    include: Path,
    recipes: Sequence[Recipe],
    unreadable: Sequence[str] = (),
    *,
    fetch: bool = True,
) -> list[Mistakes]:
    """Check all scripts as plan_bake would, one Mistakes for each file.

    Read is what a commit of everything would have. The scripts of recipes that are `unreadable` are
    checked as far as possible, without rendering. Without `fetch` no server is asked.
    """
    from bakehouse.recipe.at_commit import scripts_in
    from bakehouse.recipe.collect import orphans
    from bakehouse.recipe.git.errors import SourceError
    from bakehouse.recipe.git.work_tree import work_tree
    from bakehouse.recipe.scripts import mistakes_in, wrong_with

    found = list[Mistake]()
    with work_tree(include, fetch=fetch) as snapshot:
        for recipe in recipes:
            found += _lost(snapshot, recipe.name)
        rendered = {recipe.scripts for recipe in recipes}
        for folder in sorted({*rendered, *unreadable}):
            try:
                scripts = scripts_in(snapshot, folder)
            except SourceError as silent:
                found.append(Mistake(f"include/{SCRIPTS}/{folder}", 1, "", "", f"{silent}", ""))
                continue
            found += scripts.mistakes
            if folder not in rendered:
                found += mistakes_in(scripts.files, folder)
            for recipe in (one for one in recipes if one.scripts == folder):
                wrong = wrong_with(recipe, scripts.files, scripts.mistakes)
                found += _located(include, recipe, wrong)
        known = {*rendered, *unreadable, *_scripts_of(include, unreadable)}
        found += orphans(snapshot, known)
    return _by_file(found)


def all_mistakes(include: Path) -> list[Mistakes]:
    """Return all mistakes below include/, as DAG import errors show them."""
    project = read_project(include)
    return [*recipe_mistakes(include, project), *fleet_mistakes(include, project)]


def recipe_mistakes(include: Path, project: Project, *, parsing: bool = False) -> list[Mistakes]:
    """Return the mistakes of recipes and their scripts.

    While a DAG file is `parsing`, no server is asked for a file in Git LFS and no bash for the
    syntax of a script: validate and plan_bake ask both.
    """
    from bakehouse.recipe.shell_syntax import without_bash

    unreadable = _stems(project.broken_recipes)
    with without_bash() if parsing else nullcontext():
        scripts = read_scripts(include, project.recipes, unreadable, fetch=not parsing)
    return [
        *project.broken_recipes,
        *_bad_notifiers(include / RECIPES, project.recipes),
        *_secrets(include / RECIPES, project.recipes, limits.secrets_in_the_open),
        *scripts,
    ]


def fleet_mistakes(include: Path, project: Project) -> list[Mistakes]:
    """Return the mistakes of fleets."""
    return [
        *project.broken_fleets,
        *_bad_notifiers(include / FLEETS, project.fleets),
        *_secrets(include / FLEETS, project.fleets, declared.secrets_in_the_open),
    ]


def _secrets(
    folder: Path, models: Sequence[Named], find: Callable[[Named], list[Problem]]
) -> list[Mistakes]:
    """Find secrets that everybody can read; a DAG is kept, since machines have them already."""
    return _by_file(
        replace(mistake_at(folder / f"{model.name}.yaml", *problem), value="")
        for model in models
        for problem in find(model)
    )


def _bad_notifiers(folder: Path, models: Sequence[Recipe] | Sequence[Fleet]) -> list[Mistakes]:
    """Check the notifiers that are installed here; a DAG is kept, since its bakes do not fail."""
    from bakehouse.notify.notifier import BadNotifier, notifier_class

    found = list[Mistake]()
    for model in models:
        for index, channel in enumerate(model.notify):
            try:
                notifier_class(channel)
            except BadNotifier as bad:
                loc = ("notify", index, bad.field)
                file = folder / f"{model.name}.yaml"
                found.append(mistake_at(file, loc, bad.problem, bad.remedy))
    return _by_file(found)


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


def _scripts_of(include: Path, unreadable: Iterable[str]) -> set[str]:
    """The folders that recipes with mistakes name, as far as that can be read."""
    from bakehouse.recipe.at_commit import folder_of

    found = set[str]()
    for name in unreadable:
        with suppress(OSError):
            found.add(folder_of((include / RECIPES / f"{name}.yaml").read_bytes(), name))
    return found


def _located(include: Path, recipe: Recipe, mistakes: Iterable[Mistake]) -> Iterator[Mistake]:
    """Give the mistakes of the recipe's own fields their lines, which plan_bake does not know."""
    file = include / RECIPES / f"{recipe.name}.yaml"
    for one in mistakes:
        if one.file == f"include/{RECIPES}/{recipe.name}.yaml" and one.where:
            yield mistake_at(file, tuple(one.where.split(".")), one.problem, one.remedy)
        else:
            yield one


def _lost(snapshot: Snapshot, recipe: str) -> list[Mistake]:
    """Find why a commit would not have the recipe's file, though the work tree does."""
    from bakehouse.recipe.snapshot import LinkProblem

    file = f"include/{RECIPES}/{recipe}.yaml"
    try:
        snapshot.resolve(f"{snapshot.prefix}{file}")
    except LinkProblem as problem:
        if snapshot.entry(f"{snapshot.prefix}{file}") is None:
            return [Mistake(file, 1, "", "", "is ignored by git", "Take it out of .gitignore")]
        return [Mistake(file, 1, "", "", f"is a link and {problem}", "Commit the file itself")]
    return []
