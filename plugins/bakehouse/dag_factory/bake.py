"""`bake__<recipe>`: from a commit to a promoted image, and its rollouts."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from airflow.sdk import DAG, TaskGroup, chain

from bakehouse.core.tasks import Flow
from bakehouse.dag_factory.bake_doc import doc_of
from bakehouse.dag_factory.bake_form import form
from bakehouse.dag_factory.rollout import with_bake
from bakehouse.dag_factory.schedules import bake_schedule, start_date
from bakehouse.dag_factory.tasks import make_task
from bakehouse.runs.operators import add_result
from bakehouse.schedule.classes import only_builtin
from bakehouse.sla.operators import watch_slas

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bakehouse.fleet.model import Fleet
    from bakehouse.recipe.model import Recipe

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)  # no backfill goes back beyond it


def bake_dag(
    recipe: Recipe,
    recipes: Sequence[Recipe] = (),
    fleets: Sequence[Fleet] = (),
    include: Path | None = None,
) -> DAG:
    """Return the DAG of a recipe; `recipes` and `fleets` are those of the project.

    Only those that are built on it, that it is built on, or that run it are read. `include` may
    have prices, by which the plans say what they cost.

    The form comes last: Airflow gives each task a copy of the params that its DAG has by then, and
    checks every copy again when it serialises the DAG (20 of 24 s, with 500 recipes). It is added
    to the DAG's params, not assigned: Airflow checks the schema of each param that is assigned
    (half of what is left), and these schemas are the same in every parse; a test checks them.
    """
    with DAG(
        dag_id=f"bake__{recipe.name}",
        description=recipe.description or f"Bakes the image {recipe.family}",
        schedule=bake_schedule(recipe),
        start_date=start_date(BEGINNING),
        catchup=False,
        max_active_runs=1,  # of scheduled and manual runs; a backfill says its own number
        tags=["bakehouse", "bake", f"recipe:{recipe.name}"],
        default_args={"owner": recipe.owner},
        doc_md=doc_of(recipe, recipes, fleets, only_builtin=only_builtin()),
        is_paused_upon_creation=False,
        render_template_as_native_obj=False,
    ) as dag:
        bake_flow(recipe, fleets, include)
        add_result(dag)
        watch_slas(dag, recipe.name, recipe.notify)
    dag.params.update(form(recipe))
    return dag


def bake_flow(recipe: Recipe, fleets: Sequence[Fleet], include: Path | None = None) -> None:
    """The tasks of a bake and their order, inside the current DAG.

    The groups are for the graph only: they do not change a task's id. `delete_builder` is in none,
    since it follows the smoke test: in `build_image` it would draw an arrow back.
    """
    task = partial(make_task, Flow.BAKE, overrides=recipe)
    group = partial(TaskGroup, prefix_group_id=False)

    with group("plan_image", tooltip="Which commit, and whether it needs a bake"):
        resolve_commit = task("resolve_commit", recipe=recipe.name)
        plan_bake = task("plan_bake", recipe=recipe.name, include=include)
        need_bake = task("need_bake")
    with group("build_image", tooltip="A builder installs; its disk becomes the candidate"):
        create_builder = task("create_builder")
        wait_for_shutdown = task("wait_for_shutdown")
        create_image = task("create_image")
        label_image = task("label_image")
    with group("test_and_promote", tooltip="A VM boots the candidate; what passes is promoted"):
        smoke_test = task("smoke_test")
        promote_image = task("promote_image", notify=recipe.notify)
        publish_image = task("publish_image", recipe=recipe.name)
    delete_builder = task("delete_builder")

    chain(resolve_commit, plan_bake, need_bake, create_builder, wait_for_shutdown)
    chain(wait_for_shutdown, create_image, [label_image, smoke_test], promote_image, publish_image)
    for replace_instances in with_bake(fleets, recipe.name, include):
        publish_image >> replace_instances
    smoke_test >> delete_builder.as_teardown(setups=plan_bake, on_failure_fail_dagrun=True)
