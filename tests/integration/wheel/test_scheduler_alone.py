"""A scheduler that has nothing of Bakehouse: it loads and schedules what Airflow itself knows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .test_wheel import DAGS

if TYPE_CHECKING:
    from .conftest import Installed

SERIALISED = Path(__file__).with_name("serialised.py")
DAY = 24 * 3600

pytestmark = pytest.mark.timeout(300)


def run(environment: Installed, *arguments: str | Path, **settings: str) -> None:
    done = environment.run("python", SERIALISED, *arguments, check=False, **settings)
    assert done.returncode == 0, done.stderr[-3000:]


def scheduled(
    installed: Installed, dependencies: Installed, project: Path, **settings: str
) -> dict[str, Any]:
    """Seconds to the first run of each DAG, or why that scheduler does not load it."""
    with (project / "include/recipes/web.yaml").open("a") as recipe:
        recipe.write("schedule: 0 3 * * *\n")
    stored, answer = project.parent / "stored.json", project.parent / "answer.json"
    home = {"AIRFLOW_HOME": str(project.parent / "airflow")}
    home["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(project / "plugins")
    run(installed, "write", project / "dags", stored, **home, **settings)
    run(dependencies, "schedule", stored, answer, **home, **settings)
    found: dict[str, Any] = json.loads(answer.read_text())
    return found


def test_with_the_setting_every_dag_is_loaded_and_due_within_a_day(
    installed: Installed, dependencies: Installed, project: Path
) -> None:
    found = scheduled(installed, dependencies, project, AIRFLOW__BAKEHOUSE__TIMETABLE="builtin")
    assert found.pop("has_bakehouse") is False
    assert sorted(found) == DAGS
    due = {dag_id: after for dag_id, after in found.items() if after is not None}
    assert sorted(due) == ["bake__web", "housekeeping"]
    assert all(-3600 <= after <= DAY for after in due.values())


@pytest.mark.long
def test_without_it_that_scheduler_loads_no_dag_with_a_schedule(
    installed: Installed, dependencies: Installed, project: Path
) -> None:
    found = scheduled(installed, dependencies, project)
    assert "TimetableNotRegistered" in str(found["bake__web"])
