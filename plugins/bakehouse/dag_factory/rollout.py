"""The task group `replace_instances` and the DAG around it for one fleet.

Each shape has a reason. A setup that raises after its effect would skip its teardown, so the
teardown also belongs to `choose_image`, which has no effect. `plan_rollback` waits for every
member, since its siblings may still be down when one has failed. An empty stage skips its
`replace`, and `verify_stage` starts the next one (none_failed).
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param, PartitionedAssetTimetable, TaskGroup, TriggerRule, chain

from bakehouse.core.tasks import Flow
from bakehouse.dag_factory import form_patterns
from bakehouse.dag_factory.tasks import make_task, operator_of, spec_of, task_arguments
from bakehouse.runs.operators import add_result
from bakehouse.schedule.image_asset import image_asset
from bakehouse.sla.operators import watch_slas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from bakehouse.fleet.model import Fleet


def replace_instances(
    fleet: Fleet,
    image: str = "",
    group_id: str = "replace_instances",
    include: Path | None = None,
) -> TaskGroup:
    """Return the tasks that roll out `image` (a template; empty: the newest promoted one)."""
    is_group = fleet.strategy == "mig"
    task = partial(make_task, Flow.ROLLOUT, overrides=fleet, fleet=fleet, of_group=is_group)
    with TaskGroup(group_id) as group:
        choose_image = task("choose_image", image=image)
        acquire_lease = task("acquire_lease")
        plan = task("plan", include=include)
        plan_rollback = task("plan_rollback", trigger_rule=TriggerRule.ALL_DONE)
        roll_back = _mapped(fleet, "roll_back", plan_rollback, max_active_tis_per_dagrun=1)
        verdict = task("verdict", trigger_rule=TriggerRule.ALL_DONE)
        release_lease = task("release_lease")

        chain(choose_image, acquire_lease, plan)
        before: Any = plan
        for stage in range(1, len(fleet.stages) + 1):
            before = _stage(fleet, stage, before, plan_rollback)
        chain(plan, plan_rollback, roll_back, verdict)
        plan_rollback >> verdict
        # beside the verdict, not behind it: a run's state is that of its leaves, and a teardown
        # that may fail the run would be the only leaf, green after a red verdict
        setups = [choose_image, acquire_lease]
        roll_back >> release_lease.as_teardown(setups=setups, on_failure_fail_dagrun=True)
    return group


def with_bake(fleets: Iterable[Fleet], recipe: str, include: Path | None = None) -> list[TaskGroup]:
    """Return the rollouts at the end of a bake of `recipe`, of the image that it has published."""
    following = [f for f in fleets if f.recipe == recipe and f.rollout == "with_bake"]
    return [
        replace_instances(
            fleet,
            image="{{ ti.xcom_pull(task_ids='publish_image')['image'] }}",
            group_id="replace_instances" if len(following) == 1 else f"replace_{fleet.name}",
            include=include,
        )
        for fleet in following
    ]


def roll_out_dag(fleet: Fleet, images: Collection[str] = (), include: Path | None = None) -> DAG:
    """Return `roll_out__<fleet>`, for any promoted image, also an older one.

    `images` are those that the form offers to choose from; any other may be typed.
    """
    with DAG(
        dag_id=f"roll_out__{fleet.name}",
        description=fleet.description or f"Moves the fleet {fleet.name} onto an image",
        schedule=_schedule(fleet),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        tags=["bakehouse", "roll_out", f"fleet:{fleet.name}", f"recipe:{fleet.recipe}"],
        default_args={"owner": fleet.owner},
        doc_md=_doc(fleet),
        is_paused_upon_creation=False,
    ) as dag:
        # a run that follows an image has its name as the partition's key
        replace_instances(
            fleet, image="{{ params.image or dag_run.partition_key or '' }}", include=include
        )
        add_result(dag)
        watch_slas(dag, fleet.name, fleet.notify)
    # last, and not assigned, as bakehouse.dag_factory.bake says
    dag.params.update(_form(fleet, images))
    return dag


def _stage(fleet: Fleet, stage: int, before: Any, plan_rollback: Any) -> Any:
    is_group = fleet.strategy == "mig"
    numbered = partial(
        make_task, Flow.ROLLOUT, overrides=fleet, fleet=fleet, number=stage, of_group=is_group
    )
    select_members = numbered("select_members", stage=stage)
    replace = _mapped(
        fleet,
        "replace",
        select_members,
        number=stage,
        max_active_tis_per_dagrun=fleet.tasks_at_once(),
    )
    verify_stage = numbered("verify_stage", stage=stage, trigger_rule=TriggerRule.NONE_FAILED)
    chain(before, select_members, replace, verify_stage)
    # all three: a failed sibling is not the end of the others
    [select_members, replace, verify_stage] >> plan_rollback
    if fleet.approval is None or stage not in fleet.approval.after:
        return verify_stage
    approve_stage = numbered("approve_stage", stage=stage)  # all_success, and so is what follows
    verify_stage >> approve_stage >> plan_rollback
    return approve_stage


def _mapped(
    fleet: Fleet, task_id: str, members: Any, *, number: int | None = None, **arguments: Any
) -> Any:
    """Return a mapped task, with one instance for each member that `members` returns."""
    spec = spec_of(Flow.ROLLOUT, task_id, of_group=fleet.strategy == "mig")
    return (
        operator_of(spec)
        .partial(
            fleet=fleet,
            map_index_template="{{ task.swap['member'] }}",
            **task_arguments(spec, fleet, number=number),
            **arguments,
        )
        .expand(swap=members.output)
    )


def _schedule(fleet: Fleet) -> PartitionedAssetTimetable | None:
    """Return the schedule: each published image with `follow`, otherwise none."""
    if fleet.rollout != "follow":
        return None
    return PartitionedAssetTimetable(assets=image_asset(fleet.recipe))


def _form(fleet: Fleet, images: Collection[str] = ()) -> dict[str, Param]:
    members = fleet.members.names or ()
    return {
        "image": Param(
            None,
            type=["null", "string"],
            title="Image",
            description=f"Name, id or git hash of a promoted image of {fleet.recipe}, also an old"
            " one; empty: the newest.",
            maxLength=63,
            pattern=form_patterns.IMAGE_OR_NONE,
            **form_patterns.suggested(images),
        ),
        "members": Param(
            None,
            type=["null", "array"],
            title="Members",
            description="Only these members; empty: all.",
            items={"enum": list(members)}
            if members
            else {"type": "string", "pattern": form_patterns.INSTANCE},
            maxItems=1_000,
            **form_patterns.suggested(members),
        ),
        "plan_only": Param(
            False,
            type="boolean",
            title="Plan only",
            description="Stop after the plan: nothing is changed. The log of `plan` has it.",
        ),
        "reconcile": Param(
            False,
            type="boolean",
            title="Reconcile",
            description="Mend drift only: with no image given, the fleet stays on the image of its"
            " last rollout, and members change that are missing, run another image, or differ from"
            " the template.",
        ),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            description="Take the image also if it has failed in this fleet before.",
        ),
        "why": Param(
            None,
            type=["null", "string"],
            title="Why",
            description="For the ledger: why the fleet goes back to an older image, or why its hold"
            " is released; no secrets.",
            maxLength=500,
            pattern=form_patterns.LINE_OR_NONE,
        ),
        "release": Param(
            False,
            type="boolean",
            title="Release the hold",
            description="Let the image in again that a person has rolled this fleet back from. The"
            " run does nothing else.",
        ),
        "metadata": Param(
            {},
            type="object",
            title="Metadata",
            description='Other values for metadata of the members, such as {"color": "blue"}, and'
            " no other image: each renders its files again while it runs, in the fleet's stages and"
            " behind its gates. null takes a key away.",
            **form_patterns.METADATA,
        ),
    }


def _doc(fleet: Fleet) -> str:
    stages = ", ".join(str(stage) for stage in fleet.stages)
    return (
        f"# {fleet.name}\n\n{fleet.description or 'A fleet.'}\n\nRuns images of the recipe"
        f" **{fleet.recipe}**. Stages: {stages}; at most {fleet.max_unavailable} down at a time;"
        f" on failure: {fleet.on_failure}.\n\nFile: `include/fleets/{fleet.name}.yaml`."
    )
