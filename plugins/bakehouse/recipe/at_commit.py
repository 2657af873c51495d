"""A recipe and its scripts at a commit, or in a work tree."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from bakehouse.recipe.collect import Collected, collect, lacking
from bakehouse.recipe.commit import RECIPES, SCRIPTS, GitFile
from bakehouse.recipe.git.errors import NotInCommit, SourceError
from bakehouse.recipe.guest_scripts import guest_scripts
from bakehouse.recipe.load import load_recipe
from bakehouse.recipe.mistakes import Mistake, Mistakes
from bakehouse.recipe.scripts import mistakes_in, wrong_with

if TYPE_CHECKING:
    from bakehouse.recipe.git.repository import Repository
    from bakehouse.recipe.model import Recipe
    from bakehouse.recipe.snapshot import Snapshot


def recipe_at(repository: Repository, sha: str, name: str) -> Recipe:
    """Read the recipe at a commit. Raises NotInCommit, and Mistakes with those of its scripts."""
    path = f"{RECIPES}/{name}.yaml"
    content = repository.read(sha, path)
    try:
        return load_recipe(content, path)
    except Mistakes as wrong:
        more = list[Mistake]()
        with suppress(SourceError):  # a server that does not answer has no part in them
            folder = folder_of(content, name)
            scripts = scripts_in(repository.snapshot(sha), folder)
            more = [*scripts.mistakes, *mistakes_in(scripts.files, folder)]
        raise Mistakes([*wrong.mistakes, *more]) from None


def scripts_at(repository: Repository, sha: str, recipe: Recipe) -> dict[str, GitFile]:
    """Read the recipe's scripts and Bakehouse's own at a commit, as render() needs them.

    Bakehouse's own are those of the package, unless the commit has a file of the same name.
    Raises NotInCommit when the commit has no folder for this recipe, and Mistakes for files that
    cannot reach a builder.
    """
    found = scripts_in(repository.snapshot(sha), recipe.scripts)
    if found.mistakes:
        raise Mistakes([*found.mistakes, *wrong_with(recipe, found.files, found.mistakes)])
    if lacking(found.files, recipe.scripts):
        raise NotInCommit(
            f"commit {sha[:12]} of {repository.name} has no {SCRIPTS}/{recipe.scripts}/:"
            f" commit the scripts of {recipe.name}, or name their folder in `scripts`"
        )
    return found.files


def folder_of(content: bytes, name: str) -> str:
    """Return the folder that a recipe with mistakes names, as far as that can be read."""
    text = content.decode("utf-8", "replace")
    found = re.search(r"^scripts:\s*[\"']?([\w-]+)", text, re.MULTILINE)
    return found[1] if found else name


def scripts_in(snapshot: Snapshot, folder: str) -> Collected:
    """Collect the scripts of a folder, and Bakehouse's own, with everything that is wrong."""
    found = collect(snapshot, folder)
    return Collected({**guest_scripts(), **found.files}, found.mistakes)
