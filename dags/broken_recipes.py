"""Shows every mistake of every recipe and its scripts as an import error of Airflow; no DAG.

A file of its own: an import error takes all DAGs of its file with it, and the other recipes
must go on.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.config.project import read_project, recipes_wrong
from bakehouse.recipe.mistakes import told

include = Path(__file__).parent.parent / "include"
broken = recipes_wrong(include, read_project(include))
if broken:
    raise ValueError("\n" + told(broken))
