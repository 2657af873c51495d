"""The operators around the stages: image, lease, plan, members of a stage, outcome."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.lease.builder_slots import run_state
from bakehouse.lease.events import LeaseLooksFree
from bakehouse.lease.lease import Claim, Owner, acquire
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.base import TryMemory, is_backfill, rolls_out
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members
from bakehouse.rollout.fleet_operator import LEASE_TIME, REPLACE, FleetOperator, now
from bakehouse.rollout.outcome import Outcome, rollout_outcome
from bakehouse.rollout.plan import Member, RolloutPlan, Target, plan
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.swap import forward

if TYPE_CHECKING:
    from airflow.sdk import Context

LEASE_BACKSTOP = timedelta(minutes=5)  # beyond the trigger's own deadline


class ChooseImage(FleetOperator):
    """Pins the image of this rollout by its id -> Target. Creates no resource.

    Args:
        image: Name or id; empty for the newest promoted one of the fleet's recipe.
        **kwargs: Of `FleetOperator`.
    """

    template_fields = ("image",)

    def __init__(self, *, image: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image = image

    def reconcile(self, context: Context) -> Next:
        """Choose the image, or skip if no rollout is requested."""
        if not rolls_out(context):
            raise AirflowSkipException(f"no rollout: {Reason.NOT_ASKED_FOR.text}")
        if is_backfill(context):
            raise AirflowSkipException(f"no rollout: {Reason.BACKFILL.text}")
        chosen = members.choose(self.compute, self.fleet.recipe, str(self.image or "").strip())
        self.log.info("rolling out %s (id %s, commit %s)", chosen.name, chosen.id, chosen.git_sha)
        return Done(chosen.model_dump(mode="json"))


class LeaseMemory(TryMemory):
    """The memory of acquire_lease: the deadline (epoch seconds)."""

    deadline: float | None = None


class AcquireLease(FleetOperator):
    """Takes the fleet's lease, or waits deferred for the run that holds it."""

    Memory = LeaseMemory
    memory: LeaseMemory

    def reconcile(self, context: Context) -> Next:
        """Take the lease, or wait; wait again if another run was faster."""
        me, lease = self.holder(context), self.lease()
        decision = acquire(lease, me, now(), LEASE_TIME, lambda owner: run_state(context, owner))
        if decision.claim is Claim.WAIT:
            return self._wait(me, decision.why)
        self.log.info("holding the lease of fleet %s: %s", self.fleet.name, decision.why)
        return Done({"fleet": self.fleet.name, "why": decision.why})

    @resumed_by(LeaseLooksFree)
    def looks_free(self, context: Context, event: LeaseLooksFree) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Continue after the wait."""
        if not event.free:
            raise PermanentError(f"{Reason.FLEET_BUSY.text}: {event.why}")
        return Again()

    def _wait(self, me: Owner, why: str) -> WaitFor:
        from bakehouse.history.location import ledger_url
        from bakehouse.lease.store import lease_name
        from bakehouse.lease.triggers import LeaseTrigger

        self.log.info("waiting for the lease of fleet %s: %s", self.fleet.name, why)
        deadline = self.memory.deadline
        if deadline is None:
            deadline = time.time() + self.fleet.wait_for_fleet.total_seconds()
            self.remember(deadline=deadline)
        trigger = LeaseTrigger(
            ledger=ledger_url(),
            name=lease_name(self.fleet.name),
            owner=me.model_dump(),
            deadline=deadline,
        )
        left = timedelta(seconds=max(0.0, deadline - time.time()))
        return WaitFor(trigger, "looks_free", left + LEASE_BACKSTOP)


class ReleaseLease(FleetOperator):
    """The teardown: releases the fleet's lease, if this run holds it."""

    def reconcile(self, context: Context) -> Next:
        """Release the lease. Idempotent."""
        if self.lease().release(self.holder(context), now()):
            self.log.info("released the lease of fleet %s", self.fleet.name)
        else:
            self.log.info("this run did not hold the lease of fleet %s", self.fleet.name)
        return Done()


class Plan(FleetOperator):
    """Assigns each member to a stage, or names the reason why it is skipped -> RolloutPlan."""

    def reconcile(self, context: Context) -> Next:
        """Read every member, and plan."""
        from bakehouse.rollout.record import record_plan

        self.check_lease(context)
        image = self.received(context, self.near("choose_image"), Target)
        members.check(self.compute, image)  # again: this run may have waited for the fleet
        found, missing = members.instances(self.compute, self.fleet.members)
        wanted = set(context["params"].get("members") or [])
        facts = members.fleet_members(self.compute, found)
        made = plan(
            self.fleet.name,
            self.run_of(context),
            image,
            self.fleet.stages,
            [member for member in facts if not wanted or member.name in wanted],
            members.disks_made_by_rollouts(self.compute, self.fleet),
            missing=missing,
        )
        self._check(wanted, facts)
        self._log_plan(made)
        record_plan(context, made)
        if made.changes:
            names = ", ".join(change.name for change in made.changes)
            self.notify(context, NotificationEvent.ROLLOUT_START, f"moves to {image.name}", names)
        return Done(made.model_dump(mode="json"))

    def _check(self, wanted: set[str], facts: list[Member]) -> None:
        unknown = sorted(wanted - {member.name for member in facts})
        if unknown:
            raise PermanentError(f"not members of {self.fleet.name}: {', '.join(unknown)}")

    def _log_plan(self, made: RolloutPlan) -> None:
        for number, stage in enumerate(made.stages, start=1):
            names = ", ".join(change.name for change in stage)
            self.log.info("stage %d (%s): %s", number, self.fleet.stages[number - 1], names or "-")
        for skipped in made.skipped:
            self.log.info("not replaced: %s, %s", skipped.name, skipped.reason.text)


