"""Mistakes in a recipe's scripts that can be found without a VM. Pure.

`bakehouse validate` asks for the work tree what plan_bake asks for a commit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import SCRIPTS, Commit
from bakehouse.recipe.install_parts import INSTALL
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.payload import TooBig
from bakehouse.recipe.render import RenderError, WrongScripts, mistakes_in, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bakehouse.recipe.commit import GitFile
    from bakehouse.recipe.model import Recipe

COMMIT = Commit(
    sha="0" * 40,
    ref="HEAD",
    subject="",
    author_time=datetime(2026, 1, 1, tzinfo=UTC),
    author="",
)

__all__ = ["COMMIT", "mistakes_in", "wrong_with"]


def wrong_with(
    recipe: Recipe, files: Mapping[str, GitFile], lost: Sequence[Mistake] = ()
) -> list[Mistake]:
    """Find everything that fails when plan_bake renders the recipe.

    Args:
        recipe: The recipe.
        files: All files by their path below SCRIPTS.
        lost: Why files are not among them: an install script that is one of them is not missing.
    """
    try:
        render(recipe, COMMIT, files)
    except WrongScripts as wrong:
        folder = f"{SCRIPTS}/{recipe.scripts}"
        is_lost = any(one.file in {folder, f"{folder}/{INSTALL}"} for one in lost)
        return [one for one in wrong.mistakes if not (is_lost and one.where == "scripts")]
    except (RenderError, TooBig) as wrong:
        where = f"{SCRIPTS}/{recipe.scripts}"
        return [Mistake(where, 1, "", "", str(wrong), "")]
    return []
