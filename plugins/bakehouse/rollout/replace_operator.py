"""The operator that replaces a member, forward or back."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.cloud import boot_lines, serial_output
from bakehouse.core.errors import (
    FINAL,
    BakehouseError,
    Blocked,
    PermanentError,
    TransientError,
)
from bakehouse.core.reasons import Reason
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.fleet_operator import PROGRESS, SELECT_MEMBERS, max_tries, now
from bakehouse.rollout.handover import HandoverFields
from bakehouse.rollout.orders import Order
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.progress import WALK_AT_MOST, no_progress, progress_within
from bakehouse.rollout.states import REACHED, STUCK
from bakehouse.rollout.strategies.swap import Swap, moving
from bakehouse.rollout.turn_operator import BACKSTOP, READY_AT_MOST, TurnOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from bakehouse.rollout.beside import Beside

TAIL_BYTES, TAIL_LINES, MOST_LINES = 16_384, 40, 10_000


class ReplaceMember(TurnOperator):
    """Replaces the boot disk of one member, in the triggerer -> outcome.

    Args:
        swap: A Swap as JSON, from `select_members` or `plan_rollback`.
        **kwargs: Of `FleetOperator`.
    """

    operator_extra_links = (MachineLink(), SerialLink())

    def reconcile(self, context: Context) -> Next:
        """Start the swap from the member's current state, unless a gate forbids it."""
        swap = Swap.model_validate(self.swap)
        try:
            return self._begin(context, swap)
        except (AirflowSkipException, Blocked):
            raise
        except Exception as error:  # whatever it is, the verdict names the member and the error
            why = str(error) if isinstance(error, FINAL) else f"{type(error).__name__}: {error}"
            self.push_outcome(context, swap, STUCK, why)
            raise

    def _begin(self, context: Context, swap: Swap) -> Next:
        from bakehouse.rollout.triggers import SwapTrigger

        self.link_machine(swap.zone, swap.member)
        self.check_lease(context)
        self._check_progress(context, swap)
        beside = self.beside(context) if swap.way == "forward" else None
        held = self.admitted(context, swap, beside)
        if isinstance(held, WaitFor):
            return held
        place = held.place
        until_its_turn = READY_AT_MOST if place is not None else timedelta(0)
        within = self.fleet.health_deadline
        one_try = within + WALK_AT_MOST
        one_try_until = time.time() + (until_its_turn + one_try).total_seconds()
        deadline = until_its_turn + one_try * (2 if swap.second_disk else 1)
        fleet, closed = self.fleet, self.memory.closed_first
        closed_until = (closed + fleet.gate.deadline).timestamp() if closed else None
        fields = HandoverFields(
            gate=fleet.gate, drain=fleet.drain, resume=fleet.resume, busy_limit=fleet.busy_limit
        )
        others, ahead = self._others(context, swap, beside)
        self.log.info("%s", moving(swap))
        trigger = SwapTrigger(
            swap=self.swap,
            conn_id=self.gcp_conn_id,
            healthy_within=within.total_seconds(),
            deadline=time.time() + deadline.total_seconds(),
            first_until=one_try_until,
            turn=f"{context['ti'].try_number}.{self.memory.blocked_count}",
            windows=[window.model_dump(mode="json") for window in self.fleet.windows],
            handover=fields.model_dump(mode="json"),
            closed=self.memory.closed,
            closed_until=closed_until,
            others=others,
            ahead=ahead,
            down=sorted(held.down) if others and held.down is not None else None,
            down_at=held.down_at,
            place=place.model_dump(mode="json") if place is not None else None,
        )
        orders = fleet.gate.deadline + fleet.drain.deadline + 2 * fleet.resume.deadline
        return WaitFor(trigger, "walked", deadline + orders + 2 * fleet.busy_limit + BACKSTOP)

    @resumed_by(SwapEnded)
    def walked(self, context: Context, event: SwapEnded) -> Next:
        """Continue when the swap has ended: record it; fail unless the member reached its goal."""
        from bakehouse.rollout.record import record_member

        swap = Swap.model_validate(self.swap)
        if event.closed:
            return self.wait_for_gate(context, swap, event.closed)
        self.end_gate_wait(context, swap, event.why if event.opened else Reason.HOLD_ENDED.text)
        if event.held or event.opened:
            return Again()
        swap = swap.model_copy(
            update={"disk": event.disk or swap.disk, "first_try": event.first_try}
        )
        state = str(event.state) if event.state else STUCK
        outcome = self.push_outcome(context, swap, state, event.why, event.cause)
        is_last = context["ti"].try_number > max_tries(context)
        if event.transient and not is_last:
            raise TransientError(f"the member {swap.member}: {event.why}")
        record_member(context, swap, state, event.why, event.seconds, event.cause)
        if state not in REACHED:
            self._show_serial(swap)
            raise PermanentError(in_words(outcome))
        context["ti"].xcom_push(PROGRESS, now().isoformat())
        self.log.info("%s", in_words(outcome))
        return Done(outcome.model_dump(mode="json"))

    def _check_progress(self, context: Context, swap: Swap) -> None:
        """Raise PermanentError if no further member of the stage has passed for too long.

        Only a task that has waited or has been tried itself ends the rollout: one whose turn comes
        late, as after an outage of Airflow, is the progress that was missing.
        """
        if swap.way == "back":
            return
        ti, waited = context["ti"], self.memory.closed_first
        # a person who clears a task gives it all its tries again
        is_first = ti.try_number <= max_tries(context) - (self.retries or 0) + 1
        if is_first and waited is None:
            return
        _, _, stage = str(self.task_id).rpartition("_")
        began = ti.xcom_pull(task_ids=self.near(SELECT_MEMBERS.format(stage)), key=PROGRESS)
        passed = ti.xcom_pull(task_ids=self.task_id, key=PROGRESS)  # of all map indexes
        told = [began, *(passed if isinstance(passed, list) else [passed])]
        clock = [datetime.fromisoformat(moment) for moment in told if moment]
        if not clock:
            return
        clock += [waited] if is_first and waited is not None else []
        if why := no_progress(clock, now(), progress_within(self.fleet)):
            from bakehouse.rollout.record import record_member

            record_member(context, swap, STUCK, why, None)
            raise PermanentError(f"{swap.member}: {why}")

    def _others(
        self, context: Context, swap: Swap, beside: Beside | None
    ) -> tuple[dict[str, str], list[str]]:
        """Return the fleet's members and their zones, and those whose turn is before this one's.

        Both are empty unless several may be down at a time and the member has a gate to ask.
        """
        if beside is None or Order.GATE not in swap.orders or beside.at_most == 1:
            return {}, []
        states = self.states(context, own=True)
        return beside.zones, [*self.members_ahead(context, beside, states)]

    def _show_serial(self, swap: Swap) -> None:
        try:
            text = self.compute.serial_output(swap.zone, swap.member, -TAIL_BYTES)
        except BakehouseError as error:
            self.log.warning("no serial output: %s", error)
            return
        lines = serial_output.split(text, 0, MOST_LINES, last=True).lines
        for line in list(boot_lines.for_terminal(lines))[-TAIL_LINES:]:
            self.log.error("%s", line)
