"""What a person reads in the logs of a real Airflow: nothing needless, and a reason at the end."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import Members
from tests.support.deadlines import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.airflow_api import Line, Run
    from devstack.testbed import Testbed

DAG = "bake__logs"
RECIPE = """
base: debian-cloud/debian-12
scripts: web
vars: {page: logs, instant_fail_install: ''}
smoke: {metadata: {greeting: hello, color: blue}}
"""
ROLL_OUT, NAMES = "roll_out__noisy", ["noisy-1", "noisy-2"]
FLEET = """
recipe: noisy
members: {instances: [noisy-1, noisy-2], zones: [us-central1-a]}
stages: [1, 100%]
health_deadline: 20s
"""
NOISY = """
base: debian-cloud/debian-12
vars: {page: old, instant_fail_install: ''}
smoke: {metadata: {greeting: hello, color: blue}}
"""
# The new image needs the attribute `color`: a member without it does not get healthy.
PAGE = "{% if vars.page == 'new' %}{{ color }}{% endif %}\n"
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


@pytest.fixture
def fleet(logs: Testbed) -> Iterator[Members]:
    """A fleet on an older image, whose second member cannot run the newer one."""
    bed = logs
    bed.write("include/fleets/noisy.yaml", FLEET)
    bed.add_web("noisy", NOISY)
    bed.write("include/startup_scripts/noisy/templates/var/www/html/color.html.j2", PAGE)
    bed.commit("Show a color")
    bed.parse_until(
        "roll_out__web", lambda: ROLL_OUT in bed.airflow.dags(), f"{ROLL_OUT} to be parsed"
    )
    run = bed.bake("bake__noisy", roll_out=False)
    assert run.state == "success", bed.explain(run)
    members = Members(bed)
    members.create(
        str(bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"]), NAMES, "noisy-2"
    )
    yield members
    bed.compute.delete_machines()


def lines_of(bed: Testbed, run: Run) -> dict[str, list[Line]]:
    """The lines of the last try of each task of a run."""
    return {
        f"{run.dag_id}.{task.task_id}[{task.map_index}]": bed.airflow.log(
            run.dag_id, run.run_id, task.task_id, task.try_number, task.map_index
        )
        for task in bed.airflow.tasks(run.dag_id, run.run_id)
        if task.try_number  # a mapped task without members has no log
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


def test_logs_of_a_rollout_its_roll_back_housekeeping_and_revoke_have_no_noise(
    logs: Testbed, fleet: Members
) -> None:
    newer = logs.bake("bake__noisy", vars={"page": "new"}, git_ref=logs.head, roll_out=False)
    assert newer.state == "success", logs.explain(newer)
    image = str(logs.airflow.xcom(newer.dag_id, newer.run_id, "plan_bake")["image_name"])
    first = logs.bake(ROLL_OUT, members=["noisy-1"])
    assert first.state == "success", logs.explain(first)
    assert fleet.facts().images["noisy-1"] == image
    back = logs.bake(ROLL_OUT, members=["noisy-2"])
    assert back.state == "failed"
    assert fleet.facts().images["noisy-2"] != image, "rolled back"
    house = logs.bake("housekeeping")
    assert house.state == "success", logs.explain(house)
    revoked = logs.bake("revoke", image=image, why="its page is wrong")
    assert revoked.state == "success", logs.explain(revoked)
    noise = [line for run in (newer, first, back, house, revoked) for line in noise_in(logs, run)]
    assert noise == []


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
