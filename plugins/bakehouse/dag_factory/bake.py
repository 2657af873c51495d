"""The DAG of a recipe: its settings, form and documentation; `dags/bake.py` names the steps."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, PartitionedAssetTimetable
from airflow.sdk.definitions.param import ParamsDict

from bakehouse.dag_factory.bake_doc import doc_of
from bakehouse.dag_factory.bake_form import form
from bakehouse.fleet.model import Fleet
from bakehouse.operators.retries import Kind, retry_arguments
from bakehouse.recipe.model import Recipe
from bakehouse.recipe.rules import parent_of
from bakehouse.recipe.tasks import KIND, TaskId
from bakehouse.schedule.image_asset import image_asset
from bakehouse.schedule.timetable import Nightly, NightlyOrParent, offset_of

# What a step may use of a worker at a time; a wait has its own deadline, in its trigger.
EXECUTION_TIMEOUT = timedelta(minutes=15)
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)  # no backfill goes back beyond it


@contextmanager
def dag_of(
    recipe: Recipe, recipes: Sequence[Recipe] = (), fleets: Sequence[Fleet] = ()
) -> Generator[DAG]:
    """`bake__<recipe>`; its steps are named inside.

    The form comes last: Airflow gives each task a copy of the params that its DAG has by then, and
    checks every copy again when it serialises the DAG (20 of 24 s, with 500 recipes).
    """
    with DAG(
        dag_id=f"bake__{recipe.name}",
        description=recipe.description or f"Bakes the image {recipe.family}",
        schedule=_schedule(recipe),
        start_date=BEGINNING,
        catchup=False,
        max_active_runs=1,  # of scheduled and manual runs; a backfill says its own number
        tags=["bakehouse", "bake", f"recipe:{recipe.name}"],
        default_args={"owner": recipe.owner},
        doc_md=doc_of(recipe, recipes, fleets),
        is_paused_upon_creation=False,
        render_template_as_native_obj=False,
    ) as dag:
        yield dag
    dag.params = ParamsDict(form(recipe))


def step(recipe: Recipe, task_id: TaskId) -> dict[str, Any]:
    """What every task has: retries with back-off, a time limit, an SLA and its documentation."""
    return {
        "task_id": task_id,
        "retries": recipe.retries_of(task_id),
        **retry_arguments(Kind(KIND[task_id])),
        "execution_timeout": EXECUTION_TIMEOUT,
        "sla": recipe.sla_of(task_id),
        "doc_md": DOCS[task_id],
    }


def _schedule(recipe: Recipe) -> Nightly | PartitionedAssetTimetable | None:
    """Its own nights, and each new image of the recipe that it is built on."""
    parent = parent_of(recipe)
    offset = offset_of(recipe.name, recipe.jitter)
    if recipe.schedule is None:
        return PartitionedAssetTimetable(assets=image_asset(parent)) if parent else None
    if parent is None:
        return Nightly(recipe.schedule, timezone=recipe.timezone, offset=offset)
    return NightlyOrParent(
        recipe.schedule, timezone=recipe.timezone, offset=offset, parent=image_asset(parent)
    )


DOCS: dict[TaskId, str] = {
    "resolve_commit": "Finds the newest commit of the form's ref as of the run's time.",
    "plan_bake": "Reads the recipe at that commit, resolves the base image, computes the content"
    " key, and decides whether anything is to be baked: an image of this content is looked through"
    " for updates of its packages. Makes nothing but names.",
    "need_bake": "Ends the run, with the reason, when a promoted image has this content, and waits"
    " for another run that bakes it already.",
    "create_builder": "Makes the machine that installs. Each try goes to the next zone.",
    "wait_for_shutdown": "Streams the serial output of the builder into this log until it has"
    " powered off, and judges how. Clear this task and downstream to install once more.",
    "create_image": "Makes a candidate image, without a family, of the stopped disk.",
    "label_image": "Checks the image's git hash, adds package count, manifest and kernel.",
    "smoke_test": "Boots the candidate on a machine of its own and reports each check.",
    "promote_image": "Puts the tested image into its family.",
    "publish_image": "Emits the asset event that rollouts and layers above listen to. Skipped in"
    " a backfill.",
    "delete_builder": "Deletes every machine and disk of this run, and fails the run if it cannot.",
}
