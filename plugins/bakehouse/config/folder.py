"""Where a project lies: the folder that holds airflow_settings.yaml and include/. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = "airflow_settings.yaml"
INCLUDE = "include"


class NotAProject(ValueError):
    """Neither this folder nor one above it is a project."""


def find_project(start: Path) -> Path:
    """`start` or the nearest folder above it with airflow_settings.yaml. Raises NotAProject."""
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / SETTINGS).is_file():
            return folder
    raise NotAProject(f"{start} is not in a Bakehouse project: {SETTINGS} is missing")
