"""Mistakes in a recipe's scripts that can be found without a VM. Pure.

`bakehouse validate` asks for the work tree what plan_bake asks for a commit.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import SCRIPTS, Commit
from bakehouse.recipe.install_parts import has_install
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.payload import TooBig
from bakehouse.recipe.render import RenderError, WrongScripts, mistakes_in, render, wrong_at_boot
from bakehouse.recipe.templates import Faults

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.recipe.commit import GitFile
    from bakehouse.recipe.model import Recipe

COMMIT = Commit(
    sha="0" * 40,
    ref="HEAD",
    subject="",
    author_time=datetime(2026, 1, 1, tzinfo=UTC),
    author="",
)

__all__ = ["COMMIT", "has_install", "mistakes_in", "wrong_with"]


def wrong_with(recipe: Recipe, files: Mapping[str, GitFile]) -> list[Mistake]:
    """Find everything that fails when plan_bake renders the recipe."""
    remedy = f"Correct it, or add it to the vars of {recipe.name}.yaml"
    try:
        render(recipe, COMMIT, files)
    except WrongScripts as wrong:
        return list(wrong.mistakes)
    except Faults as wrong:
        found = [
            Mistake(file, line, "the script", "", f"cannot be rendered: {problem}", remedy)
            for file, line, problem in wrong.faults
        ]
        return [*found, *wrong_at_boot(recipe, files)]
    except (RenderError, TooBig) as wrong:
        where = f"{SCRIPTS}/{recipe.scripts}"
        return [Mistake(where, 1, "", "", str(wrong), "")]
    return []
