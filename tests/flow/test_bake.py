"""The bake on a real scheduler."""

from __future__ import annotations

from bakehouse.core.tasks import Flow, task_ids
from devstack.testbed import Testbed
from devstack.waiting import wait_until

FOLLOWER = """
recipe: web
members: {instances: [shadow-1], zones: [us-central1-a]}
rollout: follow
"""

WHOLE = """
base: debian-cloud/debian-12
vars: {page: whole}
smoke: {metadata: {greeting: hello}}
image: {kind: machine_image}
"""


def test_a_bake_promotes_its_image_and_leaves_nothing(bed: Testbed) -> None:
    bed.write("include/fleets/shadow.yaml", FOLLOWER)
    bed.commit("A fleet that follows")
    bed.airflow.reparse("roll_out__web")
    bed.airflow.wait_for_dag("roll_out__shadow", 60)
    run = bed.bake("bake__web", deadline=240, git_ref=bed.head)

    states = bed.airflow.states(run.dag_id, run.run_id)
    assert run.state == "success", bed.explain(run)
    steps = task_ids(Flow.BAKE)
    assert {step: states.get(step) for step in steps} == dict.fromkeys(steps, "success")

    image = bed.compute.newest_of("web")
    assert image["status"] == "READY"
    assert image["labels"]["git-sha"] == bed.head
    assert image["labels"]["bakehouse-state"] == "promoted"
    assert bed.left() == []

    # a fleet that follows has a run of its own for this image, which finds its member missing
    wait_until(lambda: bool(bed.airflow.runs("roll_out__shadow")), 60, "the follower's run")
    (followed,) = bed.airflow.runs("roll_out__shadow")
    bed.airflow.wait("roll_out__shadow", followed, 120)
    assert (
        bed.airflow.xcom("roll_out__shadow", followed, "replace_instances.choose_image")["name"]
        == image["name"]
    )


def test_a_machine_image_is_baked_and_proves_itself(bed: Testbed) -> None:
    bed.add_web("whole", WHOLE)
    run = bed.bake("bake__whole", deadline=240)
    assert run.state == "success", bed.explain(run)
    name = bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"]
    image = bed.compute.call("GET", f"global/machineImages/{name}")
    assert (image["status"], image["labels"]["bakehouse-state"]) == ("READY", "promoted")
    assert "check passed" in bed.log(run, "smoke_test")
    assert name not in {one["name"] for one in bed.compute.images()}
    assert bed.left() == []
