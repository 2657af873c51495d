"""`bakehouse new recipe`: a recipe of one's own, from an example that the package ships."""

from __future__ import annotations

import re
from importlib.resources import files
from typing import TYPE_CHECKING

from bakehouse.config.folder import INCLUDE
from bakehouse.config.package_files import copy_files
from bakehouse.config.project import RECIPES, SCRIPTS
from bakehouse.core.nearest import did_you_mean
from bakehouse.recipe.base import RECIPE_NAME
from bakehouse.recipe.model import RESERVED_SCRIPTS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

COOKBOOK = files("bakehouse") / "cookbook"
_MINIMAL = files("bakehouse") / "init_template" / "include"


class CannotCreate(ValueError):
    """The recipe cannot be written; the message says why and what to do, in one line."""


def examples() -> list[str]:
    """Return the names of the cookbook's recipes."""
    if not COOKBOOK.is_dir():
        return []
    return sorted(entry.name for entry in COOKBOOK.iterdir() if (entry / "recipe.yaml").is_file())


def write_recipe(project: Path, name: str, example: str | None = None) -> list[Path]:
    """Write include/recipes/NAME.yaml and include/startup_scripts/NAME; returns the files.

    Args:
        project: The project's folder.
        name: Of the new recipe.
        example: One of `examples()`; None: a small web server.

    Raises:
        CannotCreate: The name is not a recipe's, it is taken, or there is no such example.
    """
    if not re.fullmatch(RECIPE_NAME.strip("^$"), name):
        raise CannotCreate(
            f"{name!r} is no name of a recipe: at most 35 of a-z, 0-9 and -, a letter first"
        )
    if name in RESERVED_SCRIPTS:
        raise CannotCreate(f"{name!r} is Bakehouse's own folder of scripts: choose another name")
    recipe = project / INCLUDE / RECIPES / f"{name}.yaml"
    folder = project / INCLUDE / SCRIPTS / name
    for taken in (recipe, folder):
        if taken.exists():
            raise CannotCreate(f"{taken} exists already: choose another name, or remove it")
    source, scripts = _source(example)
    return [*copy_files(source, recipe), *copy_files(scripts, folder)]


def _source(example: str | None) -> tuple[Traversable, Traversable]:
    if example is None:
        return _MINIMAL / RECIPES / "web.yaml", _MINIMAL / SCRIPTS / "web"
    known = examples()
    if example not in known:
        raise CannotCreate(
            f"the cookbook has no {example!r}{did_you_mean(example, known)}"
            f" It has {', '.join(known) or 'no recipes'}"
        )
    folder = COOKBOOK / example
    return folder / "recipe.yaml", folder / SCRIPTS
