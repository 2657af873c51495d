"""Each task of a finished run cleared in turn, on a real scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.deadlines import RUN

if TYPE_CHECKING:
    from devstack.testbed import Testbed

DAG = "bake__web"
# those that make a machine stand in test_retries.py
TASKS = (
    "resolve_commit",
    "need_bake",
    "label_image",
    "promote_image",
    "publish_image",
    "smoke_test",
    "delete_builder",
)


def test_every_task_in_turn(bed: Testbed) -> None:
    conf: dict[str, Any] = {"force": True, "roll_out": False, "vars": {"page": "cleared"}}
    run = bed.bake(DAG, **conf)
    assert run.state == "success", bed.explain(run)
    name = bed.airflow.xcom(DAG, run.run_id, "plan_bake")["image_name"]
    before = bed.compute.image(name)
    assert before["family"] == "web"
    for task in TASKS:
        cleared = bed.airflow.clear(DAG, run.run_id, [task])
        assert task in cleared
        run = bed.airflow.wait(DAG, run.run_id, RUN)
        states = bed.airflow.states(DAG, run.run_id)
        assert (task, run.state) == (task, "success"), states
        assert bed.compute.image(name) == before, task
        assert bed.left() == [], task
