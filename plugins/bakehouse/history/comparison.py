"""Everything that differs between two images: packages, base, commit, vars, scripts, size. Pure.

The packages are those of the manifests; the rest is in the ledger's bakes and, for the text of the
recipe and its scripts, in git.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml
from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.history.ancestry import bakes_by_image
from bakehouse.history.bake_events import BakeEvent, UpdatesEvent
from bakehouse.history.diff import ImageDiff, full_report
from bakehouse.history.fleet_events import MissingFixesEvent
from bakehouse.history.text_diff import text_diff
from bakehouse.history.versions import newer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bakehouse.history.events import LedgerEvent

Files = dict[str, bytes]
"""Path -> content, of the recipe's file and the folder of its scripts at a commit."""

Fixes = dict[tuple[str, str], set[str]]
"""Name and architecture of a package -> the versions that are security updates."""


class ValueChange(Frozen):
    """A value that differs: of a var, the base, the size; None where one side lacks it."""

    name: str
    old: str | None
    new: str | None


class ImageComparison(Frozen):
    """From one image to another; a pair is the old and the new value, None where it is unknown."""

    packages: ImageDiff
    commit: tuple[str | None, str | None]
    base: tuple[str | None, str | None]
    vars: tuple[ValueChange, ...] = ()
    scripts: str = Field(default="", description="of the recipe and its scripts, as git's diff")
    scripts_unknown: str = Field(default="", description="why there is none")


def compare(
    packages: ImageDiff,
    events: Iterable[LedgerEvent],
    files: tuple[Files, Files] | None = None,
    unknown: str = "",
) -> ImageComparison:
    """Return what differs, with security updates marked.

    Args:
        packages: The difference of the manifests.
        events: Of the ledger.
        files: Of both commits; None: they cannot be read.
        unknown: Why not.
    """
    events = list(events)
    bakes = bakes_by_image(events)
    old, new = bakes.get(packages.old), bakes.get(packages.new)
    return ImageComparison(
        packages=with_security(packages, security_fixes(events)),
        commit=(old.git_sha if old else None, new.git_sha if new else None),
        base=(old.detail.base_image if old else None, new.detail.base_image if new else None),
        vars=changed_vars(old, new, files),
        scripts=text_diff(*files) if files is not None else "",
        scripts_unknown="" if files is not None else unknown,
    )


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[ValueChange, ...]:
    """Return what differs between two maps, in the order of their names there."""
    return tuple(
        ValueChange(name=name, old=before.get(name), new=after.get(name))
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    )


def security_fixes(events: Iterable[LedgerEvent]) -> Fixes:
    """Return every security update that a look at the archives has found."""
    fixes: dict[tuple[str, str], set[str]] = {}
    for event in events:
        if isinstance(event, (UpdatesEvent, MissingFixesEvent)):
            for update in event.detail.found:
                if update.security:
                    fixes.setdefault((update.name, update.arch), set()).add(update.available)
    return fixes


def with_security(found: ImageDiff, fixes: Fixes) -> ImageDiff:
    """Mark the upgrades that contain one of the security updates."""
    upgraded = tuple(
        change.model_copy(
            update={
                "security": any(
                    newer(fix, change.old) and not newer(fix, change.new)
                    for fix in fixes.get((change.name, change.arch), ())
                )
            }
        )
        for change in found.upgraded
    )
    return found.model_copy(update={"upgraded": upgraded})


def report(found: ImageComparison) -> str:
    """Return everything as text for a terminal."""
    return "\n".join([full_report(found.packages), *_lines(found)])


def _lines(found: ImageComparison) -> Iterator[str]:
    for name, (old, new) in (("commit", found.commit), ("base", found.base)):
        same = f"{name}: {old or 'unknown'}, the same"
        yield same if old == new else f"{name}: {old or 'unknown'} -> {new or 'unknown'}"
    if found.vars:
        yield "vars:"
    for change in found.vars:
        yield f"  {change.name}: {change.old or 'none'} -> {change.new or 'none'}"
    if found.scripts_unknown:
        yield f"recipe and scripts: unknown, {found.scripts_unknown}"
    elif found.scripts:
        yield f"recipe and scripts:\n{found.scripts.rstrip()}"
    else:
        yield "recipe and scripts: the same"


def changed_vars(
    old: BakeEvent | None, new: BakeEvent | None, files: tuple[Files, Files] | None
) -> tuple[ValueChange, ...]:
    """Return the vars that differ, by name: those of the recipe's file and of the bake's form."""
    had = _vars_of(old, files[0] if files else {})
    has = _vars_of(new, files[1] if files else {})
    return tuple(sorted(changes(had, has), key=lambda change: change.name))


def _vars_of(bake: BakeEvent | None, files: Files) -> dict[str, str]:
    """Return the vars of the recipe at the commit, with those of the form over them."""
    found: dict[str, object] = {}
    for path, data in files.items():
        if path.endswith(".yaml") and "/recipes/" in path:
            found |= _vars_in(data)
    found |= bake.detail.vars if bake is not None else {}
    return {name: str(value) for name, value in found.items()}


def _vars_in(data: bytes) -> dict[str, object]:
    try:
        form = yaml.safe_load(data)
    except (yaml.YAMLError, UnicodeDecodeError):
        return {}
    given: Mapping[str, object] = form.get("vars") or {} if isinstance(form, dict) else {}
    return dict(given) if isinstance(given, dict) else {}
