"""A recipe and its scripts at a commit, or in a work tree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.recipe.collect import Collected, collect, lacking
from bakehouse.recipe.commit import RECIPES, SCRIPTS, GitFile
from bakehouse.recipe.git.errors import NotInCommit
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.mistakes import Mistakes
from bakehouse.recipe.render import mistakes_in

if TYPE_CHECKING:
    from bakehouse.recipe.git.repository import Repository
    from bakehouse.recipe.model import Recipe
    from bakehouse.recipe.snapshot import Snapshot


def recipe_at(repository: Repository, sha: str, name: str) -> Recipe:
    """Read the recipe at a commit. Raises NotInCommit, load.Mistakes."""
    path = f"{RECIPES}/{name}.yaml"
    return load_recipe(repository.read(sha, path), path)


def scripts_at(repository: Repository, sha: str, recipe: Recipe) -> dict[str, GitFile]:
    """Read the recipe's scripts and Bakehouse's own at a commit, as render() needs them.

    Bakehouse's own are those of the package, unless the commit has a file of the same name.
    Raises NotInCommit when the commit has no folder for this recipe, and Mistakes for files that
    cannot reach a builder.
    """
    found = scripts_in(repository.snapshot(sha), recipe.scripts)
    if found.mistakes:
        raise Mistakes([*found.mistakes, *mistakes_in(found.files, recipe.scripts)])
    if lacking(found.files, recipe.scripts):
        raise NotInCommit(
            f"commit {sha[:12]} of {repository.name} has no {SCRIPTS}/{recipe.scripts}/:"
            f" commit the scripts of {recipe.name}, or name their folder in `scripts`"
        )
    return found.files


def scripts_in(snapshot: Snapshot, folder: str) -> Collected:
    """Collect the scripts of a folder, and Bakehouse's own, with everything that is wrong."""
    found = collect(snapshot, folder)
    return Collected({**guest_scripts(), **found.files}, found.mistakes)
