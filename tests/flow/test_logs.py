"""What a person reads in the logs of a real Airflow: nothing needless, and a reason at the end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN

if TYPE_CHECKING:
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

DAG = "bake__logs"
RECIPE = """
base: debian-cloud/debian-12
scripts: web
vars: {page: logs, instant_fail_install: ''}
smoke: {metadata: {greeting: hello}}
"""
NOISE = re.compile(
    r"DeprecationWarning|FutureWarning|too short to mask|[Ss]leeping|[A-Za-z0-9+/]{120,}={0,2}"
)


@pytest.fixture(scope="module")
def logs(stack_of_session: Testbed) -> Testbed:
    bed = stack_of_session
    bed.add_recipe("logs", {"include/recipes/logs.yaml": RECIPE})
    bed.see_changes(DAG)
    return bed


def all_lines(bed: Testbed, run: Run) -> list[str]:
    """Every line of every log of a run, with the fields that the UI shows beside it."""
    return [
        f"{task.task_id}: {line.text} {line.fields.get('error_detail') or ''}"
        for task in bed.airflow.tasks(run.dag_id, run.run_id)
        for line in bed.airflow.log(
            run.dag_id, run.run_id, task.task_id, max(task.try_number, 1), task.map_index
        )
    ]


def ended(bed: Testbed, **conf: Any) -> Run:
    run_id = bed.airflow.trigger(DAG, {"roll_out": False, "force": True, **conf})
    return bed.airflow.wait(DAG, run_id, RUN)


def test_logs_of_a_run_have_no_noise(logs: Testbed) -> None:
    run = ended(logs)
    assert run.state == "success"
    lines = all_lines(logs, run)
    assert [line for line in lines if NOISE.search(line)] == []


def test_log_of_a_failed_task_ends_with_its_reason(logs: Testbed) -> None:
    run = ended(logs, vars={"instant_fail_install": "E: no nginx"})
    assert run.state == "failed"
    for task_id in ("wait_for_shutdown", "result"):
        lines = logs.airflow.log(DAG, run.run_id, task_id)
        *_, reason, remedy = lines[-1].text.splitlines()
        assert "E: no nginx" in reason
        assert remedy.startswith("What to do: ")
        assert [line.text for line in lines if line.fields.get("error_detail")] == []
    assert reason.endswith(logs.airflow.xcom(DAG, run.run_id, "wait_for_shutdown", "reason"))
    found = logs.airflow.call("GET", f"/dags/{DAG}/dagRuns/{run.run_id}")["note"]
    assert reason in found
