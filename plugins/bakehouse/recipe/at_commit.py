"""A recipe and its scripts at a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.recipe.commit import GUEST, RECIPES, SCRIPTS, GitFile
from bakehouse.recipe.git.errors import NotInCommit
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.load import load_recipe

if TYPE_CHECKING:
    from bakehouse.recipe.git.repository import Repository
    from bakehouse.recipe.model import Recipe


def recipe_at(repository: Repository, sha: str, name: str) -> Recipe:
    """Read the recipe at a commit. Raises NotInCommit, load.Mistakes."""
    path = f"{RECIPES}/{name}.yaml"
    return load_recipe(repository.read(sha, path), path)


def scripts_at(repository: Repository, sha: str, recipe: Recipe) -> dict[str, GitFile]:
    """Read the recipe's scripts and Bakehouse's own at a commit, as render() needs them.

    Bakehouse's own are those of the package, unless the commit has a file of the same name.
    Raises NotInCommit when the commit has no folder for this recipe.
    """
    everything = repository.files(sha, SCRIPTS)
    wanted = (f"{recipe.scripts}/", f"{GUEST}/")
    found = {p: f for p, f in everything.items() if p.startswith(wanted) or "/" not in p}
    if not any(path.startswith(wanted[0]) for path in found):
        raise NotInCommit(
            f"commit {sha[:12]} of {repository.name} has no {SCRIPTS}/{recipe.scripts}/:"
            f" commit the scripts of {recipe.name}, or name their folder in `scripts`"
        )
    return {**guest_scripts(), **found}
