"""One Airflow DAG that says what a bake or a rollout would stumble over, and what mends it.

plugins/bakehouse/preflight/setup.py names the checks and their order.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.dag_factory import register_dags

register_dags(
    globals(), Path(__file__).parent.parent / "include", flows=["check_setup"], owner="bakehouse"
)
