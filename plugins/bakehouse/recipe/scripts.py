"""What can be known to be wrong in a recipe's scripts before any commit or machine. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime

from jinja2 import Environment, TemplateError

from bakehouse.recipe.lint import unquoted_of
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.source import SCRIPTS, Commit
from bakehouse.recipe.templates import bad_templates, where

INSTALL = "install.sh.j2"
COMMIT = Commit(
    sha="0" * 40,
    ref="HEAD",
    subject="",
    author_time=datetime(2026, 1, 1, tzinfo=UTC),
    author="",
)


def wrong_in(folders: Collection[str], texts: Mapping[str, str]) -> list[Mistake]:
    """Of these folders of scripts: values without quotes, templates that are none."""
    own = {path: text for path, text in texts.items() if path.partition("/")[0] in folders}
    return [*unquoted_of(own, SCRIPTS), *bad_templates(own, SCRIPTS)]


def wrong_with(recipe: Recipe, environment: Environment) -> Iterator[Mistake]:
    """What goes wrong when install.sh.j2 is rendered with the recipe's own vars."""
    name = f"{recipe.scripts}/{INSTALL}"
    names = {"recipe": recipe, "vars": recipe.vars, "git_sha": COMMIT.sha, "commit": COMMIT}
    try:
        environment.get_template(name).render(names)
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        file, line, problem = where(error, f"{SCRIPTS}/{name}")
        remedy = f"Mend it, or name it in the vars of {recipe.name}.yaml"
        yield Mistake(file, line, "the script", "", f"cannot be rendered: {problem}", remedy)
