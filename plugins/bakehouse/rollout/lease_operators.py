"""The operators of a fleet's lease: one rollout of it at a time."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.lease.builder_slots import run_state
from bakehouse.lease.events import LeaseLooksFree
from bakehouse.lease.lease import Claim, Owner, acquire
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.rollout.fleet_operator import (
    LEASE_TIME,
    FleetOperator,
    now,
)
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.plan import RolloutPlan
from bakehouse.rollout.rollout_states import RolloutState, rollout_state

if TYPE_CHECKING:
    from airflow.sdk import Context


BACKSTOP = timedelta(minutes=5)  # beyond the trigger's own deadline


class LeaseMemory(HoldMemory):
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
        return WaitFor(trigger, "looks_free", left + BACKSTOP)


def _moves_anybody(made: RolloutPlan) -> bool:
    group = made.group
    if group is None:
        return bool(made.changes)
    return any(group.moves(number) for number in range(1, len(made.stages) + 1))


class ReleaseLease(FleetOperator):
    """The teardown: releases the fleet's lease, if this run holds it."""

    def reconcile(self, context: Context) -> Next:
        """Release the lease. Idempotent."""
        if self.lease().release(self.holder(context), now()):
            self.log.info("released the lease of fleet %s", self.fleet.name)
        else:
            self.log.info("this run did not hold the lease of fleet %s", self.fleet.name)
        if self._is_stopped(context):
            self._record_stopped(context)
        return Done()

    def _is_stopped(self, context: Context) -> bool:
        """Whether somebody has ended the run, so that no verdict is recorded."""
        states = {task.removeprefix(self.near("")): s for task, s in self.states(context).items()}
        return rollout_state(states) is RolloutState.STOPPED and states.get("verdict") != "success"

    def _record_stopped(self, context: Context) -> None:
        """Record in which state each member is left; what cannot be read keeps no lease."""
        from bakehouse.rollout.record import record_end
        from bakehouse.rollout.stopped import left_behind

        value = context["ti"].xcom_pull(task_ids=self.near("plan"))
        if value is None:
            return
        made = RolloutPlan.model_validate(value)
        if made.plan_only or not _moves_anybody(made):
            return  # the plan itself has skipped the stages, and the verdict may yet come
        stages = range(1, len(made.stages) + 1) if made.group is None else ()
        swaps = [swap for stage in stages for swap in self.picked(context, stage)]
        outcomes = left_behind(self.compute, swaps, self.fleet.health_deadline)
        for outcome in outcomes:
            self.log.warning("left as it is: %s", in_words(outcome))
        stopped = RolloutState.STOPPED
        record_end(context, made, Reason.STOPPED, outcomes, stopped, failed_here=False)
