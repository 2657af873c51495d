"""The operators of a stage: replace a member, verify the stage, plan the roll-back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import BakehouseError, PermanentError, TransientError
from bakehouse.core.reasons import Reason
from bakehouse.images.links import resource_name
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.fleet_operator import FleetOperator, now, states_of
from bakehouse.rollout.gates import nobody_failed, others_are_up
from bakehouse.rollout.health import HealthAssessment, assess_health, explain
from bakehouse.rollout.outcome import stage_failed
from bakehouse.rollout.states import State
from bakehouse.rollout.strategies.swap import Swap, back, boot_of, is_touched

if TYPE_CHECKING:
    from airflow.sdk import Context

WALK_AT_MOST = timedelta(minutes=30)  # besides the time to get healthy
BACKSTOP = timedelta(minutes=5)
TAIL_BYTES, TAIL_LINES = 16_384, 40


class ReplaceMember(FleetOperator):
    """Replaces the boot disk of one member, in the triggerer -> outcome.

    Args:
        swap: A Swap as JSON, from `select_members` or `plan_rollback`.
        **kwargs: Of `FleetOperator`.
    """

    operator_extra_links = (MachineLink(), SerialLink())

    def __init__(self, *, swap: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.swap = swap

    def reconcile(self, context: Context) -> Next:
        """Start the swap from the member's current state, unless a gate forbids it."""
        from bakehouse.rollout.triggers import SwapTrigger

        swap = Swap.model_validate(self.swap)
        self.link_machine(swap.zone, swap.member)
        self.check_lease(context)
        self._gates(context, swap)
        within = self.fleet.health_deadline
        deadline = within + WALK_AT_MOST
        self.log.info("%s: to %s on disk %s", swap.member, swap.image.name, swap.disk)
        trigger = SwapTrigger(
            swap=self.swap,
            conn_id=self.gcp_conn_id,
            healthy_within=within.total_seconds(),
            deadline=time.time() + deadline.total_seconds(),
            turn=f"{context['ti'].try_number}.{self.memory.blocked_count}",
        )
        return WaitFor(trigger, "walked", deadline + BACKSTOP)

    @resumed_by(SwapEnded)
    def walked(self, context: Context, event: SwapEnded) -> Next:
        """Continue when the swap has ended: record it; fail unless the member reached its goal."""
        from bakehouse.history.rollout_events import MemberOutcome
        from bakehouse.rollout.record import record_member

        swap = Swap.model_validate(self.swap)
        if event.transient:
            raise TransientError(f"{swap.member}: {event.why}")
        state = str(event.state) if event.state else "stuck"
        outcome = MemberOutcome(
            member=swap.member,
            way=swap.way,
            state=state,
            why=event.why,
            image=swap.image.name,
            disk=swap.disk,
        ).model_dump(mode="json")
        record_member(context, swap, state, event.why, event.seconds)
        context["ti"].xcom_push("outcome", outcome)
        if state != State.REPLACED:
            self._show_serial(swap)
            raise PermanentError(f"{swap.member} is {state}: {event.why}")
        self.log.info("%s runs %s: %s", swap.member, swap.image.name, event.why)
        return Done(outcome)

    def _gates(self, context: Context, swap: Swap) -> None:
        instance = self.compute.instance(swap.zone, swap.member)
        if swap.way == "back" or instance is None or is_touched(instance, swap.old):
            return  # on its way already: the only right thing is to go on
        gate = nobody_failed(states_of(self.states(context), str(self.task_id)))
        if not gate.open:
            from bakehouse.rollout.record import record_halted

            record_halted(context, swap, gate.why)
            raise AirflowSkipException(f"{swap.member}: {Reason.LINE_HALTED.text} ({gate.why})")
        members.check(self.compute, swap.image)
        others = {change.name: change.zone for change in self.plan_of(context).changes}
        there = members.standing(self.compute, others)
        gate = others_are_up(swap.member, there, there, self.fleet.max_unavailable)
        if not gate.open:
            # not Blocked: waiting here would keep the slot that the other's next try needs
            raise TransientError(f"{swap.member} is not changed: {gate.why}")

    def _show_serial(self, swap: Swap) -> None:
        try:
            text = self.compute.serial_output(swap.zone, swap.member, -TAIL_BYTES)
        except BakehouseError as error:
            self.log.warning("no serial output: %s", error)
            return
        for line in str(text.get("contents", "")).splitlines()[-TAIL_LINES:]:
            self.log.error("  │ %s", line)


