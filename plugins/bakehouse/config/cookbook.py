"""The cookbook: recipes in the package that a project copies and changes. Pure."""

from __future__ import annotations

import difflib
import re
from importlib.resources import files
from typing import TYPE_CHECKING

from bakehouse.config.folder import INCLUDE
from bakehouse.recipe.base import RECIPE_NAME
from bakehouse.recipe.model import RESERVED_SCRIPTS

if TYPE_CHECKING:
    from importlib.abc import Traversable
    from pathlib import Path

_COOKBOOK = files("bakehouse") / "cookbook"
_RECIPE, _SCRIPTS = "recipe.yaml", "startup_scripts"
_IGNORED = frozenset({"__pycache__", "node_modules"})


class CannotCopy(ValueError):
    """A recipe of the cookbook cannot be copied like this; the message says why in one line."""


def names() -> tuple[str, ...]:
    """The recipes of the cookbook, sorted."""
    return tuple(sorted(e.name for e in _COOKBOOK.iterdir() if (e / _RECIPE).is_file()))


def description(name: str) -> str:
    """What one of them makes: the line `description` of its file."""
    text = (_COOKBOOK / name / _RECIPE).read_text("utf-8")
    found = re.search(r"^description: (.+)$", text, re.MULTILINE)
    return found[1] if found else ""


def copy(name: str, new_name: str, project: Path) -> list[Path]:
    """Write a recipe of the cookbook into a project, under a name of its own.

    Args:
        name: The recipe in the cookbook, such as postgres.
        new_name: What it is called in the project.
        project: The folder that holds include/.

    Returns:
        The files, the recipe first.

    Raises:
        CannotCopy: There is no such recipe, or the new name is none or taken; nothing is written.
    """
    if name not in names():
        near = difflib.get_close_matches(name, names(), n=1)
        meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(names())}"
        raise CannotCopy(f"the cookbook has no recipe {name!r}: {meant}")
    if not re.fullmatch(RECIPE_NAME, new_name) or new_name in RESERVED_SCRIPTS:
        raise CannotCopy(
            f"{new_name!r} cannot be the name of a recipe: it has at most 35 lower-case letters, "
            "digits and hyphens, begins with a letter, ends with no hyphen, and is not 'guest'"
        )
    recipe = project / INCLUDE / "recipes" / f"{new_name}.yaml"
    scripts = project / INCLUDE / _SCRIPTS / new_name
    for path in (recipe, scripts):
        if path.exists() or path.is_symlink():
            raise CannotCopy(f"{path} exists: choose another name, or remove it")
    source = _COOKBOOK / name
    return [*_copy(source / _RECIPE, recipe), *sorted(_copy(source / _SCRIPTS, scripts))]


def _copy(source: Traversable, target: Path) -> list[Path]:
    if source.is_dir():
        entries = [entry for entry in source.iterdir() if entry.name not in _IGNORED]
        return [file for entry in entries for file in _copy(entry, target / entry.name)]
    data = source.read_bytes()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    # a wheel may have lost the mode
    target.chmod(0o755 if data.startswith(b"#!") else 0o644)
    return [target]
