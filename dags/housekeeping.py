"""One Airflow DAG that sweeps what runs left behind, retires images and shows drift.

plugins/bakehouse/dag_factory/housekeeping.py names the tasks and their order.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.dag_factory import register_dags

register_dags(
    globals(),
    Path(__file__).parent.parent / "include",
    flows=["housekeeping"],
    schedule="0 6 * * *",
    timezone="UTC",
    owner="bakehouse",
    notify=[],  # of a run that is late or fails, as in a recipe: [{"notifier": "smtp", ...}]
)
