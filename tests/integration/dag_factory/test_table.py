"""The table of tasks agrees with the DAGs that are made from it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from bakehouse.core.tasks import FREES_SLOT, TASKS, Flow, TaskSpec, task_ids
from bakehouse.fleet.model import Fleet
from bakehouse.recipe.model import Recipe

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = Recipe.model_validate({"name": "web", "base": "debian-cloud/debian-12"})
FLEET = Fleet.model_validate(
    {
        "name": "web",
        "recipe": "web",
        "members": {"labels": {"a": "b"}, "zones": ["us-central1-a"]},
        "approval": {"after": [1]},
    }
)
BESIDES = {"sla_watch", "result"}  # of every DAG


@pytest.fixture(scope="module")
def dags(tmp_path_factory: pytest.TempPathFactory) -> dict[Flow, Any]:
    """One DAG of each flow."""
    from bakehouse.dag_factory.bake import bake_dag
    from bakehouse.dag_factory.check_setup import check_setup_dag
    from bakehouse.dag_factory.finalise import finalise_dag
    from bakehouse.dag_factory.housekeeping import housekeeping_dag
    from bakehouse.dag_factory.revoke import revoke_dag
    from bakehouse.dag_factory.rollout import roll_out_dag

    include: Path = tmp_path_factory.mktemp("include")
    return {
        Flow.BAKE: bake_dag(RECIPE),
        Flow.ROLLOUT: roll_out_dag(FLEET),
        Flow.FINALISE: finalise_dag(FLEET),
        Flow.HOUSEKEEPING: housekeeping_dag(include, "0 6 * * *", "UTC", "bakehouse"),
        Flow.REVOKE: revoke_dag(include, "bakehouse"),
        Flow.CHECK_SETUP: check_setup_dag(include, "bakehouse"),
    }


def table_id(task_id: str) -> str:
    """The id in the table: `replace` for `replace_instances.replace_1`."""
    return re.sub(r"_\d+$", "", task_id.rpartition(".")[2])


def test_the_ids_of_a_flow_are_unique() -> None:
    assert len({(spec.flow, spec.id) for spec in TASKS}) == len(TASKS)


@pytest.mark.parametrize("spec", TASKS, ids=lambda spec: spec.id)
def test_the_table_names_an_operator_that_is_there(spec: TaskSpec) -> None:
    from bakehouse.dag_factory.tasks import operator_of
    from bakehouse.operators.base import BakehouseOperator

    assert issubclass(operator_of(spec), BakehouseOperator)


@pytest.mark.parametrize("flow", Flow)
def test_the_tasks_of_a_dag_are_those_of_the_table(flow: Flow, dags: dict[Flow, Any]) -> None:
    made = {table_id(task.task_id) for task in dags[flow].tasks} - BESIDES
    assert made == set(task_ids(flow))


@pytest.mark.parametrize("flow", Flow)
def test_an_sla_never_falls_along_the_flow(flow: Flow, dags: dict[Flow, Any]) -> None:
    slas = {spec.id: spec.sla for spec in TASKS if spec.flow is flow}
    for task in dags[flow].tasks:
        if task.task_id not in BESIDES:
            before = [slas[table_id(up)] for up in task.upstream_task_ids]
            assert slas[table_id(task.task_id)] >= max(before, default=slas[table_id(task.task_id)])


def test_the_nearer_a_run_is_to_releasing_its_builder_slot_the_sooner_it_goes_on(
    dags: dict[Flow, Any],
) -> None:
    ours = [task for task in dags[Flow.BAKE].tasks if task.task_id not in BESIDES]
    assert {str(task.weight_rule) for task in ours} == {"absolute"}
    weights = {task.task_id: task.priority_weight for task in ours}
    held = ["create_builder", "wait_for_shutdown", "create_image", "label_image", "smoke_test"]
    rising = [weights[task] for task in [*held, FREES_SLOT]]
    assert rising == sorted(set(rising))
    others = {weights[task] for task in weights.keys() - {*held, FREES_SLOT}}
    assert max(others) < rising[0]
    assert weights["resolve_commit"] == max(others), "each run begins in time"


@pytest.mark.parametrize("flow", [Flow.BAKE, Flow.ROLLOUT])
def test_the_table_lists_a_flow_in_its_order(flow: Flow, dags: dict[Flow, Any]) -> None:
    order = task_ids(flow)
    for task in dags[flow].tasks:
        for up in task.upstream_task_ids:
            begins_next = table_id(up) in {"verify_stage", "approve_stage"}
            if not BESIDES & {up, task.task_id} and not begins_next:
                assert order.index(table_id(up)) <= order.index(table_id(task.task_id))
