"""Shows every mistake of every broken fleet as an import error of Airflow; defines no DAG.

A file of its own: an import error takes all DAGs of its file with it, and the other fleets
must go on.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.fleet.load import load_fleets

_, broken = load_fleets(Path(__file__).parent.parent / "include" / "fleets")
if broken:
    raise ValueError("\n" + "\n".join(str(mistakes) for mistakes in broken))
