"""The task group `replace_instances` and the DAG around it for one fleet.

Each shape has a reason. A setup that raises after its effect would skip its teardown, so the
teardown hangs on `choose_image` too, which has no effect. `settle` waits for every member, since a
failed one says nothing of its siblings that are still down. An empty stage skips its `replace`, and
`passed` lets the next one begin (none_failed).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, PartitionedAssetTimetable, TaskGroup, TriggerRule, chain
from airflow.sdk.definitions.param import ParamsDict

from bakehouse.fleet.model import Fleet
from bakehouse.fleet.tasks import TaskId
from bakehouse.operators.retries import Kind, retry_arguments
from bakehouse.rollout.operators import ChooseImage, Hold, Pick, Plan, Release, Verdict
from bakehouse.rollout.stage_operators import Passed, ReplaceMember, Settle
from bakehouse.schedule.image_asset import image_asset
from bakehouse.sla.operators import watch_slas

EXECUTION_TIMEOUT = timedelta(minutes=15)  # of a worker at a time; a wait has its own deadline


def replace_instances(
    fleet: Fleet, image: str = "", group_id: str = "replace_instances"
) -> TaskGroup:
    """The tasks that move `fleet` onto `image` (a template; empty: the newest promoted one)."""
    with TaskGroup(group_id) as group:
        choose_image = ChooseImage(image=image, **_step(fleet, "choose_image"))
        hold = Hold(**_step(fleet, "acquire_lease"))
        plan = Plan(**_step(fleet, "plan"))
        settle = Settle(trigger_rule=TriggerRule.ALL_DONE, **_step(fleet, "plan_rollback"))
        undo = ReplaceMember.partial(
            max_active_tis_per_dagrun=1, **_mapped(fleet, "roll_back")
        ).expand(swap=settle.output)
        verdict = Verdict(trigger_rule=TriggerRule.ALL_DONE, **_step(fleet, "verdict"))
        release = Release(**_step(fleet, "release_lease"))

        chain(choose_image, hold, plan)
        before: Any = plan
        for stage in range(1, len(fleet.stages) + 1):
            before = _stage(fleet, stage, before, settle)
        chain(plan, settle, undo, verdict)
        settle >> verdict
        # beside the verdict, not behind it: a run's state is that of its leaves, and a teardown
        # that may fail the run would be the only leaf, green after a red verdict
        undo >> release.as_teardown(setups=[choose_image, hold], on_failure_fail_dagrun=True)
    return group


def with_bake(fleets: Iterable[Fleet], recipe: str) -> list[TaskGroup]:
    """The rollouts that end a bake of `recipe`, of the image that it has published."""
    following = [f for f in fleets if f.recipe == recipe and f.rollout == "with_bake"]
    return [
        replace_instances(
            fleet,
            image="{{ ti.xcom_pull(task_ids='publish_image')['image'] }}",
            group_id="replace_instances" if len(following) == 1 else f"replace_{fleet.name}",
        )
        for fleet in following
    ]


def roll_out_dag(fleet: Fleet) -> DAG:
    """`roll_out__<fleet>`: any image of the history, which is also the way back."""
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
        replace_instances(fleet, image="{{ params.image or dag_run.partition_key or '' }}")
        watch_slas(dag, fleet.name, fleet.notify)
    dag.params = ParamsDict(_form(fleet))  # last, as bakehouse.dag_factory.bake says
    return dag


def _stage(fleet: Fleet, stage: int, before: Any, settle: Settle) -> Any:
    pick = Pick(stage=stage, **_step(fleet, "select_members", stage))
    replace = ReplaceMember.partial(
        max_active_tis_per_dagrun=fleet.max_unavailable, **_mapped(fleet, "replace", stage)
    ).expand(swap=pick.output)
    passed = Passed(
        stage=stage, trigger_rule=TriggerRule.NONE_FAILED, **_step(fleet, "verify_stage", stage)
    )
    chain(before, pick, replace, passed)
    [pick, replace, passed] >> settle  # all three: a failed sibling is not the end of the others
    return passed


def _step(fleet: Fleet, task_id: TaskId, stage: int | None = None) -> dict[str, Any]:
    """What every task has: retries with back-off, a time limit, an SLA and its documentation."""
    kind = Kind.TEARDOWN if task_id == "release_lease" else Kind.CALLS
    return {
        "task_id": f"{task_id}_{stage}" if stage else task_id,
        "fleet": fleet,
        "retries": fleet.retries_of(task_id),
        **retry_arguments(kind),
        "execution_timeout": EXECUTION_TIMEOUT,
        "sla": fleet.sla_of(task_id),
        "doc_md": DOCS[task_id],
    }


def _mapped(fleet: Fleet, task_id: TaskId, stage: int | None = None) -> dict[str, Any]:
    return {
        **_step(fleet, task_id, stage),
        "map_index_template": "{{ task.swap['member'] }}",
    }


def _schedule(fleet: Fleet) -> PartitionedAssetTimetable | None:
    """`follow`: a run of its own for each image that is published; by hand otherwise."""
    if fleet.rollout != "follow":
        return None
    return PartitionedAssetTimetable(assets=image_asset(fleet.recipe))


def _form(fleet: Fleet) -> dict[str, Param]:
    members = fleet.members.instances
    return {
        "image": Param(
            "",
            type="string",
            title="Image",
            description=f"Name or id of a promoted image of {fleet.recipe}, also an old one;"
            " empty for the newest.",
            maxLength=63,
        ),
        "members": Param(
            [],
            type="array",
            title="Members",
            description="Only these; empty for all.",
            items={"type": "string", **({"enum": list(members)} if members else {})},
        ),
    }


def _doc(fleet: Fleet) -> str:
    stages = ", ".join(str(stage) for stage in fleet.stages)
    return (
        f"# {fleet.name}\n\n{fleet.description or 'A fleet.'}\n\nRuns images of the recipe"
        f" **{fleet.recipe}**. Stages: {stages}; at most {fleet.max_unavailable} down at a time;"
        f" on failure: {fleet.on_failure}.\n\nFile: `include/fleets/{fleet.name}.yaml`."
    )


DOCS: dict[TaskId, str] = {
    "choose_image": "Pins the image by its id, and refuses one that was never promoted.",
    "acquire_lease": "Takes the fleet for this run, or waits for the run that has it.",
    "plan": "Looks at every member and says which stage it goes in, or why it is left alone.",
    "select_members": "The members of this stage, with what each last said of itself.",
    "replace": "One member: disk from the image, stop, detach, attach, start, healthy.",
    "verify_stage": "Watches the stage for the fleet's soak, then deletes the disks it had before.",
    "plan_rollback": "Waits until every member has come to rest, and says who goes back.",
    "roll_back": "One member back to the image it had, in reverse order, one at a time.",
    "verdict": "How it ended, member by member; a rollout that went back fails here.",
    "release_lease": "Lets go of the fleet.",
}
