"""One Airflow DAG per recipe: from a commit to a promoted image, and to the fleets that follow.

plugins/bakehouse/dag_factory/bake.py names the tasks and their order. A broken recipe has no DAG;
dags/broken_recipes.py shows what is wrong with it.
"""

from __future__ import annotations

from pathlib import Path

from bakehouse.dag_factory import register_dags

register_dags(globals(), Path(__file__).parent.parent / "include", flows=["bake"])
