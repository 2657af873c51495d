"""The shape of the task group, where a wrong arrow would hide a failure."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bakehouse.fleet.load import load_fleet
from bakehouse.fleet.model import Fleet

TEXT = """\
recipe: web
members: {instances: [web-1], zones: [us-central1-a]}
stages: [1, 50%, 100%]
max_unavailable: 2
"""


@pytest.fixture(scope="module")
def dag() -> Any:
    from bakehouse.dag_factory.rollout import roll_out_dag

    return roll_out_dag(load_fleet(TEXT, "fleets/web.yaml"))


def task(dag: Any, name: str) -> Any:
    return dag.get_task(f"replace_instances.{name}")


def names(ids: set[str]) -> set[str]:
    return {i.removeprefix("replace_instances.") for i in ids}


def test_only_the_result_comes_after_the_verdict(dag: Any) -> None:
    assert names(task(dag, "verdict").downstream_task_ids) == {"result"}


def test_the_lease_is_let_go_when_either_setup_has_succeeded(dag: Any) -> None:
    release = task(dag, "release_lease")
    assert release.is_teardown
    assert release.on_failure_fail_dagrun
    assert names(release.upstream_task_ids) == {"choose_image", "acquire_lease", "roll_back"}
    assert task(dag, "choose_image").is_setup
    assert task(dag, "acquire_lease").is_setup


def test_settle_waits_for_every_task_of_every_stage(dag: Any) -> None:
    stages = {f"{t}_{n}" for t in ("select_members", "replace", "verify_stage") for n in (1, 2, 3)}
    assert names(task(dag, "plan_rollback").upstream_task_ids) == {*stages, "plan"}
    assert task(dag, "plan_rollback").trigger_rule == "all_done"


def test_members_down_at_a_time_are_bounded_and_go_back_one_by_one(dag: Any) -> None:
    assert task(dag, "replace_2").max_active_tis_per_dagrun == 4
    assert task(dag, "roll_back").max_active_tis_per_dagrun == 1


def test_an_empty_stage_lets_the_next_one_begin(dag: Any) -> None:
    assert task(dag, "verify_stage_1").trigger_rule == "none_failed"
    assert task(dag, "select_members_2").trigger_rule == "all_success"
    assert names(task(dag, "select_members_2").upstream_task_ids) == {"verify_stage_1"}


def test_fleets_that_follow_a_bake_are_those_that_say_so() -> None:
    from airflow.sdk import DAG

    from bakehouse.dag_factory.rollout import with_bake

    web = load_fleet(TEXT, "fleets/web.yaml")
    changes: list[dict[str, Any]] = [{}, {"rollout": "with_bake"}, {"recipe": "kafka"}]
    fleets = [Fleet.model_validate({**web.model_dump(mode="json"), **c}) for c in changes]
    with DAG("bake__web", schedule=None):
        groups = with_bake(fleets, "web")
    assert [group.group_id for group in groups] == ["replace_instances"]


GROUP = """\
recipe: web
strategy: mig
members: {group: web, zones: [us-central1-a]}
stages: [1, 100%]
approval: {after: [1]}
"""


def test_a_managed_group_has_the_tasks_of_every_fleet_with_operators_of_its_own(dag: Any) -> None:
    """The ids stay, so that SLAs, retries and links of a fleet's file mean the same."""
    from bakehouse.dag_factory.rollout import roll_out_dag

    group = roll_out_dag(load_fleet(GROUP, "fleets/web.yaml"))
    ids = {names({t.task_id}).pop() for t in group.tasks}
    assert ids - {"approve_stage_1"} < {names({t.task_id}).pop() for t in dag.tasks}
    kinds = {name: type_of(task(group, name)) for name in ("plan", "replace_1", "roll_back")}
    assert kinds == {"plan": "PlanGroup", "replace_1": "MoveGroup", "roll_back": "MoveGroup"}
    assert type_of(task(group, "approve_stage_1")) == "ApproveStage"
    for name in ("plan", "replace_1", "verdict", "plan_rollback", "verify_stage_2"):
        ours, other = task(group, name), task(dag, name)
        assert ours.trigger_rule == other.trigger_rule
        assert ours.doc_md != other.doc_md
        assert "group" in ours.doc_md or "versions" in ours.doc_md


def type_of(operator: Any) -> str:
    kind = getattr(operator, "operator_class", type(operator))
    return str(kind.__name__)


@pytest.fixture(scope="module")
def asked() -> Any:
    """The DAG of a fleet that asks after its first stage."""
    from bakehouse.dag_factory.rollout import roll_out_dag

    return roll_out_dag(load_fleet(TEXT + "approval: {after: [1], timeout: 2h}\n", "web.yaml"))


def test_the_stage_behind_an_approval_begins_only_when_it_was_given(asked: Any) -> None:
    approve = task(asked, "approve_stage_1")
    assert names(approve.upstream_task_ids) == {"verify_stage_1"}
    assert names(approve.downstream_task_ids) == {"select_members_2", "plan_rollback"}
    assert names(task(asked, "select_members_2").upstream_task_ids) == {"approve_stage_1"}
    assert task(asked, "select_members_2").trigger_rule == "all_success"
    assert approve.trigger_rule == "all_success"
    assert "approve_stage_2" not in {names({t.task_id}).pop() for t in asked.tasks}


def test_a_rejection_fails_the_task_of_airflows_own_operator(asked: Any) -> None:
    from airflow.providers.standard.operators.hitl import ApprovalOperator

    approve = task(asked, "approve_stage_1")
    assert isinstance(approve, ApprovalOperator)
    assert approve.fail_on_reject, "else a stage behind it would run after a rejection"
    assert approve.response_timeout == timedelta(hours=2)
    assert approve.defaults is None, "a time-out is no answer"


def test_a_fleet_without_approval_asks_nobody(dag: Any) -> None:
    assert not [one.task_id for one in dag.tasks if "approve" in one.task_id]
