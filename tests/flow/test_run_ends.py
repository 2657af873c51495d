"""How runs end on a real scheduler: failed, ended by a person, cleared; and what is seen of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.deadlines import RUN, SOON

from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

DAG, SECOND = "bake__ends", "bake__ends-too"
RECIPE = """
base: debian-cloud/debian-12
scripts: web
vars: {page: ends, instant_until: '', instant_fail_install: ''}
smoke: {metadata: {greeting: hello}}
sla: {resolve_commit: 10m, wait_for_shutdown: 8s, smoke_test: 20m}
"""
FLEET = """
recipe: ends
members: {instances: [ending-1], zones: [us-central1-a]}
stages: [100%]
health_deadline: 2h
"""
MEMBER = "zones/us-central1-a/instances/ending-1"
BY_HAND = "somebody marked the run as failed"
NEVER = {"page": "slow", "instant_until": "never-said"}


@pytest.fixture(scope="module")
def ends(stack_of_session: Testbed) -> Testbed:
    bed = stack_of_session
    files = {"include/recipes/ends.yaml": RECIPE, "include/recipes/ends-too.yaml": RECIPE}
    bed.add_recipe("ends", files)
    bed.see_changes(SECOND)
    return bed


@pytest.fixture
def bed(bed: Testbed, ends: Testbed) -> Testbed:  # ruff: ignore[unused-function-argument]  requested for its effect
    return bed


@pytest.fixture
def one_builder(bed: Testbed) -> Iterator[None]:
    bed.airflow.call("POST", "/variables", json={"key": "bakehouse_builders", "value": "1"})
    yield
    bed.airflow.call("DELETE", "/variables/bakehouse_builders")


def mark(bed: Testbed, dag_id: str, run_id: str, state: str) -> None:
    bed.airflow.call("PATCH", f"/dags/{dag_id}/dagRuns/{run_id}", json={"state": state})


def clear(bed: Testbed, run: Run, **body: Any) -> Run:
    """Clear as the UI does, and wait for the end of the run."""
    if "task_ids" in body:
        asked = {"dag_run_id": run.run_id, "reset_dag_runs": True, "only_failed": False, **body}
        path = f"/dags/{run.dag_id}/clearTaskInstances"
    else:
        asked, path = body, f"/dags/{run.dag_id}/dagRuns/{run.run_id}/clear"
    bed.airflow.call("POST", path, json={**asked, "dry_run": True})
    bed.airflow.call("POST", path, json={**asked, "dry_run": False})
    return bed.airflow.wait(run.dag_id, run.run_id, RUN)


def note(bed: Testbed, run: Run) -> str:
    found = bed.airflow.call("GET", f"/dags/{run.dag_id}/dagRuns/{run.run_id}")["note"]
    return str(found or "")


def deadlines(bed: Testbed, dag_id: str, run_id: str) -> dict[str, bool]:
    """Whether each deadline of the run is missed, by its name."""
    path = f"/dags/{dag_id}/dagRuns/{run_id}/deadlines"
    rows = bed.airflow.call("GET", path, api="/ui")["deadlines"]
    return {row["alert_name"]: row["missed"] for row in rows}


def result(bed: Testbed, run: Run) -> str:
    """What the last task of a run failed with."""
    return bed.errors(run, "result")[-1]


@pytest.mark.ci
@pytest.mark.usefixtures("one_builder")
def test_a_run_that_a_person_marks_as_failed_stays_failed_and_leaves_nothing(bed: Testbed) -> None:
    """One whose builder is installing, and one that waits for a builder's slot."""
    runs = {DAG: bed.airflow.trigger(DAG, {"force": True, "vars": NEVER})}
    bed.airflow.wait_for_task(DAG, runs[DAG], "wait_for_shutdown", ["deferred"], SOON)
    runs[SECOND] = bed.airflow.trigger(SECOND, {"force": True})
    bed.airflow.wait_for_task(SECOND, runs[SECOND], "create_builder", ["deferred"], SOON)
    late = "SLA of wait_for_shutdown"
    wait_until(lambda: deadlines(bed, DAG, runs[DAG]).get(late) is True, SOON, "the missed row")
    found = bed.airflow.call("GET", f"/dags/{DAG}/dagRuns/{runs[DAG]}")
    assert found["state"] == "running"
    assert "**SLA missed:** `wait_for_shutdown` " in found["note"], "while it is late"
    for dag_id, run_id in runs.items():
        mark(bed, dag_id, run_id, "failed")
    for dag_id, task in ((DAG, "wait_for_shutdown"), (SECOND, "create_builder")):
        run = bed.airflow.wait(dag_id, runs[dag_id], RUN)
        states = bed.airflow.states(dag_id, run.run_id)
        assert run.state == "failed", states
        wanted = {task: "failed", "promote_image": "skipped", "delete_builder": "success"}
        assert wanted.items() <= states.items()
        assert result(bed, run) == f"{BY_HAND}, while {task} was running"
        assert f"**Failed:** {BY_HAND}" in note(bed, run)
    assert bed.left() == []
    # a task that succeeded in time is not shown as late, nor is what can no longer be missed
    assert deadlines(bed, DAG, runs[DAG]) == {late: True}
    assert deadlines(bed, SECOND, runs[SECOND]).keys() <= {late}, "a loaded machine may be late too"

    bed.compute.set_project_attribute("never-said")
    run = clear(bed, bed.airflow.run(DAG, runs[DAG]))
    assert run.state == "success", bed.explain(run)
    assert "Failed" not in note(bed, run)
    assert bed.left() == []


