"""What a person reads in the logs of a real Airflow: nothing needless, and a reason at the end."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN

if TYPE_CHECKING:
    from devstack.airflow_api import Line, Run
    from devstack.testbed import Testbed

DAG = "bake__logs"
RECIPE = """
base: debian-cloud/debian-12
scripts: web
vars: {page: logs, instant_fail_install: ''}
smoke: {metadata: {greeting: hello, color: blue}}
"""
NOISE = re.compile(
    r"DeprecationWarning|FutureWarning|UserWarning|too short to mask|[Ss]leeping"
    r"|[A-Za-z0-9+/]{120,}={0,2}"  # base64
    r"|file_cache is only supported|Starting new HTTPS? connection|Retrying \(Retry"
    r"|\{'[^{}]*'[^{}]*\n"  # a dict on several lines
    r"|object at 0x[0-9a-f]+|<class '"
    r"|(?<!:): (?:None|\{\}|\[\]|\(\))?\s*$"  # nothing but the name of its task
)
THIRD_PARTIES = re.compile(
    r"^(?:googleapiclient|google\.|urllib3|httpx|httpcore|py\.warnings|asyncio|git|fsspec|gcsfs)"
)
MOST_ALIKE = 3  # tries of a task, and members that are told of with the same words
TIMES = re.compile(r"\d{4}-\d\d-\d\dT?[\d:. ]*|\b\d+(?:\.\d+)? s\b")


@pytest.fixture(scope="module")
def logs(stack_of_session: Testbed) -> Testbed:
    bed = stack_of_session
    bed.add_recipe("logs", {"include/recipes/logs.yaml": RECIPE})
    bed.see_changes(DAG)
    return bed


def lines_of(bed: Testbed, run: Run) -> dict[str, list[Line]]:
    """The lines of the last try of each task of a run."""
    return {
        f"{run.dag_id}.{task.task_id}[{task.map_index}]": bed.airflow.log(
            run.dag_id, run.run_id, task.task_id, max(task.try_number, 1), task.map_index
        )
        for task in bed.airflow.tasks(run.dag_id, run.run_id)
    }


def noise_in(bed: Testbed, run: Run) -> list[str]:
    """Every line of every log of a run that tells a person nothing."""
    found = list[str]()
    for task, lines in lines_of(bed, run).items():
        seen = Counter[str]()
        for line in lines:
            # with the fields that the UI shows beside it
            text = f"{task}: {line.text} {line.fields.get('error_detail') or ''}"
            logger = str(line.fields.get("logger", ""))
            if NOISE.search(text) or THIRD_PARTIES.match(logger):
                found.append(f"{logger} {text}")
            if line.time and not line.text.startswith(("::", "  │")):
                seen[TIMES.sub("", line.text)] += 1
        found += [f"{task}: {n} times: {text}" for text, n in seen.items() if n > MOST_ALIKE]
    return found


def ended(bed: Testbed, **conf: Any) -> Run:
    run_id = bed.airflow.trigger(DAG, {"roll_out": False, "force": True, **conf})
    return bed.airflow.wait(DAG, run_id, RUN)


def test_logs_of_a_run_have_no_noise(logs: Testbed) -> None:
    run = ended(logs)
    assert run.state == "success"
    assert noise_in(logs, run) == []


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
