"""The table of tasks: every task of every flow, in the order of the flow. Pure.

`bakehouse.dag_factory` builds the DAGs from it. Recipe and fleet files may override `sla` and
`retries` of a task by its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

# tasks of every DAG, besides those of the table
WATCH = "sla_watch"  # watches the SLAs
RESULT = "result"  # the last one, whose state is the run's

FREES_SLOT = "delete_builder"  # of a bake: releases its builder slot

WAITS = "waits"  # XCom of a task that waits: since when, and why
NOTE = "note"  # XCom of a task: a line for the note of a run that has succeeded
REASON = "reason"  # XCom of a failed task, in one line; Airflow deletes it at the next try


class Flow(StrEnum):
    """What a task is part of."""

    BAKE = "bake"  # the DAGs bake__<recipe>
    ROLLOUT = "rollout"  # the task group that moves a fleet onto an image
    FINALISE = "finalise"  # gives a fleet's data their newest formats
    HOUSEKEEPING = "housekeeping"
    REVOKE = "revoke"
    CHECK_SETUP = "check_setup"


class TaskKind(StrEnum):
    """What a task does, which decides how long it waits between two tries."""

    GIT = "git"  # reads a repository that may be far away
    CALLS = "calls"  # a few calls of Compute Engine
    MACHINE = "machine"  # a try costs a machine
    TEARDOWN = "teardown"  # must succeed in the end, whatever it takes


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """One task."""

    id: str  # in a rollout the tasks of a stage carry its number behind the id: replace_1
    flow: Flow
    kind: TaskKind
    retries: int
    sla: timedelta  # from the run's start, so it never falls along the flow
    docs: str  # Markdown, shown by Airflow beside the task
    operator: str  # `module:Class`, imported when a DAG is built
    priority: int = 1  # over others that are ready when the workers are busy
    of_group: Variant | None = None  # for a fleet that is a managed instance group


@dataclass(frozen=True)
class Variant:
    """Another operator of the same task."""

    operator: str
    docs: str


# A bake costs a machine, so its machines are not retried many times; a call costs nothing.
# The less is left until a run releases its builder slot, the higher is the priority: other runs
# wait for it. Of the rest a run's first task comes first, so that each run begins in time.
_BAKE = (
    TaskSpec(
        id="resolve_commit",
        flow=Flow.BAKE,
        kind=TaskKind.GIT,
        retries=3,
        sla=timedelta(minutes=10),
        operator="bakehouse.bake.plan_operators:ResolveCommit",
        priority=2,
        docs="Finds the newest commit of the form's ref as of the run's time.",
    ),
    TaskSpec(
        id="plan_bake",
        flow=Flow.BAKE,
        kind=TaskKind.GIT,
        retries=3,
        sla=timedelta(minutes=15),
        operator="bakehouse.bake.plan_operators:PlanBake",
        docs="Reads the recipe at that commit, resolves the base image, computes the content key"
        " and decides whether to bake: it looks for package updates of an image with the same"
        " content. Creates no resource.",
    ),
    TaskSpec(
        id="need_bake",
        flow=Flow.BAKE,
        kind=TaskKind.CALLS,
        retries=2,
        sla=timedelta(minutes=15),
        operator="bakehouse.bake.need:NeedBake",
        docs="Ends the run, with the reason, when a promoted image has this content. Waits for"
        " another run that already bakes it.",
    ),
    TaskSpec(
        id="create_builder",
        flow=Flow.BAKE,
        kind=TaskKind.MACHINE,
        retries=3,
        sla=timedelta(minutes=25),
        operator="bakehouse.bake.builder_operators:CreateBuilder",
        priority=3,
        docs="Creates the builder VM. Each try uses the next zone.",
    ),
    TaskSpec(
        id="wait_for_shutdown",
        flow=Flow.BAKE,
        kind=TaskKind.MACHINE,
        retries=2,
        sla=timedelta(minutes=75),
        operator="bakehouse.bake.builder_operators:WaitForShutdown",
        priority=4,
        docs="Streams the serial output of the builder into this log until the builder has powered"
        " off, then says whether the installation succeeded. To install once more, clear this task"
        " and downstream.",
    ),
    TaskSpec(
        id="create_image",
        flow=Flow.BAKE,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(minutes=90),
        operator="bakehouse.bake.image_operators:CreateImage",
        priority=5,
        docs="Creates a candidate image, without a family, from the stopped disk.",
    ),
    TaskSpec(
        id="label_image",
        flow=Flow.BAKE,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=90),
        operator="bakehouse.bake.image_operators:LabelImage",
        priority=6,
        docs="Checks the image's git hash, adds the number of packages, the manifest's digest and"
        " the kernel.",
    ),
    TaskSpec(
        id="smoke_test",
        flow=Flow.BAKE,
        kind=TaskKind.MACHINE,
        retries=2,
        sla=timedelta(minutes=105),
        operator="bakehouse.smoke.operators:SmokeTest",
        priority=7,
        docs="Boots a VM from the candidate and reports each check.",
    ),
    TaskSpec(
        id="promote_image",
        flow=Flow.BAKE,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=110),
        operator="bakehouse.promote.operators:PromoteImage",
        docs="Puts the tested image into its family.",
    ),
    TaskSpec(
        id="publish_image",
        flow=Flow.BAKE,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(minutes=110),
        operator="bakehouse.promote.operators:PublishImage",
        docs="Emits the asset event that rollouts and child recipes listen to. Skipped in a"
        " backfill.",
    ),
    TaskSpec(
        id="delete_builder",
        flow=Flow.BAKE,
        kind=TaskKind.TEARDOWN,
        retries=6,
        sla=timedelta(minutes=120),
        operator="bakehouse.bake.builder_operators:DeleteBuilder",
        priority=8,
        docs="Deletes every VM and disk of this run, and fails the run if it cannot.",
    ),
)

# In a rollout that ends a bake the run starts with the bake: a fleet's own `sla` should allow for
# it. A member's replacement continues from its present state, so another try costs only its wait.
_ROLLOUT = (
    TaskSpec(
        id="choose_image",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=2),
        operator="bakehouse.rollout.operators:ChooseImage",
        docs="Pins the image by its id, and refuses one that was never promoted.",
    ),
    TaskSpec(
        id="acquire_lease",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=3),
        operator="bakehouse.rollout.lease_operators:AcquireLease",
        docs="Takes the fleet's lease for this run, or waits for the run that holds it.",
    ),
    TaskSpec(
        id="plan",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=3),
        operator="bakehouse.rollout.operators:Plan",
        docs="Assigns every member to a stage, or names the reason why it is not replaced.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_operators:PlanGroup",
            docs="Pins the versions and the update policy of the group, its way back, or says why"
            " it cannot be moved.",
        ),
    ),
    TaskSpec(
        id="select_members",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=6),
        operator="bakehouse.rollout.operators:SelectMembers",
        docs="Lists the members of this stage, with the last health report of each.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_operators:SelectGroup",
            docs="Says which versions the group is told at this stage.",
        ),
    ),
    TaskSpec(
        id="replace",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=6),
        operator="bakehouse.rollout.replace_operator:ReplaceMember",
        docs="Replaces the boot disk of one member: create, stop, detach, attach, start, health.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_operators:MoveGroup",
            docs="Gives the group the versions of this stage, and waits until it is stable on them"
            " and its instances are healthy.",
        ),
    ),
    TaskSpec(
        id="verify_stage",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=6),
        operator="bakehouse.rollout.verify_operator:VerifyStage",
        docs="Watches the stage for the fleet's soak time, then checks each member again.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_operators:VerifyGroup",
            docs="Watches the group for the fleet's soak time.",
        ),
    ),
    TaskSpec(
        id="approve_stage",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=6),
        operator="bakehouse.rollout.approval_operator:ApproveStage",
        docs="Asks a person whether the next stage may begin, with plan, packages and figures; only"
        " after the stages that the fleet's `approval` names.",
    ),
    TaskSpec(
        id="plan_rollback",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(hours=6),
        operator="bakehouse.rollout.rollback_operator:PlanRollback",
        docs="Waits until no member is being replaced, then lists the members to roll back.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_end_operators:PlanGroupRollback",
            docs="Waits until the stages have ended, then returns the versions to go back to.",
        ),
    ),
    TaskSpec(
        id="roll_back",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=5,
        sla=timedelta(hours=7),
        operator="bakehouse.rollout.replace_operator:ReplaceMember",
        docs="Rolls one member back to its previous image, in reverse order, one at a time.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_operators:MoveGroup",
            docs="Gives the group the versions that it had, and waits until it is stable on them.",
        ),
    ),
    TaskSpec(
        id="verdict",
        flow=Flow.ROLLOUT,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=7),
        operator="bakehouse.rollout.verdict:Verdict",
        docs="Reports each member's outcome, deletes unused disks; fails unless all is well.",
        of_group=Variant(
            operator="bakehouse.rollout.mig_end_operators:GroupVerdict",
            docs="Reports the group's outcome, gives it its own update policy again; fails unless"
            " all is well.",
        ),
    ),
    TaskSpec(
        id="release_lease",
        flow=Flow.ROLLOUT,
        kind=TaskKind.TEARDOWN,
        retries=6,
        sla=timedelta(hours=7),
        operator="bakehouse.rollout.lease_operators:ReleaseLease",
        docs="Releases the fleet's lease.",
    ),
)

# A person answers within a day at most, unless the fleet's `approval` says otherwise.
_FINALISE = (
    TaskSpec(
        id="check_fleet",
        flow=Flow.FINALISE,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=1),
        operator="bakehouse.rollout.finalise_operators:CheckFleet",
        docs="Looks whether the whole fleet has soaked on one image and is well, and asks each"
        " member which formats its data have.",
    ),
    TaskSpec(
        id="approve_finalise",
        flow=Flow.FINALISE,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=25),
        operator="bakehouse.rollout.finalise_operators:ApproveFinalise",
        docs="Asks a person: there is no way back from what follows.",
    ),
    TaskSpec(
        id="acquire_lease",
        flow=Flow.FINALISE,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=27),
        operator="bakehouse.rollout.lease_operators:AcquireLease",
        docs="Takes the fleet's lease for this run, or waits for the run that holds it.",
    ),
    TaskSpec(
        id="finalise_data",
        flow=Flow.FINALISE,
        kind=TaskKind.CALLS,
        retries=3,
        sla=timedelta(hours=28),
        operator="bakehouse.rollout.finalise_operators:FinaliseData",
        docs="Looks again, waits for the end of a freeze, and gives one member the order"
        " `finalise`.",
    ),
    TaskSpec(
        id="release_lease",
        flow=Flow.FINALISE,
        kind=TaskKind.TEARDOWN,
        retries=6,
        sla=timedelta(hours=28),
        operator="bakehouse.rollout.lease_operators:ReleaseLease",
        docs="Releases the fleet's lease.",
    ),
)

# Sweeping, retiring and drift run beside each other, so their SLAs do not depend on one another.
_HOUSEKEEPING = (
    TaskSpec(
        id="plan_sweep",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=15),
        operator="bakehouse.housekeeping.sweep_operators:PlanSweep",
        docs="Lists VMs, disks and candidates whose run has ended.",
    ),
    TaskSpec(
        id="sweep",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=45),
        operator="bakehouse.housekeeping.sweep_operators:Sweep",
        docs="Deletes what was planned and still has no owner. Skipped in a dry run.",
    ),
    TaskSpec(
        id="plan_retire",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=15),
        operator="bakehouse.housekeeping.retire_operators:PlanRetire",
        docs="Lists each promoted image, whether it stays, and why.",
    ),
    TaskSpec(
        id="retire",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=45),
        operator="bakehouse.housekeeping.retire_operators:Retire",
        docs="Deprecates an image, makes it obsolete or deletes it, one step a run. Skipped in a"
        " dry run.",
    ),
    TaskSpec(
        id="show_drift",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=30),
        operator="bakehouse.housekeeping.drift_operator:ShowDrift",
        docs="Lists the members that do not run the newest promoted image.",
    ),
    TaskSpec(
        id="find_missing_fixes",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=30),
        operator="bakehouse.housekeeping.fixes_operator:FindMissingFixes",
        docs="Looks at the archives for every image that members run: which security updates they"
        " lack, and for how many days.",
    ),
    TaskSpec(
        id="ask_for_fixes",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=45),
        operator="bakehouse.housekeeping.fixes_operator:AskForFixes",
        docs="Triggers a rebake or a rollout for fleets whose max_days_since_fix is exceeded."
        " Skipped in a dry run.",
    ),
    TaskSpec(
        id="compact_ledger",
        flow=Flow.HOUSEKEEPING,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=45),
        operator="bakehouse.housekeeping.compact_operator:CompactLedger",
        docs="Puts the ledger's records of closed days into segments, so that lists of the history"
        " are quick. The records stay. Skipped in a dry run.",
    ),
)

_REVOKE = (
    TaskSpec(
        id="find_image",
        flow=Flow.REVOKE,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=5),
        operator="bakehouse.housekeeping.revoke_operators:FindImage",
        docs="Refuses an image that Bakehouse did not make; lists the images that are built on it.",
    ),
    TaskSpec(
        id="revoke_image",
        flow=Flow.REVOKE,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=10),
        operator="bakehouse.housekeeping.revoke_operators:RevokeImage",
        docs="Labels the image as revoked and makes it OBSOLETE.",
    ),
    TaskSpec(
        id="mark_descendants",
        flow=Flow.REVOKE,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=15),
        operator="bakehouse.housekeeping.revoke_operators:MarkDescendants",
        docs="Labels and deprecates every image that is built on it.",
    ),
    TaskSpec(
        id="name_members",
        flow=Flow.REVOKE,
        kind=TaskKind.CALLS,
        retries=4,
        sla=timedelta(minutes=20),
        operator="bakehouse.housekeeping.revoke_operators:NameMembers",
        docs="Names the members that run any of these images, and notifies the channels of their"
        " recipes and fleets.",
    ),
)

_CHECK_SETUP = (
    TaskSpec(
        id="check_setup",
        flow=Flow.CHECK_SETUP,
        kind=TaskKind.CALLS,
        retries=1,
        sla=timedelta(minutes=10),
        operator="bakehouse.preflight.operators:CheckSetup",
        docs="Looks at all that a bake and a rollout need, and defers once: the triggerer has to"
        " answer. The log has a line for each check, with the command that mends what is wrong.",
    ),
)

TASKS: tuple[TaskSpec, ...] = (
    *_BAKE,
    *_ROLLOUT,
    *_FINALISE,
    *_HOUSEKEEPING,
    *_REVOKE,
    *_CHECK_SETUP,
)

_BY_ID = {(spec.flow, spec.id): spec for spec in TASKS}


def task_spec(flow: Flow, task_id: str) -> TaskSpec:
    """The row of a task; KeyError when the flow has no such task."""
    return _BY_ID[flow, task_id]


def task_ids(flow: Flow) -> tuple[str, ...]:
    """The ids of a flow's tasks, in its order."""
    return tuple(spec.id for spec in TASKS if spec.flow is flow)
