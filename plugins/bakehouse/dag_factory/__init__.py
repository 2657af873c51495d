"""The DAGs of a project. A DAG file names where `include/` lies, and registers them:

    # Airflow looks only into files that hold the words "airflow" and "dag".
    from bakehouse.dag_factory import register_dags

    register_dags(globals(), "/opt/airflow/include")

A file that is broken has no DAG and stops no other. What is wrong with it, a second DAG file shows
as an import error, since an import error removes all DAGs of its own file:

    from bakehouse.dag_factory import raise_for_broken_files  # for Airflow; defines no DAG

    raise_for_broken_files("/opt/airflow/include")
"""

from bakehouse.dag_factory.dag_file import raise_for_broken_files, register_dags

__all__ = ["raise_for_broken_files", "register_dags"]