class SelectMembers(FleetOperator):
    """Lists the members of one stage with their last reports -> [Swap]. Renews the lease.

    Args:
        stage: Counted from 1.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, stage: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def reconcile(self, context: Context) -> Next:
        """Renew the lease, and read each member's last report."""
        made, me = self.plan_of(context), self.holder(context)
        decision = acquire(self.lease(), me, now(), LEASE_TIME, lambda o: run_state(context, o))
        if decision.claim is not Claim.RENEW:
            self.lease().release(me, now())
            raise PermanentError(
                f"this run had lost the fleet's lease: {decision.why}; clear acquire_lease"
            )
        changes = made.stages[self.stage - 1]
        swaps = [
            forward(made, change, members.health(self.compute, change.zone, change.name))
            for change in changes
        ]
        self.log.info("stage %d: %s", self.stage, ", ".join(s.member for s in swaps) or "nobody")
        return Done([swap.model_dump(mode="json") for swap in swaps])


class Verdict(FleetOperator):
    """Reports the outcome of each member, and fails the run with the reason.

    A rollout that was rolled back fails too. Unused boot disks that this run created are deleted.
    """

    def reconcile(self, context: Context) -> Next:
        """Record the outcome, then delete unused disks."""
        from bakehouse.rollout.record import record_end

        states, value = self.states(context), context["ti"].xcom_pull(task_ids=self.near("plan"))
        ending = rollout_outcome({self._short(task): state for task, state in states.items()})
        if ending is Outcome.NONE:
            raise AirflowSkipException("no rollout was requested")
        if value is None:
            raise PermanentError(
                "no member was changed: a task before the first replacement failed"
            )
        made = RolloutPlan.model_validate(value)
        outcomes = self._outcomes(context, made)
        for outcome in outcomes:
            self.log.info("%s: %s, %s", outcome.member, outcome.state, outcome.why)
        reason = _REASONS[ending] if made.changes else Reason.NOTHING_TO_REPLACE
        record_end(context, made, reason, outcomes)
        self._sweep(made)
        if ending is not Outcome.GOOD:
            raise PermanentError(f"{reason.text}. {_first_failure(outcomes)}")
        counts = f"{len(made.changes)} replaced, {len(made.skipped)} not replaced"
        self.log.info("%s", counts)
        if made.changes:
            self.notify(
                context, NotificationEvent.ROLLOUT_FINISH, f"runs {made.image.name}", counts
            )
        every = [outcome.model_dump(mode="json") for outcome in outcomes]
        return Done({"image": made.image.name, "outcomes": every})

    def _short(self, task_id: str) -> str:
        return task_id.removeprefix(self.near(""))

    def _outcomes(self, context: Context, made: RolloutPlan) -> list[MemberOutcome]:
        """Return the outcome of each member's tasks, replacements first."""
        names = [REPLACE.format(n) for n in range(1, len(made.stages) + 1)] + ["roll_back"]
        counts = [len(stage) for stage in made.stages] + [len(made.changes)]
        found: list[MemberOutcome] = []
        for name, count in zip(names, counts, strict=True):
            told = context["ti"].xcom_pull(
                task_ids=self.near(name), key="outcome", map_indexes=list(range(count))
            )
            found += [MemberOutcome.model_validate(outcome) for outcome in told or [] if outcome]
        return found

    def _sweep(self, made: RolloutPlan) -> None:
        """Delete new disks that are unused; never the previous disks of members."""
        for change in made.changes:
            if members.delete_unused(self.compute, change.zone, change.disk, made.run):
                self.log.info("deleted the unused disk %s", change.disk)


_REASONS = {
    Outcome.GOOD: Reason.NEW_IMAGE,
    Outcome.ROLLED_BACK: Reason.STAGE_FAILED,
    Outcome.FAILED: Reason.NOT_HEALTHY,
}


def _first_failure(outcomes: list[MemberOutcome]) -> str:
    bad = [o for o in outcomes if o.way == "forward" and o.state != State.REPLACED]
    return f"{bad[0].member}: {bad[0].state}, {bad[0].why}" if bad else ""
