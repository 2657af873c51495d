"""On Celery, with two of every process that may be doubled, two of which are killed."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.distributed.killing import frozen, kill_triggerer_of, kill_worker_of, triggerer_of
from tests.flow.fleet import Members
from tests.support.deadlines import RUN, SOON
from tests.support.trigger_logs import has_said

from devstack.airflow_api import TERMINAL_RUN, AirflowError, Run
from devstack.program_logs import starts
from devstack.topology import WORKERS
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.distributed.servers import Servers

    from devstack.testbed import Testbed

BAKE = "bake__web"
ROLL_OUT = "roll_out__web"
REPLACE = "replace_instances.replace_1"
TRIGGERERS = ("triggerer", "triggerer-2")
NAMES = ["web-1", "web-2", "web-3"]
MANY, AT_A_TIME = 20, 3
OUTAGE = 20.0  # seconds without the database
ONE_OF_MANY = """
base: debian-cloud/debian-12
scripts: web
vars: {page: one of many, instant_until: three-build}
smoke: {metadata: {greeting: hello}}
"""
LEFT = "another triggerer waits for this task now"
UNTIL_THEN = """
base: debian-cloud/debian-12
scripts: web
vars: {page: frozen, instant_until: both-have-waited}
smoke: {metadata: {greeting: hello}}
"""


@pytest.fixture
def members(bed: Testbed) -> Iterator[Members]:
    found = Members(bed)
    yield found
    found.delete()


def states(bed: Testbed, run: Run) -> dict[str, str | None]:
    return bed.airflow.states(run.dag_id, run.run_id)


def image_of(bed: Testbed, run: Run) -> str:
    return str(bed.airflow.xcom(BAKE, run.run_id, "plan_bake")["image_name"])


def alive(bed: Testbed, kind: str) -> int:
    """How many components of the kind say that they live."""
    found = bed.airflow.call("GET", "/jobs", params={"job_type": kind, "is_alive": True})
    return int(found["total_entries"])


def received(bed: Testbed, worker: str) -> int:
    """How many tasks the worker was given."""
    log = bed.stack.layout.logs / f"{worker}.log"
    return log.read_text(encoding="utf-8", errors="replace").count("received")


def test_there_are_two_of_each_and_the_execution_api_is_a_server_of_its_own(bed: Testbed) -> None:
    wait_until(lambda: alive(bed, "SchedulerJob") == 2, SOON, "two schedulers")
    wait_until(lambda: alive(bed, "TriggererJob") == 2, SOON, "two triggerers")
    (execution,) = bed.stack.record.topology.answers.values()
    assert httpx.get(execution, trust_env=False).json() == {"status": "healthy"}
    core = f"{bed.stack.record.airflow_url}/execution/health"
    assert "healthy" not in httpx.get(core, trust_env=False).text  # the page of the UI
    other = execution.replace("/execution/health", "/api/v2/version")
    assert httpx.get(other, trust_env=False).status_code == 404


def test_a_bake_and_a_rollout_outlive_a_worker_and_a_triggerer(
    bed: Testbed, members: Members
) -> None:
    old = bed.bake(BAKE, roll_out=False)
    assert old.state == "success", bed.explain(old)
    new = bake_with_kills(bed)
    bed.declare_members(NAMES)
    members.create(image_of(bed, old), NAMES)
    roll_out_with_kills(bed, members, new)
    assert all(received(bed, worker) for worker in WORKERS)
    again = sum(starts(bed.stack.layout, name) - 1 for name in (*WORKERS, *TRIGGERERS))
    assert again == 4  # those that were killed, and no other


def bake_with_kills(bed: Testbed) -> str:
    """Returns the image's name."""
    bed.commit("Another image")
    run_id = bed.airflow.trigger(BAKE, {"roll_out": False, "force": True})
    kill_triggerer_of(bed, BAKE, run_id, "wait_for_shutdown")
    kill_worker_of(bed, BAKE, run_id, "create_image")
    run = bed.airflow.wait(BAKE, run_id, RUN)
    assert run.state == "success", bed.explain(run)
    image = bed.compute.newest_of("web")
    assert (image["name"], image["status"]) == (image_of(bed, run), "READY")
    assert image["labels"]["git-sha"] == bed.head
    assert image["labels"]["bakehouse-state"] == "promoted"
    assert bed.left() == []
    return str(image["name"])


def roll_out_with_kills(bed: Testbed, members: Members, image: str) -> None:
    before = members.facts()
    bed.compute.fault(kind="slow", method="compute.instances.detachDisk", seconds=10)
    run_id = bed.airflow.trigger(ROLL_OUT, {"image": image})
    kill_worker_of(bed, ROLL_OUT, run_id, REPLACE)
    kill_triggerer_of(bed, ROLL_OUT, run_id, REPLACE)
    run = bed.airflow.wait(ROLL_OUT, run_id, RUN)
    assert run.state == "success", bed.explain(run)
    after = members.facts()
    assert after.images == after.health == dict.fromkeys(NAMES, image)
    assert after.identity == before.identity  # id, address, metadata, data disks
    assert members.stops() == dict.fromkeys(NAMES, 1)
    assert members.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])


