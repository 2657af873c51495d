"""Files of a recipe that look as if Bakehouse read them, and missing checks. Pure.

Every file of the folder reaches the builder, so a name that Bakehouse does not know is no mistake
as such: a script of the recipe may use it. One that looks like a name of the contract, and that
nothing of the recipe mentions, was written for Bakehouse, which does not run it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bakehouse.core.nearest import nearest
from bakehouse.recipe.base import BaseRecipe
from bakehouse.recipe.commit import RECIPES, SCRIPTS
from bakehouse.recipe.install_parts import PARTS
from bakehouse.recipe.mistakes import Mistake
from bakehouse.recipe.templates import TEMPLATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bakehouse.recipe.commit import GitFile
    from bakehouse.recipe.model import Recipe

SMOKE_TEST, HEALTH = "smoke_test.sh", "health"
READ = frozenset(
    {"install.sh.j2", "prepare.sh.j2", SMOKE_TEST, HEALTH, "gate", "drain", "resume", "finalise"}
)
_FOLDERS = frozenset({TEMPLATES.rstrip("/"), PARTS.rstrip("/")})
_OTHER_NAMES = {
    "healthcheck": HEALTH,
    "check": HEALTH,
    "test": SMOKE_TEST,
    "setup": "install.sh.j2",
}
_ENDING = re.compile(r"(?:\.(?:sh|bash|py|j2|jinja|jinja2|tpl|tmpl))+$", re.IGNORECASE)


def unread_files(recipe: Recipe, files: Mapping[str, GitFile]) -> Iterator[Mistake]:
    """Find files and folders that nobody reads, each with the name that was probably meant.

    Args:
        recipe: The recipe.
        files: All files by their path below SCRIPTS.
    """
    own = _own(recipe, files)
    tops = {path.partition("/")[0]: "/" in path for path in own}
    for name, is_folder in sorted(tops.items()):
        meant = _meant_folder(name) if is_folder else _meant_file(name)
        if meant is None or meant in tops or name == recipe.ready.own_script:
            continue
        if not _is_mentioned(name, own):
            file = f"{SCRIPTS}/{recipe.scripts}/{name}"
            problem = f"is read by nobody: did you mean {meant}?"
            remedy = f"Rename it to {meant}, or use it in a script of this folder"
            yield Mistake(file, 1, "", "", problem, remedy)


def missing_checks(recipe: Recipe, files: Mapping[str, GitFile]) -> Iterator[Mistake]:
    """Find a recipe whose images would be promoted without any check of what they are for."""
    file = f"{RECIPES}/{recipe.name}.yaml"
    own = _own(recipe, files)
    checks = [name for name in (SMOKE_TEST, HEALTH) if name in own]
    ready = recipe.ready
    checks += [
        f"ready.{name}" for name in ("tcp", "http", "unit", "script") if getattr(ready, name)
    ]
    if recipe.smoke.none:
        if SMOKE_TEST in own:
            problem = f"is given, but the folder {recipe.scripts} has {SMOKE_TEST}"
            yield Mistake(file, 1, "smoke", "none", problem, f"Remove this line, or {SMOKE_TEST}")
    elif not checks and not isinstance(recipe.base, BaseRecipe):
        folder = f"{SCRIPTS}/{recipe.scripts}"
        problem = f"checks nothing: {folder} has neither {SMOKE_TEST} nor {HEALTH}"
        remedy = "Write one of them, or `smoke: none` if a boot is check enough"
        yield Mistake(file, 1, "", "", problem, remedy)


def _own(recipe: Recipe, files: Mapping[str, GitFile]) -> dict[str, GitFile]:
    start = f"{recipe.scripts}/"
    return {path.removeprefix(start): f for path, f in files.items() if path.startswith(start)}


def _meant_folder(name: str) -> str | None:
    return None if name in _FOLDERS else nearest(name, _FOLDERS)


def _meant_file(name: str) -> str | None:
    """The name of the contract that this one is like: by its stem, whatever its ending is."""
    if name in READ:
        return None
    stem = _stem(name)
    by_stem = {_stem(known): known for known in READ}
    if stem in _OTHER_NAMES:
        return _OTHER_NAMES[stem]
    if stem in by_stem:
        return by_stem[stem]
    if _ENDING.search(name) is None and "." in name:
        return None  # install.cfg, health.json: data of another kind
    found = nearest(stem, by_stem)
    return by_stem[found] if found is not None and _is_slip(stem, found) else None


def _stem(name: str) -> str:
    return _ENDING.sub("", name).lower().replace("-", "_").replace("_", "")


def _is_slip(stem: str, known: str) -> bool:
    """A letter more or less: `instal` is install, `drains` is drain, and `rain` is a word."""
    return stem[:2] == known[:2] and abs(len(stem) - len(known)) <= 2


def _is_mentioned(name: str, own: Mapping[str, GitFile]) -> bool:
    word = re.compile(rf"(?<![\w.-]){re.escape(name)}(?![\w-])".encode())
    return any(word.search(file.data) for path, file in own.items() if path != name)
