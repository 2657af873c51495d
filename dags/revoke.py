"""One Airflow DAG that takes an image out of use, with all that is built on it.

plugins/bakehouse/dag_factory/revoke.py names the tasks and their order.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.dag_factory import register_dags

register_dags(
    globals(),
    Path(__file__).parent.parent / "include",
    flows=["revoke"],
    owner="bakehouse",
    notify=[],  # of a run that is late or fails; recipes and fleets name who hears of a revocation
)
