"""The states of runs by Airflow's own tables."""

from __future__ import annotations


def run_state(dag_id: str, run_id: str) -> str | None:
    """Return the state of a DAG's run; None if there is no such run."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    asked = select(DagRun.state).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    with create_session() as session:
        found = session.scalar(asked)
    return None if found is None else str(getattr(found, "value", found))
