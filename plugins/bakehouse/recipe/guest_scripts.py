"""Bakehouse's own guest scripts, which are part of the package.

Templates refer to them by their path below include/startup_scripts: `*.j2` at the top, all others
below `guest/`. A file of the same name at the commit replaces one.
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
_MODE = 0o100644  # fixed, since modes are part of the content key


@cache
def guest_scripts() -> Mapping[str, GitFile]:
    """Return all guest scripts by their path below include/startup_scripts."""
    found = (entry for entry in _FOLDER.iterdir() if entry.is_file())
    return MappingProxyType(
        {_name(entry.name): GitFile(_MODE, entry.read_bytes()) for entry in found}
    )


def _name(file: str) -> str:
    return file if file.endswith(".j2") else f"{GUEST}/{file}"
