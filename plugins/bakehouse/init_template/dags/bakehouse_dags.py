"""The DAGs that Airflow runs for the recipes and fleets in include/."""

from pathlib import Path

from bakehouse.dag_factory import register_dags

register_dags(globals(), Path(__file__).parent.parent / "include")
