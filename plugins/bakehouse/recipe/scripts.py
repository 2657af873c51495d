"""Mistakes in a recipe's scripts that can be found without a commit or a VM. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import SCRIPTS, Commit
from bakehouse.recipe.lint import unquoted_of
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.templates import Faults, bad_templates, render_script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jinja2 import Environment

    from bakehouse.recipe.model import Recipe

INSTALL = "install.sh.j2"
COMMIT = Commit(
    sha="0" * 40,
    ref="HEAD",
    subject="",
    author_time=datetime(2026, 1, 1, tzinfo=UTC),
    author="",
)


def wrong_in(texts: Mapping[str, str]) -> list[Mistake]:
    """Find unquoted expressions and invalid templates in all recipes' scripts, by path."""
    own = {path: text for path, text in texts.items() if "/" in path}
    return [*unquoted_of(own, SCRIPTS), *bad_templates(own, SCRIPTS)]


def wrong_with(recipe: Recipe, environment: Environment) -> Iterator[Mistake]:
    """Find what fails when install.sh.j2 is rendered with the recipe's vars."""
    name = f"{recipe.scripts}/{INSTALL}"
    names = {"recipe": recipe, "vars": recipe.vars, "git_sha": COMMIT.sha, "commit": COMMIT}
    remedy = f"Correct it, or add it to the vars of {recipe.name}.yaml"
    try:
        render_script(environment, name, names)
    except Faults as wrong:
        for file, line, problem in wrong.faults:
            yield Mistake(file, line, "the script", "", f"cannot be rendered: {problem}", remedy)
