"""The DAG of a recipe: its settings, form and documentation; `dags/bake.py` names the steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronTriggerTimetable, Param

from bakehouse.recipe.model import Recipe
from bakehouse.recipe.tasks import TaskId

# What a step may use of a worker at a time; a wait has its own deadline, in its trigger.
EXECUTION_TIMEOUT = timedelta(minutes=15)
RETRY_DELAY = timedelta(seconds=10)
MAX_RETRY_DELAY = timedelta(minutes=10)


def dag_of(recipe: Recipe) -> DAG:
    """`bake__<recipe>`, still without steps."""
    return DAG(
        dag_id=f"bake__{recipe.name}",
        description=recipe.description or f"Bakes the image {recipe.family}",
        schedule=_schedule(recipe),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        params=_form(recipe),
        tags=["bakehouse", "bake", f"recipe:{recipe.name}"],
        default_args={"owner": recipe.owner},
        doc_md=_doc(recipe),
        is_paused_upon_creation=False,
        render_template_as_native_obj=False,
    )


def step(recipe: Recipe, task_id: TaskId) -> dict[str, Any]:
    """What every task has: retries with back-off, a time limit, an SLA and its documentation."""
    return {
        "task_id": task_id,
        "retries": recipe.retries_of(task_id),
        "retry_delay": RETRY_DELAY,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": MAX_RETRY_DELAY,
        "execution_timeout": EXECUTION_TIMEOUT,
        "sla": recipe.sla_of(task_id),
        "doc_md": DOCS[task_id],
    }


def _schedule(recipe: Recipe) -> CronTriggerTimetable | None:
    if recipe.schedule is None:
        return None
    return CronTriggerTimetable(recipe.schedule, timezone=recipe.timezone)


def _form(recipe: Recipe) -> dict[str, Param]:
    scalar = {"type": ["string", "number", "boolean"]}
    known = dict.fromkeys(recipe.vars, scalar)
    return {
        "git_ref": Param(
            "HEAD",
            type="string",
            title="Git ref",
            description="Branch, tag, hash or HEAD~3: its newest commit as of the run is baked.",
            minLength=1,
            maxLength=200,
        ),
        "force": Param(
            False,
            type="boolean",
            title="Bake anyway",
            description="Also when a promoted image has exactly this content.",
        ),
        "vars": Param(
            {},
            type="object",
            title="Vars",
            description=f"Over the recipe's own: {', '.join(recipe.vars) or 'it has none'}.",
            properties=known,
            additionalProperties=False,
        ),
        "roll_out": Param(
            True,
            type="boolean",
            title="Roll out",
            description="Move the fleets that say rollout: with_bake onto the new image.",
        ),
    }


def _doc(recipe: Recipe) -> str:
    ours = "\n".join(f"| `{name}` | `{value}` |" for name, value in recipe.vars.items())
    values = f"\n\n| var | value |\n|---|---|\n{ours}" if ours else ""
    when = f"`{recipe.schedule}` ({recipe.timezone})" if recipe.schedule else "on demand"
    return (
        f"# {recipe.name}\n\n{recipe.description or 'A machine image.'}\n\n"
        f"Image family **{recipe.family}**, built on **{recipe.base}**, {when}.\n\n"
        f"Recipe: `include/recipes/{recipe.name}.yaml`,"
        f" scripts: `include/startup_scripts/{recipe.scripts}/`, both as of the commit that is"
        f" baked.{values}"
    )


DOCS: dict[TaskId, str] = {
    "resolve_commit": "Finds the newest commit of the form's ref as of the run's time.",
    "plan_bake": "Reads the recipe at that commit, resolves the base image, computes the content"
    " key, and decides whether anything is to be baked. Makes nothing but names.",
    "need_bake": "Ends the run, with the reason, when a promoted image has this content.",
    "create_builder": "Makes the machine that installs. Each try goes to the next zone.",
    "wait_for_shutdown": "Streams the serial output of the builder into this log until it has"
    " powered off, and judges how. Clear this task and downstream to install once more.",
    "create_image": "Makes a candidate image, without a family, of the stopped disk.",
    "label_image": "Checks the image's git hash, adds package count, manifest and kernel.",
    "smoke_test": "Boots the candidate on a machine of its own and reports each check.",
    "promote_image": "Puts the tested image into its family.",
    "publish_image": "Emits the asset event that rollouts listen to. Skipped in a backfill.",
    "delete_builder": "Deletes every machine and disk of this run, and fails the run if it cannot.",
}
