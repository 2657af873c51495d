"""The bake on a real scheduler."""

from __future__ import annotations

from bakehouse.local.testbed import Testbed

STEPS = [
    "resolve_commit",
    "plan_bake",
    "need_bake",
    "create_builder",
    "wait_for_shutdown",
    "create_image",
    "label_image",
    "smoke_test",
    "promote_image",
    "publish_image",
    "delete_builder",
]


def test_a_bake_promotes_its_image_and_leaves_nothing(bed: Testbed) -> None:
    run = bed.bake("bake__web", deadline=240, git_ref=bed.head)

    states = bed.airflow.states(run.dag_id, run.run_id)
    assert run.state == "success", states
    assert {step: states.get(step) for step in STEPS} == dict.fromkeys(STEPS, "success")

    image = bed.compute.newest_of("web")
    assert image["status"] == "READY"
    assert image["labels"]["git-sha"] == bed.head
    assert image["labels"]["bakehouse-state"] == "promoted"
    assert bed.left() == []
