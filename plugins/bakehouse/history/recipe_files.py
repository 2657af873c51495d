"""Reads the file of a recipe and the folder of its scripts at the commits of two images."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from bakehouse.recipe.at_commit import folder_of
from bakehouse.recipe.commit import RECIPES, SCRIPTS
from bakehouse.recipe.git.errors import NotInCommit, SourceError

if TYPE_CHECKING:
    from bakehouse.history.comparison import Files
    from bakehouse.recipe.git.repository import Repository


def recipe_files(repository: Repository, sha: str, recipe: str) -> Files:
    """Return the files by path. Raises SourceError if the commit or the recipe is not there."""
    path = f"{RECIPES}/{recipe}.yaml"
    content = repository.read(sha, path)
    folder = f"{SCRIPTS}/{folder_of(content, recipe)}"
    try:
        scripts = repository.files(sha, folder)
    except NotInCommit:
        scripts = {}
    return {path: content, **{f"{folder}/{name}": file.data for name, file in scripts.items()}}


class RecipeCommit(NamedTuple):
    """A recipe at a commit."""

    recipe: str
    sha: str


def files_of_both(
    repository: Repository, old: RecipeCommit, new: RecipeCommit
) -> tuple[Files, Files]:
    """Return the files of a recipe at two commits.

    Raises SourceError if a commit is not there, or if they are two recipes.
    """
    if old.recipe != new.recipe:
        raise SourceError(f"they are images of two recipes, {old.recipe} and {new.recipe}")
    before, after = (recipe_files(repository, one.sha, one.recipe) for one in (old, new))
    return before, after
