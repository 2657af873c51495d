"""Fleet files: the machinery of recipe files, with what a fleet file holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.core.tasks import Flow, task_ids
from bakehouse.fleet.model import Fleet
from bakehouse.recipe.load import Kind, Mistakes, load_folder, load_text

if TYPE_CHECKING:
    from pathlib import Path

FLEETS = Kind(Fleet, task_ids(Flow.ROLLOUT), begin="recipe: web")


def load_fleet(text: str, path: str) -> Fleet:
    """The fleet of a file; `path` gives the name and stands in messages. Raises Mistakes."""
    return load_text(FLEETS, text, path)


def load_fleets(folder: Path) -> tuple[list[Fleet], list[Mistakes]]:
    """All `*.yaml` of a folder by name; a broken file is a Mistakes and breaks no other."""
    return load_folder(FLEETS, folder)
