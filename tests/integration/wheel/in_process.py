"""Run by the environment of the wheel: describes the DAGs of a project, or runs one.

    in_process.py DAGS ANSWER [DAG_ID]

Airflow's settings come as variables; the answer is JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(dags: Path, answer: Path, dag_id: str = "") -> None:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.plugins_manager import _get_plugins
    from airflow.utils.db import initdb

    import bakehouse

    bag = DagBag(dag_folder=str(dags))
    plugins, plugin_errors = _get_plugins()
    found: dict[str, Any] = {
        "package": bakehouse.__file__,
        "dags": sorted(bag.dags),
        "import_errors": bag.import_errors,
        "plugins": [plugin.name for plugin in plugins],
        "plugin_errors": plugin_errors,
    }
    if dag_id:
        initdb()
        dag = bag.dags[dag_id]
        dag.deadline = None  # dag.test() cannot run a DAG that has one (Airflow 3.3.2)
        run = dag.test()
        found["state"] = str(run.state)
        found["tasks"] = {ti.task_id: str(ti.state) for ti in run.get_task_instances()}
    answer.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