class VerifyStage(FleetOperator):
    """Watches a stage for the fleet's `soak`, then checks each member again -> names.

    Then it deletes the previous boot disks of the members.

    Args:
        stage: Counted from 1.
        **kwargs: Of `FleetOperator`.
    """

    def __init__(self, *, stage: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stage = stage

    def reconcile(self, context: Context) -> Next:
        """Wait for the soak time, then verify."""
        swaps = self.picked(context, self.stage)
        if self.fleet.soak is not None and swaps:
            return self._soak(self.fleet.soak)
        return Done(self._verify(context, swaps))

    def soaked(self, context: Context, event: Any = None) -> Next:  # ruff: ignore[unused-method-argument]  Airflow passes both
        """Continue after the soak time."""
        return Done(self._verify(context, self.picked(context, self.stage)))

    def _soak(self, time: timedelta) -> WaitFor:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        moment = now() + time
        self.log.info("watching stage %d until %s", self.stage, moment)
        return WaitFor(DateTimeTrigger(moment=moment), "soaked", time + BACKSTOP)

    def _verify(self, context: Context, swaps: list[Swap]) -> list[str]:
        self.check_lease(context)
        for swap in swaps:
            self._check(swap)
        for swap in swaps:
            if members.delete_unused(self.compute, swap.zone, swap.old.name, swap.run):
                self.log.info("deleted %s, the previous disk of %s", swap.old.name, swap.member)
        self.log.info("stage %d succeeded: %d members", self.stage, len(swaps))
        return [swap.member for swap in swaps]

    def _check(self, swap: Swap) -> None:
        instance = self.compute.instance(swap.zone, swap.member)
        boot = boot_of(instance or {})
        if instance is None or boot is None or boot["name"] != swap.disk:
            raise PermanentError(f"{swap.member} does not run the disk {swap.disk}")
        if instance["status"] != "RUNNING":
            raise PermanentError(f"{swap.member} is {instance['status']} after its replacement")
        health = members.health(self.compute, swap.zone, swap.member)
        if assess_health(health, swap.image.name, swap.before) is not HealthAssessment.HEALTHY:
            why = explain(health, swap.image.name, swap.before)
            raise PermanentError(f"{swap.member} did not stay healthy: {why}")


class PlanRollback(FleetOperator):
    """Lists the members to roll back, in reverse order, after all replacements -> [Swap]."""

    def reconcile(self, context: Context) -> Next:
        """Decide when every task of every stage has ended."""
        states = self.states(context)
        if states.get(self.near("plan")) != "success":
            raise AirflowSkipException("nothing was planned, so nothing is rolled back")
        short = {task.removeprefix(self.near("")): state for task, state in states.items()}
        if not stage_failed(short):
            self.log.info("every stage succeeded")
            return Done([])
        failed = ", ".join(task for task, state in sorted(short.items()) if state == "failed")
        self.notify(
            context, NotificationEvent.ROLLOUT_HALT, "the rollout has halted", f"failed: {failed}"
        )
        if self.fleet.on_failure == "halt":
            self.log.warning("a stage failed; the fleet stays as it is (on_failure: halt)")
            return Done([])
        self.check_lease(context)
        stages = range(len(self.fleet.stages), 0, -1)
        done = [swap for stage in stages for swap in reversed(self.picked(context, stage))]
        ways = [way for swap in done if (way := self._way_back(swap)) is not None]
        names = ", ".join(way.member for way in ways)
        self.log.info("rolling back: %s", names or "nobody")
        if ways:
            self.notify(
                context, NotificationEvent.ROLL_BACK, "is rolled back to its previous images", names
            )
        return Done([way.model_dump(mode="json") for way in ways])

    def _way_back(self, swap: Swap) -> Swap | None:
        instance = self.compute.instance(swap.zone, swap.member)
        if instance is None or str(instance["id"]) != swap.id:
            self.log.error("%s: %s", swap.member, Reason.MEMBER_LOST.text)
            return None
        if not is_touched(instance, swap.old):
            self.log.info("%s was not changed", swap.member)
            return None
        image = members.previous(self.compute, swap.old, swap.image.recipe)
        kept = self._is_kept(swap)
        if image is None and not kept:
            old = resource_name(swap.old.image)
            gone = f"its image {old} (id {swap.old.image_id}) was deleted or revoked"
            self.log.error(
                "%s cannot be rolled back: %s, and its disk was deleted", swap.member, gone
            )
            return None
        health = members.health(self.compute, swap.zone, swap.member)
        return back(swap, image, kept=kept, health=health)

    def _is_kept(self, swap: Swap) -> bool:
        disk = self.compute.disk(swap.zone, swap.old.name)
        return disk is not None and str(disk.get("sourceImageId", "")) == swap.old.image_id
