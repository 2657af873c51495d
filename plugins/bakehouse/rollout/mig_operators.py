"""The operators of a fleet that is a managed instance group, under the task ids of every rollout.

What differs from a fleet whose members are replaced one by one: the one member of each stage is
the group, and the group replaces its instances itself.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import (
    BakehouseError,
    Blocked,
    PermanentError,
    TransientError,
)
from bakehouse.core.time import format_utc
from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members, mig_calls, target_images
from bakehouse.rollout.events import GroupMoved, SoakEnded
from bakehouse.rollout.fleet_operator import (
    FAILED_IN_SOAK,
    SELECT_MEMBERS,
    FleetOperator,
    now,
)
from bakehouse.rollout.mig_progress import progress
from bakehouse.rollout.operators import PlanningOperator, SelectMembers
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.states import STUCK, State
from bakehouse.rollout.strategies.mig import GroupMove, forward, moving, outcome_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.rollout.events import MovedInstance
    from bakehouse.rollout.params import RolloutParams
    from bakehouse.rollout.plan import RolloutPlan, Target

INSTANCES = "instances"  # an XCom of replace: the ids of the instances that run the image
FOR_EACH = timedelta(minutes=10)  # to make an instance, besides the time to get healthy
BACKSTOP = timedelta(minutes=5)


class PlanGroup(PlanningOperator):
    """Pins the group's versions and policy, and what each stage sets -> RolloutPlan."""

    def make(self, context: Context, image: Target, form: RolloutParams) -> RolloutPlan:
        """Read the group, and plan."""
        from bakehouse.history.location import ledger_url
        from bakehouse.rollout.mig_planning import make_group_plan

        if form.metadata:
            raise PermanentError(
                f"the group {self.fleet.members.group} has its template's metadata, so they are"
                " not changed alone: change them in the group (gcloud compute instance-groups"
                " managed all-instances-config update) or in a template of its own, and leave"
                " the field metadata of the form empty. Nothing was changed"
            )
        made, remarks = make_group_plan(
            self.compute,
            self.fleet,
            self.run_of(context),
            image,
            ledger_url(),
            only=form.members,
            plan_only=form.plan_only,
        )
        for remark in remarks:
            self.log.warning("%s", remark)
        return made

    def moves(self, made: RolloutPlan) -> str:
        """Return the name of the group, if it moves."""
        return made.group.name if made.group is not None else ""


class SelectGroup(SelectMembers):
    """Says what the group is told at this stage -> [GroupMove]. Renews the lease."""

    def reconcile(self, context: Context) -> Next:
        """Wait for a window, renew the lease; a stage without an instance more changes nothing."""
        made = self.begun_plan(context)
        if made.group is None or not made.group.moves(self.stage):
            self.renew_lease(context)
            self.log.info("stage %d: nobody", self.stage)
            return Done([])
        wait = self.wait_until_allowed(context, made.image)
        if wait is not None:
            return wait
        self.renew_lease(context)
        move = forward(made, made.group, self.stage)
        self.log.info("stage %d: %s", self.stage, moving(move))
        return Done([move.model_dump(mode="json")])


