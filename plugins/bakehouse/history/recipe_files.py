"""Reads the file of a recipe and the folder of its scripts at a commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.recipe.at_commit import folder_of
from bakehouse.recipe.commit import RECIPES, SCRIPTS
from bakehouse.recipe.git.errors import NotInCommit
from bakehouse.recipe.git.open import open_repository

if TYPE_CHECKING:
    from pathlib import Path

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


def files_of_both(place: str | Path, recipe: str, old: str, new: str) -> tuple[Files, Files]:
    """Return the files at two commits of the repository at a path or URL. Raises SourceError."""
    with open_repository(place) as repository:
        return recipe_files(repository, old, recipe), recipe_files(repository, new, recipe)