@pytest.mark.ci
def test_a_failed_run_can_be_cleared_at_once_in_any_way(bed: Testbed) -> None:
    """Its deadlines are hours away."""
    mine = "Looked at by Ada."
    run = bed.bake(DAG, git_ref="nowhere")
    assert run.state == "failed"
    path = f"/dags/{DAG}/dagRuns/{run.run_id}"
    reason = "**Failed:** resolve_commit: "
    assert note(bed, run).count(reason) == 1
    assert result(bed, run).startswith("resolve_commit: ")
    assert "\n" not in result(bed, run)
    assert deadlines(bed, DAG, run.run_id) == {}
    bed.airflow.call("PATCH", path, json={"note": mine})
    ways: list[dict[str, Any]] = [
        {},
        {"only_failed": True},
        {"task_ids": ["resolve_commit"]},
    ]
    for number, way in enumerate(ways, start=2):
        run = clear(bed, run, **way)
        assert run.state == "failed", way
        tries = {t.task_id: t.try_number for t in bed.airflow.tasks(DAG, run.run_id)}
        assert (tries["resolve_commit"], tries["result"]) == (number, number), way
        assert note(bed, run).startswith(f"{mine}\n\n- {reason}"), way
        assert note(bed, run).count("Failed") == 1, way


def test_a_failed_run_is_mended_by_a_clear_of_what_failed(bed: Testbed) -> None:
    """A task is cleared with those behind it, and the machine that it needs is made again."""
    conf: dict[str, Any] = {"force": True, "vars": {**NEVER, "instant_until": "mended"}}
    run_id = bed.airflow.trigger(DAG, conf)
    bed.airflow.wait_for_task(DAG, run_id, "wait_for_shutdown", ["deferred"], SOON)
    path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/wait_for_shutdown"
    bed.airflow.call("PATCH", path, json={"new_state": "failed"})
    run = bed.airflow.wait(DAG, run_id, RUN)
    assert run.state == "failed"
    assert result(bed, run).startswith("wait_for_shutdown: ")
    assert bed.left() == []
    run = clear(bed, run, task_ids=["smoke_test"], include_downstream=True)
    assert run.state == "failed", "the task before it has failed"
    bed.compute.set_project_attribute("mended")
    run = clear(bed, run, task_ids=["wait_for_shutdown"], include_downstream=True)
    assert run.state == "success", bed.explain(run)
    assert bed.left() == []


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_never_started_ends_at_once_when_it_is_marked(bed: Testbed, state: str) -> None:
    gate = f"opened-{state}"
    first = bed.airflow.trigger(DAG, {"force": True, "vars": {**NEVER, "instant_until": gate}})
    bed.airflow.wait_for_task(DAG, first, "wait_for_shutdown", ["deferred"], SOON)
    queued = bed.airflow.trigger(DAG, {"force": True})
    assert bed.airflow.run(DAG, queued).state == "queued"
    mark(bed, DAG, queued, state)
    run = bed.airflow.run(DAG, queued)
    assert run.state == state
    assert set(bed.airflow.states(DAG, queued).values()) == {"skipped"}
    assert note(bed, run) == (f"- **Failed:** {BY_HAND}" if state == "failed" else "")
    mark(bed, DAG, first, state)
    run = bed.airflow.wait(DAG, first, RUN)
    assert run.state == state
    assert bed.left() == []
    bed.compute.set_project_attribute(gate)
    for run_id in (queued, first):
        again = clear(bed, bed.airflow.run(DAG, run_id))
        assert again.state == "success", bed.explain(again)
    assert bed.left() == []


def test_a_run_that_has_failed_can_be_marked_as_successful_and_cleared_again(bed: Testbed) -> None:
    run = bed.bake(DAG, git_ref="nowhere")
    mark(bed, DAG, run.run_id, "success")
    assert bed.airflow.run(DAG, run.run_id).state == "success"
    assert note(bed, run) == "", "nobody is told of a failure that is none"
    run = clear(bed, run)
    assert run.state == "failed"
    assert "**Failed:** resolve_commit: " in note(bed, run)


def test_a_task_that_a_person_marks_decides_as_one_that_ended_so(bed: Testbed) -> None:
    run = bed.bake(DAG, git_ref="nowhere")
    path = f"/dags/{DAG}/dagRuns/{run.run_id}/taskInstances/resolve_commit"
    body = {"new_state": "success", "include_downstream": False}
    bed.airflow.call("PATCH", path, json=body)
    run = bed.airflow.wait(DAG, run.run_id, RUN)
    assert run.state == "failed"
    assert result(bed, run).startswith("plan_bake: resolve_commit returned no XCom")


