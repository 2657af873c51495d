"""What Airflow's scheduler and API server have the listener do, on Airflow's own tables."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.runs import listener
from bakehouse.sla.misses import Miss

from .conftest import SLA, START

if TYPE_CHECKING:
    from .conftest import World

BY_HAND = "Dag Run's state was manually set to `{}`."
ENDED = START + timedelta(minutes=5)


def ends(world: World, state: str) -> None:
    """As the scheduler ends a run."""
    world.run.state, world.run.end_date = state, ENDED
    {"failed": listener.on_dag_run_failed, "success": listener.on_dag_run_success}[state](
        dag_run=world.run, msg="task_failure"
    )
    world.session.commit()


def test_the_note_of_a_failed_run_has_its_reason_and_what_was_late(world: World) -> None:
    miss = Miss(
        task_id="plan_bake", sla_seconds=900, state="running", deadline=START, noticed=ENDED
    )
    world.xcom("sla_watch", "sla_misses", {"plan_bake": miss.model_dump(mode="json")})
    world.xcom("result", "reason", "install: no such package")
    ends(world, "failed")
    assert world.note is not None
    failed, late = world.note.splitlines()
    assert failed == "- **Failed:** install: no such package"
    assert late.startswith("- **SLA missed:** `plan_bake` is running;")
    ends(world, "failed")
    assert world.note == f"{failed}\n{late}"


def test_a_miss_of_an_earlier_start_is_not_noted_again(world: World) -> None:
    earlier = START - timedelta(hours=1)
    miss = Miss(
        task_id="plan_bake", sla_seconds=900, state="running", deadline=earlier, noticed=earlier
    )
    world.xcom("sla_watch", "sla_misses", {"plan_bake": miss.model_dump(mode="json")})
    ends(world, "success")
    assert world.note is None


def test_a_failed_run_that_a_person_marks_as_successful_has_no_failure_in_its_note(
    world: World,
) -> None:
    ends(world, "failed")
    world.run.state = "success"
    listener.on_dag_run_success(dag_run=world.run, msg=BY_HAND.format("success"))
    assert world.note is None
    world.run.state = "failed"
    listener.on_dag_run_failed(dag_run=world.run, msg=BY_HAND.format("failed"))
    assert world.note == "- **Failed:** somebody marked the run as failed"


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_run_that_ends_keeps_no_deadline(world: World, state: str) -> None:
    world.deadline()
    world.deadline("smoke_test")
    ends(world, state)
    assert world.rows == []


def test_a_deadline_that_passed_before_the_end_is_left_to_the_scheduler(world: World) -> None:
    world.deadline(after=timedelta(minutes=1))
    ends(world, "failed")
    assert len(world.rows) == 1


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_persons_mark_is_kept_for_the_result(world: World, state: str) -> None:
    """While the teardown is still to come, the run goes on."""
    world.task("delete_builder", None)
    hook: Any = listener.on_dag_run_failed if state == "failed" else listener.on_dag_run_success
    hook(dag_run=world.run, msg=BY_HAND.format(state))
    assert world.xcoms() == {("sla_watch", "marked"): {"state": state, "clear_number": 0}}
    assert world.run.state == "running"
    assert world.note is None


def test_a_run_that_never_started_ends_at_once(world: World) -> None:
    world.task("plan_bake", "skipped")
    world.task("delete_builder", None)
    world.run.state = "queued"
    listener.on_dag_run_failed(dag_run=world.run, msg=BY_HAND.format("failed"))
    assert world.run.state == "failed"
    assert world.note == "- **Failed:** somebody marked the run as failed"
    assert world.xcoms() == {}
    assert {ti.state for ti in world.run.task_instances} == {"skipped"}


def test_a_run_that_starts_anew_has_only_the_persons_note_and_its_deadlines_move(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run.note = "Mine."
    world.deadline("smoke_test")
    world.xcom("result", "reason", "no such package")
    ends(world, "failed")
    assert str(world.note).startswith("Mine.\n\n- **Failed:** ")
    cleared: list[str] = []
    monkeypatch.setattr(
        "bakehouse.runs.ends.clear_task_instances",
        lambda tis, *_, **__: cleared.extend(sorted(ti.task_id for ti in tis)),
    )
    world.task("smoke_test", None)  # the one that was cleared
    world.task("result", "failed")
    world.task("sla_watch", "success")
    world.task("plan_bake", "success")
    world.run.state, world.run.clear_number = "running", 1
    listener.on_dag_run_running(dag_run=world.run, msg="started")
    assert world.note == "Mine."
    assert cleared == ["result", "sla_watch"]


def test_a_run_that_starts_late_has_its_slas_from_then_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.serialization.encoders import encode_deadline_alert

    from bakehouse.sla.backstop import task_deadline

    told = encode_deadline_alert(task_deadline("smoke_test", SLA))
    alert = SimpleNamespace(
        id=None,
        reference=told["reference"],
        interval=told["interval"],
        callback_def=told["callback"],
    )
    monkeypatch.setattr("bakehouse.runs.deadlines._alerts", lambda *_: [alert])
    monkeypatch.setattr(
        "airflow.serialization.helpers.find_registered_custom_deadline_reference", _reference
    )
    world.deadline("smoke_test")
    world.run.start_date = START + timedelta(hours=1)
    listener.on_dag_run_running(dag_run=world.run, msg="started")
    world.session.commit()
    assert [row.deadline_time for row in world.rows] == [START + timedelta(hours=1) + SLA]


def _reference(_: str) -> Any:
    from bakehouse.sla.reference import RunQueued

    return RunQueued


@pytest.mark.parametrize(
    "dag",
    [
        None,
        SimpleNamespace(tags={"other"}, has_task=lambda _: True),
        SimpleNamespace(tags=None, has_task=lambda _: True),
        SimpleNamespace(tags={"bakehouse"}, has_task=lambda _: False),
    ],
)
def test_runs_of_other_dags_are_left_alone(world: World, dag: Any) -> None:
    world.run.dag = dag
    world.deadline()
    world.run.note = "Mine.\n\n- **Failed:** by another tool"
    world.session.commit()
    listener.on_dag_run_running(dag_run=world.run, msg="started")
    ends(world, "failed")
    assert world.note == "Mine.\n\n- **Failed:** by another tool"
    assert len(world.rows) == 1


def test_a_run_that_waited_for_airflow_says_so_and_not_for_its_machine(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.task("plan_bake", "success", ENDED, START + timedelta(minutes=3))
    world.task("sla_watch", "success", ENDED, START)  # is as long as the run
    ends(world, "success")
    assert str(world.note).startswith(
        "- **Airflow was late:** for 3m of 5m no task of this run was under way"
    )
    assert "manual__1 of bake__web: for 3m of 5m" in caplog.text


def test_a_builder_that_takes_long_and_the_wait_before_another_try_are_no_fault_of_airflow(
    world: World,
) -> None:
    from airflow.models.taskinstancehistory import TaskInstanceHistory
    from uuid6 import uuid7

    waits = world.task("wait_for_shutdown", "up_for_retry", START + timedelta(minutes=1), START)
    world.session.add(TaskInstanceHistory(waits, state="failed"))
    waits.id = uuid7()  # as Airflow does for each try
    waits.state, waits.start_date, waits.end_date = "success", ENDED - timedelta(seconds=9), ENDED
    world.session.commit()
    ends(world, "success")
    assert world.note is None
