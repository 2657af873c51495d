"""The operators of a stage: replace a member, verify the stage, plan the roll-back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import (
    FINAL,
    RETRYABLE,
    BakehouseError,
    Blocked,
    PermanentError,
    TransientError,
)
from bakehouse.core.reasons import Reason
from bakehouse.notify.models import NotificationEvent
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import Done, Next, WaitFor, resumed_by
from bakehouse.rollout import members
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.fleet_operator import STRANDED, FleetOperator, now, states_of
from bakehouse.rollout.gates import nobody_failed, others_are_up
from bakehouse.rollout.health import HealthAssessment, assess_health, explain
from bakehouse.rollout.outcome import stage_failed
from bakehouse.rollout.states import STUCK, State
from bakehouse.rollout.strategies.swap import Swap, back, boot_of, is_old, is_touched, outcome_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.rollout.plan import Target

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
        swap = Swap.model_validate(self.swap)
        try:
            return self._begin(context, swap)
        except (AirflowSkipException, Blocked):
            raise
        except Exception as error:  # whatever it is, the verdict names the member and the error
            self._push(context, swap, STUCK, f"{type(error).__name__}: {error}")
            raise

    def _begin(self, context: Context, swap: Swap) -> Next:
        from bakehouse.rollout.triggers import SwapTrigger

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
        from bakehouse.rollout.record import record_member

        swap = Swap.model_validate(self.swap)
        state = str(event.state) if event.state else STUCK
        outcome = self._push(context, swap, state, event.why)
        if event.transient:
            raise TransientError(f"{swap.member}: {event.why}")
        record_member(context, swap, state, event.why, event.seconds)
        if state != State.REPLACED:
            self._show_serial(swap)
            raise PermanentError(f"{swap.member} is {state}: {event.why}")
        self.log.info("%s runs %s: %s", swap.member, swap.image.name, event.why)
        return Done(outcome)

    def _push(self, context: Context, swap: Swap, state: str, why: str) -> dict[str, Any]:
        """Hand the outcome on to the verdict; a later try replaces it."""
        outcome = outcome_of(swap, state, why).model_dump(mode="json")
        context["ti"].xcom_push("outcome", outcome)
        return outcome

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

    The members' old disks stay: they are the way back if a later stage fails.

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
        ways, stranded = self._ways_back(context, done)
        names = ", ".join(way.member for way in ways)
        self.log.info("rolling back: %s", names or "nobody")
        if ways or stranded:
            but = "".join(f"; {outcome.member} is not: {outcome.why}" for outcome in stranded)
            self.notify(
                context,
                NotificationEvent.ROLL_BACK,
                "is rolled back to its previous images",
                f"{names or 'nobody'}{but}",
            )
        return Done([way.model_dump(mode="json") for way in ways])

    def _ways_back(
        self, context: Context, done: list[Swap]
    ) -> tuple[list[Swap], list[MemberOutcome]]:
        """Return the members to roll back, and those that cannot be, each with the reason.

        An error about one member is that member's alone: the others go back.
        """
        from bakehouse.rollout.record import record_member

        ways: list[Swap] = []
        stranded: list[MemberOutcome] = []
        for swap in done:
            try:
                way = self._way_back(swap)
            except Blocked:
                raise
            except Exception as error:  # whatever it is, the other members must not wait for it
                if isinstance(error, RETRYABLE) and context["ti"].try_number <= _max_tries(context):
                    raise
                why = str(error) if isinstance(error, FINAL) else f"{type(error).__name__}: {error}"
                self.log.error("%s cannot be rolled back: %s", swap.member, why)
                there = back(swap, None, kept=True, health=None)
                record_member(context, there, STUCK, why, None)
                stranded.append(outcome_of(there, STUCK, why))
            else:
                ways += [way] if way is not None else []
        told = [outcome.model_dump(mode="json") for outcome in stranded]
        context["ti"].xcom_push(STRANDED, told)
        return ways, stranded

    def _way_back(self, swap: Swap) -> Swap | None:
        """Return the swap back; None for a member that was not changed.

        Raises:
            PermanentError: There is no way back.
        """
        instance = self.compute.instance(swap.zone, swap.member)
        if instance is None or str(instance["id"]) != swap.id:
            raise PermanentError(Reason.MEMBER_LOST.text)
        if not is_touched(instance, swap.old):
            self.log.info("%s was not changed", swap.member)
            return None
        kept = is_old(self.compute.disk(swap.zone, swap.old.name), swap.old)
        image = self._image(swap, kept=kept)
        if image is None and not kept:
            why = members.only_disk(self.compute, swap.old)
            raise PermanentError(f"its old disk {swap.old.name} does not exist any more, and {why}")
        health = members.health(self.compute, swap.zone, swap.member)
        return back(swap, image, kept=kept, health=health)

    def _image(self, swap: Swap, *, kept: bool) -> Target | None:
        """Return the image that the member had; with its old disk kept, errors do not matter."""
        try:
            return members.previous(self.compute, swap.old, swap.image.recipe)
        except Exception:
            if kept:
                return None
            raise


def _max_tries(context: Context) -> int:
    return int(context["ti"].max_tries)
