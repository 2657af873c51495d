"""`bakehouse init`: a project that starts, from the template in the package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

from bakehouse import __version__
from bakehouse.config.folder import INCLUDE
from bakehouse.config.package_files import copy_files
from bakehouse.config.schema import write_schemas
from bakehouse.recipe.git.command import Git, GitFailed

if TYPE_CHECKING:
    from pathlib import Path

_TEMPLATE = files("bakehouse") / "init_template"
_HIDDEN = frozenset({"gitignore", "dockerignore"})  # in the package without their dot
_MESSAGE = "Start from bakehouse init"


class NotEmpty(ValueError):
    """The folder holds files already; the message says so in one line."""


def write_project(folder: Path) -> list[Path]:
    """Write every file of the template; returns them. Raises NotEmpty before it writes any."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise NotEmpty(f"{folder} is not an empty folder: choose another one")
    written = copy_files(_TEMPLATE, folder, name=_named, content=_filled)
    return sorted([*written, *write_schemas(folder / INCLUDE)])


def commit_project(folder: Path) -> str:
    """Make it the first commit of a new repository; returns what was done or is left to do."""
    git = Git(folder, {})
    try:
        if _is_inside_work_tree(git):
            return "this is inside a git repository: commit the files before the first bake"
        git.text("init", "--quiet")
        git.text("add", "--all")
        git.text("commit", "--quiet", "--message", _MESSAGE)
    except GitFailed as failed:
        return f"not committed ({failed}): commit the files before the first bake"
    return f"committed as {git.text('rev-parse', '--short', 'HEAD')}: a bake reads commits only"


def _filled(data: bytes) -> bytes:
    return data.replace(b"@VERSION@", __version__.encode())


def _named(name: str) -> str:
    return f".{name}" if name in _HIDDEN else name


def _is_inside_work_tree(git: Git) -> bool:
    try:
        return git.text("rev-parse", "--is-inside-work-tree") == "true"
    except GitFailed as failed:
        if "not a git repository" in failed.output:
            return False
        raise
