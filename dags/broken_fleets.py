"""Shows every mistake of every broken fleet as an import error of Airflow; defines no DAG.

A file of its own: an import error takes all DAGs of its file with it, and the other fleets
must go on.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.config.project import read_project
from bakehouse.recipe.mistakes import told

broken = read_project(Path(__file__).parent.parent / "include").broken_fleets
if broken:
    raise ValueError("\n" + told(broken))
