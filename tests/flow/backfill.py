"""A backfill asked for on SQLite, which may be another's in the middle of the asking."""

from __future__ import annotations

from typing import Any

from tests.support.deadlines import SOON

from devstack.airflow_api import Airflow, AirflowError
from devstack.waiting import wait_until

TRIES = 3


def backfill(airflow: Airflow, dag_id: str, first: str, last: str, **more: Any) -> None:
    """Of the nights of these days, once no other backfill of the DAG goes on.

    Airflow may refuse with "Database is locked" when it has made some of the runs: the backfill
    then exists, a second one is refused as well (409), and has to be asked for when it is over.
    """
    body = {
        "dag_id": dag_id,
        "from_date": f"{first}T00:00:00Z",
        "to_date": f"{last}T23:00:00Z",
        **more,
    }
    airflow.unpause(dag_id)
    for number in range(1, TRIES + 1):
        wait_until(lambda: not going_on(airflow, dag_id), SOON, "the earlier backfill")
        try:
            airflow.call("POST", "/backfills", json=body)
        except AirflowError as error:
            if number == TRIES or "409" not in str(error):
                raise
        else:
            return


def going_on(airflow: Airflow, dag_id: str) -> list[int]:
    """Backfills of the DAG that are not completed."""
    found = airflow.call("GET", "/backfills", params={"dag_id": dag_id})["backfills"]
    return [one["id"] for one in found if not one["completed_at"]]
