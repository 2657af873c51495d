"""`finalise__<fleet>`: which fleets have it, and that nothing of it is part of a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bakehouse.dag_factory import register_dags

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import DAG

TASKS = ["check_fleet", "approve_finalise", "acquire_lease", "finalise_data", "release_lease"]


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """Three recipes, one of which can finalise, one that is built on it, and one that cannot."""
    bases = {"db": "a/b", "plain": "a/b", "child": "{recipe: db}"}
    for name, base in bases.items():
        write(tmp_path / f"recipes/{name}.yaml", f"base: {base}\n")
        write(tmp_path / f"startup_scripts/{name}/install.sh.j2", "true\n")
        members = f"{{instances: [{name}-1], zones: [us-central1-a]}}"
        write(tmp_path / f"fleets/{name}.yaml", f"recipe: {name}\nmembers: {members}\n")
    write(tmp_path / "startup_scripts/db/finalise", "#!/bin/bash\n")
    group = "recipe: db\nstrategy: mig\nmembers: {mig: group, zones: [us-central1-a]}\n"
    write(tmp_path / "fleets/group.yaml", group)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def dags(include: Path) -> dict[str, DAG]:
    found: dict[str, object] = {}
    register_dags(found, include, flows=["rollout", "finalise"])
    return found  # type: ignore[return-value]


def test_a_fleet_whose_images_can_finalise_has_a_dag_for_it(include: Path) -> None:
    found = dags(include)
    finalising = {dag_id for dag_id in found if dag_id.startswith("finalise__")}
    assert finalising == {"finalise__db", "finalise__child"}
    assert "roll_out__plain" in found


def test_it_is_only_triggered_by_hand_and_asks_before_it_takes_the_lease(include: Path) -> None:
    dag = dags(include)["finalise__db"]
    assert dag.schedule is None
    assert [task.task_id for task in dag.topological_sort()][:5] == TASKS
    assert dag.get_task("acquire_lease").upstream_task_ids == {"approve_finalise"}
    assert dag.get_task("release_lease").is_teardown
    assert dag.get_task("release_lease").on_failure_fail_dagrun


def test_no_rollout_finalises(include: Path) -> None:
    rollout = dags(include)["roll_out__db"]
    assert not [task for task in rollout.task_ids if "finalise" in task]
