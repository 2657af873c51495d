"""Load fleet files, with the loader of recipe files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.tasks import Flow, task_ids
from bakehouse.fleet.declared import problems_of
from bakehouse.fleet.model import Fleet
from bakehouse.recipe.load import Kind, Mistakes, load_folder, load_text

if TYPE_CHECKING:
    from pathlib import Path

FLEETS = Kind(Fleet, task_ids(Flow.ROLLOUT), begin="recipe: web", rules=problems_of)


def load_fleet(text: str, path: str) -> Fleet:
    """Load a fleet; `path` gives its name and is used in messages. Raises Mistakes."""
    return load_text(FLEETS, text, path)


def load_fleets(folder: Path) -> tuple[list[Fleet], list[Mistakes]]:
    """Load all `*.yaml` of a folder, by name; each file with mistakes becomes one Mistakes."""
    return load_folder(FLEETS, folder)