class MoveGroup(FleetOperator):
    """Moves the group to the versions of a stage, or back, in the triggerer -> outcome.

    Args:
        swap: A GroupMove as JSON, from `select_members` or `plan_rollback`.
        **kwargs: Of `FleetOperator`.
    """

    operator_extra_links = (MachineLink(), SerialLink())

    def __init__(self, *, swap: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.swap = swap

    def reconcile(self, context: Context) -> Next:
        """Start the move from where the group is, unless a gate forbids it."""
        move = GroupMove.model_validate(self.swap)
        try:
            return self._begin(context, move)
        except (AirflowSkipException, Blocked):
            raise
        except Exception as error:  # whatever it is, the verdict names the group and the error
            self._push(context, move, STUCK, f"{type(error).__name__}: {error}")
            raise

    def _begin(self, context: Context, move: GroupMove) -> Next:
        from bakehouse.rollout.mig_trigger import GroupTrigger

        self.check_lease(context)
        if move.way == "forward":
            if not self._is_on_its_way(move):
                wait = self.wait_until_allowed(context, move.image, move.member)
                if wait is not None:
                    return wait
            target_images.check(self.compute, move.image)
        size = int((self.compute.group(move.zone, move.member) or {}).get("targetSize", 0))
        within = self.fleet.health_deadline
        gate = self.fleet.gate
        outside = gate.deadline if gate.http or gate.prometheus else timedelta(0)
        busy = max(within, self.fleet.busy_limit)
        deadline = (size + 1) * (busy + FOR_EACH + outside)
        self.log.info("%s", moving(move))
        trigger = GroupTrigger(
            move=self.swap,
            conn_id=self.gcp_conn_id,
            healthy_within=within.total_seconds(),
            deadline=time.time() + deadline.total_seconds(),
            turn=f"{context['ti'].try_number}.{self.memory.blocked_count}",
            windows=[window.model_dump(mode="json") for window in self.fleet.windows],
            gate=gate.model_dump(mode="json"),
            busy_limit=self.fleet.busy_limit.total_seconds(),
        )
        return WaitFor(trigger, "moved", deadline + BACKSTOP)

    def _is_on_its_way(self, move: GroupMove) -> bool:
        """Whether instances are being replaced: they are watched, whatever holds the next ones."""
        found = progress(mig_calls.look(self.compute, move, {}), move)
        return found.state is State.UPDATING and len(found.good) < found.wanted and not found.due

    @resumed_by(GroupMoved)
    def moved(self, context: Context, event: GroupMoved) -> Next:
        """Continue when the move has ended: record it; fail unless the group is good."""
        move = GroupMove.model_validate(self.swap)
        if event.held:
            return self.wait_until_allowed(context, move.image, move.member) or Again()
        state = str(event.state) if event.state else STUCK
        outcome = self._push(context, move, state, event.why, event)
        if event.transient:
            raise TransientError(f"the group {move.member}: {event.why}")
        self._record(context, move, state, event)
        if state != State.REPLACED:
            raise PermanentError(in_words(MemberOutcome.model_validate(outcome)))
        self.log.info("%s", in_words(MemberOutcome.model_validate(outcome)))
        return Done(outcome)

    def _push(
        self,
        context: Context,
        move: GroupMove,
        state: str,
        why: str,
        moved: GroupMoved | None = None,
    ) -> dict[str, Any]:
        """Hand the outcome on to the verdict; a later try replaces it."""
        known = outcome_of(move, state, why)
        if moved is not None:
            more = {"cause": moved.cause or "", "first_try": moved.first_try}
            known = known.model_copy(update=more)
        outcome: dict[str, Any] = known.model_dump(mode="json")
        context["ti"].xcom_push("outcome", outcome)
        return outcome

    def _record(self, context: Context, move: GroupMove, state: str, event: GroupMoved) -> None:
        """Record each instance that is new, and the group itself where none says why."""
        from bakehouse.rollout.record import record_instances

        good = [one for one in event.instances if not one.why]
        context["ti"].xcom_push(INSTANCES, [one.id for one in good])
        before = self._recorded(context, move)
        fresh = [one for one in event.instances if one.why or one.id not in before]
        boots = self._boot_disks(move, fresh)
        record_instances(context, move, state, event, fresh, boots)

    def _recorded(self, context: Context, move: GroupMove) -> set[str]:
        """Return the instances that an earlier stage has moved."""
        if move.way == "back":
            return set()
        told = (
            context["ti"].xcom_pull(
                task_ids=self.near(f"replace_{number}"), key=INSTANCES, map_indexes=[0]
            )
            for number in range(1, move.stage)
        )
        return {id_ for each in told for ids in each or [] for id_ in ids or []}

    def _boot_disks(self, move: GroupMove, instances: list[MovedInstance]) -> dict[str, str]:
        try:
            zones = {one.name: one.zone or move.zone for one in instances}
            there = members.standing(self.compute, zones)
        except BakehouseError as error:
            self.log.warning("the boot disks of the instances are not known: %s", error)
            return {}
        return {name: members.boot_disk_of(instance) for name, instance in there.items()}


class VerifyGroup(FleetOperator):
    """Watches the group for the fleet's `soak` -> the name of the group, if the stage moved it.

    Args:
        stage: Counted from 1.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, stage: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def reconcile(self, context: Context) -> Next:
        """Watch for the soak time; without one, the move has just found the group healthy."""
        context["ti"].xcom_push(FAILED_IN_SOAK, [])
        move, soak = self._move(context), self.fleet.soak
        if move is None or not soak:
            return Done(self._succeeded(context))
        from bakehouse.rollout.mig_soak_trigger import GroupSoakTrigger

        until, at_most = now() + soak, self.fleet.health_deadline + FOR_EACH
        self.log.info("watching stage %d until %s", self.stage, format_utc(until))
        trigger = GroupSoakTrigger(
            move=move.model_dump(mode="json"),
            conn_id=self.gcp_conn_id,
            until=until.timestamp(),
            at_most=at_most.total_seconds(),
            numbers=dict(self.fleet.compare),
        )
        return WaitFor(trigger, "soaked", soak + at_most + 2 * BACKSTOP)

    @resumed_by(SoakEnded)
    def soaked(self, context: Context, event: SoakEnded) -> Next:
        """Continue when the watch has ended."""
        if event.error:
            raise TransientError(event.error)
        move = self._move(context)
        if event.failed and move is not None:
            each = "; ".join(f"{failed.member}: {failed.why}" for failed in event.failed)
            outcome = outcome_of(move, State.UNHEALTHY, each)
            context["ti"].xcom_push(FAILED_IN_SOAK, [outcome.model_dump(mode="json")])
            raise PermanentError(f"stage {self.stage} did not stay healthy: {each}")
        return Done(self._succeeded(context))

    def _move(self, context: Context) -> GroupMove | None:
        task = self.near(SELECT_MEMBERS.format(self.stage))
        found = context["ti"].xcom_pull(task_ids=task) or []
        return GroupMove.model_validate(found[0]) if found else None

    def _succeeded(self, context: Context) -> list[str]:
        self.check_lease(context)
        move = self._move(context)
        self.log.info("stage %d succeeded", self.stage)
        return [move.member] if move is not None else []