def test_a_failed_run_can_be_cleared_when_its_deadline_has_passed(bed: Testbed) -> None:
    run_id = bed.airflow.trigger(DAG, {"force": True, "vars": {**NEVER, "instant_until": "ok"}})
    wait_until(
        lambda: deadlines(bed, DAG, run_id).get("SLA of wait_for_shutdown") is True, SOON, "a miss"
    )
    mark(bed, DAG, run_id, "failed")
    run = bed.airflow.wait(DAG, run_id, RUN)
    assert run.state == "failed"
    bed.compute.set_project_attribute("ok")
    run = clear(bed, run)
    assert run.state == "success", bed.explain(run)


@pytest.mark.parametrize("dag_id", ["housekeeping", "revoke"])
def test_the_other_dags_stay_failed_too(bed: Testbed, dag_id: str) -> None:
    """Marked as soon as they are there, whatever they do by then."""
    conf = {"image": "debian-12", "why": "it is marked"} if dag_id == "revoke" else {}
    run_id = bed.airflow.trigger(dag_id, conf)
    mark(bed, dag_id, run_id, "failed")
    run = bed.airflow.wait(dag_id, run_id, RUN)
    assert run.state == "failed", bed.airflow.states(dag_id, run_id)
    assert BY_HAND in note(bed, run)
    wait_until(lambda: no_task_goes_on(bed, run), SOON, "the watcher to end")
    run = clear(bed, run)
    assert run.state == ("failed" if dag_id == "revoke" else "success"), bed.explain(run)
    assert BY_HAND not in note(bed, run)


def no_task_goes_on(bed: Testbed, run: Run) -> bool:
    states = bed.airflow.states(run.dag_id, run.run_id).values()
    return not {None, "queued", "scheduled", "running", "deferred"} & set(states)


def test_a_rollout_that_a_person_ends_half_way_is_failed_and_gives_its_fleet_back(
    bed: Testbed,
) -> None:
    dag_id = "roll_out__enders"
    bed.write("include/fleets/enders.yaml", FLEET)
    bed.commit("A fleet whose rollout is ended")
    bed.parse_until("roll_out__web", lambda: dag_id in bed.airflow.dags(), dag_id)
    old, new = baked(bed, "before"), baked(bed, "after")
    create_member(bed, old)
    run_id = bed.airflow.trigger(dag_id, {"image": new})
    replace = "replace_instances.replace_1"
    wait_until(
        lambda: bed.airflow.states(dag_id, run_id).get(f"{replace}[0]") == "deferred",
        SOON,
        "the member to be replaced",
    )
    mark(bed, dag_id, run_id, "failed")
    run = bed.airflow.wait(dag_id, run_id, RUN)
    states = bed.airflow.states(dag_id, run_id)
    assert run.state == "failed", states
    assert states["replace_instances.release_lease"] == "success"
    assert result(bed, run) == f"{BY_HAND}, while {replace}[0] was running"
    again = bed.airflow.trigger(dag_id, {"image": old})
    lease = "replace_instances.acquire_lease"
    bed.airflow.wait_for_task(dag_id, again, lease, ["success"], SOON)
    mark(bed, dag_id, again, "failed")
    assert bed.airflow.wait(dag_id, again, RUN).state == "failed"
    bed.compute.delete_machines()


def baked(bed: Testbed, page: str) -> str:
    run = bed.bake(DAG, force=True, vars={"page": page})
    assert run.state == "success", bed.explain(run)
    return str(bed.airflow.xcom(DAG, run.run_id, "plan_bake")["image_name"])


def create_member(bed: Testbed, image: str) -> None:
    """A member that never gets healthy once its metadata says so."""
    items = {"enable-guest-attributes": "TRUE", "bakehouse-role": "member", "greeting": "hello"}
    body = {
        "name": "ending-1",
        "machineType": "zones/us-central1-a/machineTypes/e2-small",
        "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": [{"boot": True, "initializeParams": {"sourceImage": f"global/images/{image}"}}],
    }
    bed.compute.call("POST", "zones/us-central1-a/instances", json=body)
    wait_until(
        lambda: bed.compute.call("GET", MEMBER)["status"] == "RUNNING", SOON, "ending-1 to run"
    )
    metadata = bed.compute.call("GET", MEMBER)["metadata"]
    metadata["items"].append({"key": "instant-hang", "value": "start"})
    bed.compute.call("POST", f"{MEMBER}/setMetadata", json=metadata)


def test_a_run_without_work_is_green(bed: Testbed) -> None:
    baked(bed, "twice")
    run = bed.bake(DAG, vars={"page": "twice"})
    assert run.state == "success", bed.explain(run)
    states = bed.airflow.states(DAG, run.run_id)
    assert (states["create_builder"], states["result"]) == ("skipped", "success")
    assert note(bed, run) == ""