def test_a_rollout_goes_on_behind_a_database_that_was_lost_in_the_middle_of_a_swap(
    bed: Testbed, members: Members, servers_of_session: Servers
) -> None:
    """Every connection is cut, and for a while nobody gets another one."""
    old = bed.bake(BAKE, force=True, roll_out=False, vars={"page": "old"})
    new = bed.bake(BAKE, force=True, roll_out=False, vars={"page": "new"})
    assert (old.state, new.state) == ("success", "success"), bed.explain(new)
    bed.declare_members(NAMES)
    members.create(image_of(bed, old), NAMES)
    before, image = members.facts(), image_of(bed, new)
    bed.compute.fault(kind="slow", method="compute.instances.detachDisk", seconds=10, times=99)
    run_id = bed.airflow.trigger(ROLL_OUT, {"image": image})
    members.wait_for_call("compute.instances.detachDisk", RUN)
    with servers_of_session.outage():
        # its disks are exchanged meanwhile by the trigger, or behind the outage by its next one
        threading.Event().wait(OUTAGE)

    def has_ended() -> bool:
        with suppress(AirflowError):
            return bed.airflow.run(ROLL_OUT, run_id).state in TERMINAL_RUN
        return False

    wait_until(has_ended, RUN, "the run to end", every=1.0)
    run = bed.airflow.run(ROLL_OUT, run_id)
    assert run.state == "success", bed.explain(run)
    after = members.facts()
    assert after.images == after.health == dict.fromkeys(NAMES, image)
    assert after.identity == before.identity
    assert members.stops() == dict.fromkeys(NAMES, 1)
    assert members.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])


def test_a_triggerer_that_was_frozen_ends_no_machine_that_another_one_waits_for(
    bed: Testbed,
) -> None:
    """Airflow gives its triggers to the other one, and ends its copies when it goes on."""
    sha = bed.add_recipe("frozen", {"include/recipes/frozen.yaml": UNTIL_THEN})
    dag_id = "bake__frozen"
    run_id = bed.airflow.trigger(dag_id, {"git_ref": sha})
    waiting = dag_id, run_id, "wait_for_shutdown"
    first = triggerer_of(bed, *waiting)
    with frozen(bed, first):
        triggerer_of(bed, *waiting, other_than=first)
    run = bed.airflow.run(dag_id, run_id)
    wait_until(
        lambda: has_said(bed, run, waiting[2], LEFT, first), SOON, "the first one to end its copy"
    )
    (builder,) = (vm for vm in bed.compute.instances() if vm["name"].startswith("bake-frozen-"))
    assert builder["status"] == "RUNNING"
    bed.compute.set_project_attribute("both-have-waited")
    run = bed.airflow.wait(dag_id, run_id, RUN)
    assert run.state == "success", bed.explain(run)
    assert bed.airflow.xcom(dag_id, run_id, waiting[2])["builder"]["name"] == builder["name"]
    assert bed.left() == []


def test_of_twenty_bakes_asked_for_at_once_three_build(bed: Testbed) -> None:
    names = [f"many-{number:02}" for number in range(MANY)]
    for name in names:
        bed.write(f"include/recipes/{name}.yaml", ONE_OF_MANY)
    bed.commit("Twenty recipes")
    bed.see_changes(f"bake__{names[-1]}")
    variable = {"key": "bakehouse_builders", "value": str(AT_A_TIME)}
    bed.airflow.call("POST", "/variables", json=variable)
    runs = {f"bake__{name}": bed.airflow.trigger(f"bake__{name}") for name in names}
    building: list[int] = []

    def all_slots_are_taken() -> bool:
        building.append(builders(bed))
        waiting = [dag for dag, run in runs.items() if waits_for_slot(bed, dag, run)]
        return building[-1] >= AT_A_TIME and len(waiting) >= AT_A_TIME

    def all_over() -> bool:
        building.append(builders(bed))
        ended = [bed.airflow.run(dag, run).state in TERMINAL_RUN for dag, run in runs.items()]
        return all(ended)

    wait_until(all_slots_are_taken, RUN, "three builders, and three more bakes that wait")
    bed.compute.set_project_attribute("three-build")
    wait_until(all_over, 3000, "twenty bakes")
    ended = [bed.airflow.run(dag, run) for dag, run in runs.items()]
    failed = [bed.explain(run) for run in ended if run.state != "success"]
    assert not failed, "\n\n".join(failed)
    assert max(building) == AT_A_TIME, "as many as there are slots, and never more"
    assert bed.left() == []


def waits_for_slot(bed: Testbed, dag: str, run: str) -> bool:
    return bed.airflow.states(dag, run).get("create_builder") == "deferred"


def builders(bed: Testbed) -> int:
    """How many run now."""
    return sum(
        vm["status"] == "RUNNING" and vm["labels"].get("bakehouse-role") == "builder"
        for vm in bed.compute.instances()
    )
