"""Shows the mistakes in include/ as an import error of Airflow; defines no DAG.

A file of its own: an import error removes all DAGs of its file.
"""

from pathlib import Path

from bakehouse.dag_factory import raise_for_broken_files

raise_for_broken_files(Path(__file__).parent.parent / "include")
