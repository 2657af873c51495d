"""Run by an environment: writes the DAGs of a project as Airflow stores them, or schedules them.

    serialised.py write DAGS FILE
    serialised.py schedule FILE ANSWER

The second one needs nothing of Bakehouse, as the scheduler of a managed Airflow has nothing.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def write(dags: Path, file: Path) -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.serialization.serialized_objects import DagSerialization

    bag = DagBag(dag_folder=str(dags))
    assert bag.import_errors == {}, bag.import_errors
    stored = {dag_id: DagSerialization.to_dict(dag) for dag_id, dag in bag.dags.items()}
    file.write_text(json.dumps(stored))


def schedule(file: Path, answer: Path) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction

    found: dict[str, Any] = {"has_bakehouse": find_spec("bakehouse") is not None}
    for dag_id, stored in json.loads(file.read_text()).items():
        try:
            dag = DagSerialization.from_dict(stored)
            timetable: Any = dag.timetable
            since: Any = dag.start_date
            restriction = TimeRestriction(since, None, catchup=False)
            info = timetable.next_dagrun_info(
                last_automated_data_interval=None,
                restriction=restriction,
            )
        except Exception as error:
            found[dag_id] = f"{type(error).__name__}: {error}"
        else:
            now = datetime.now(UTC)
            found[dag_id] = None if info is None else (info.run_after - now).total_seconds()
    answer.write_text(json.dumps(found))


if __name__ == "__main__":
    {"write": write, "schedule": schedule}[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
