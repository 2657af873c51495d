"""Bakehouse's own scripts for machines: they travel in the package, beside the code that uses them.

Templates name them as if they lay in include/startup_scripts: the `*.j2` at its top, all others
below `guest/`. A commit that has a file of the same name there replaces one.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import GUEST, GitFile

if TYPE_CHECKING:
    from collections.abc import Mapping

_FOLDER = files("bakehouse") / "guest"
_MODE = 0o100644  # whatever the installed file has: modes are part of the content key


@cache
def guest_scripts() -> Mapping[str, GitFile]:
    """Each by its name below include/startup_scripts."""
    found = (entry for entry in _FOLDER.iterdir() if entry.is_file())
    return MappingProxyType(
        {_name(entry.name): GitFile(_MODE, entry.read_bytes()) for entry in found}
    )


def _name(file: str) -> str:
    return file if file.endswith(".j2") else f"{GUEST}/{file}"
