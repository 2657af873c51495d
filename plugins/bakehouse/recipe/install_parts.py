"""The install of a recipe: `install.sh.j2`, or the parts in `install.d/`, run in order. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.recipe.commit import SCRIPTS, shown
from bakehouse.recipe.mistakes import Mistake

if TYPE_CHECKING:
    from collections.abc import Iterable

INSTALL = "install.sh.j2"
PARTS = "install.d/"
_PART = re.compile(r"install\.d/[0-9]{2}-[A-Za-z0-9][A-Za-z0-9_.-]*\.sh\.j2")


def is_part(path: str) -> bool:
    """Whether a path below the recipe's folder is a part of its install."""
    return _PART.fullmatch(path) is not None


def parts_in(paths: Iterable[str]) -> tuple[str, ...]:
    """The templates of the install by their path below the recipe's folder, in order.

    The order is that of their names, by bytes: whatever language a computer has, it is the same.
    """
    known = set(paths)
    own = (INSTALL,) if INSTALL in known else ()
    return own or tuple(sorted(path for path in known if is_part(path)))


def has_install(files: Iterable[str], folder: str) -> bool:
    """Whether the folder of a recipe has an install."""
    start = f"{folder}/"
    return bool(parts_in(path.removeprefix(start) for path in files if path.startswith(start)))


def wrong_parts(paths: Iterable[str], folder: str) -> list[Mistake]:
    """Find files in `install.d/` that nothing would run, and a second install beside it."""
    known = sorted(paths)
    found = [path for path in known if path.startswith(PARTS)]
    wrong = []
    if found and INSTALL in known:
        remedy = f"Rename {INSTALL} to {PARTS}00-base.sh.j2, or move the parts into it"
        problem = f"is a second install beside {PARTS}"
        wrong.append(Mistake(f"{SCRIPTS}/{folder}/{INSTALL}", 1, "", "", problem, remedy))
    for path in found:
        if not is_part(path):
            remedy = f"Name it {PARTS}NN-name.sh.j2 with two digits, or move it to another folder"
            problem = "is no part of the install"
            wrong.append(Mistake(shown(f"{SCRIPTS}/{folder}/{path}"), 1, "", "", problem, remedy))
    return wrong
