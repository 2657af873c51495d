"""Airflow DAGs per fleet: onto any image of the history, so also back; and to finalise its data.

plugins/bakehouse/dag_factory/rollout.py names the tasks and their order. A broken fleet has no
DAG; dags/broken_fleets.py shows what is wrong with it.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.dag_factory import register_dags

register_dags(globals(), Path(__file__).parent.parent / "include", flows=["rollout", "finalise"])
