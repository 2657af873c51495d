"""The DAGs of a project.

A DAG file names the folder `include/` and registers them:

    # Airflow looks only into files that hold the words "airflow" and "dag".
    from bakehouse.dag_factory import register_dags

    register_dags(globals(), "/opt/airflow/include")

A file with mistakes has no DAG; the others are not affected. A second DAG file shows the mistakes
as an import error, which removes all DAGs of its own file only:

    from bakehouse.dag_factory import raise_for_broken_files  # for Airflow; defines no DAG

    raise_for_broken_files("/opt/airflow/include")
"""

from bakehouse.dag_factory.dag_file import raise_for_broken_files, register_dags

__all__ = ["raise_for_broken_files", "register_dags"]
