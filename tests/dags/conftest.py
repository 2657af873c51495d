from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support.paths import PROJECT

DESCRIBE = Path(__file__).parent / "describe.py"


def describe(project: Path, scratch: Path) -> dict[str, Any]:
    """What `describe.py` says of the DAGs of a project folder."""
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(scratch / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins"),
        "PYTHONPATH": str(PROJECT / "plugins"),
    }
    answer = scratch / "dags.json"
    subprocess.run(
        [sys.executable, str(DESCRIBE), str(project / "dags"), str(answer)],
        env=environment,
        check=True,
        capture_output=True,
        timeout=280,
    )
    told: dict[str, Any] = json.loads(answer.read_text())
    return told


@pytest.fixture(scope="session")
def bag(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every DAG of this project."""
    return describe(PROJECT, tmp_path_factory.mktemp("dags"))


@pytest.fixture
def tasks(bag: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every task of every DAG, as `dag.task`."""
    return {
        f"{dag_id}.{task_id}": {**task, "dag": dag_id, "id": task_id}
        for dag_id, dag in bag["dags"].items()
        for task_id, task in dag["tasks"].items()
    }
