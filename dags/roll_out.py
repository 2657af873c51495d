"""One Airflow DAG per fleet: onto any image of the history, so also the way back."""

from __future__ import annotations

from pathlib import Path

from bakehouse.config.project import read_project
from bakehouse.dag_factory.rollout import roll_out_dag

# A broken fleet has no DAG; dags/broken_fleets.py shows what is wrong with it.
for fleet in read_project(Path(__file__).parent.parent / "include").fleets:
    dag = roll_out_dag(fleet)
    globals()[dag.dag_id] = dag
