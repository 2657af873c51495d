"""The operator that replaces a member, forward or back."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException
from pydantic import AwareDatetime

from bakehouse.cloud import boot_lines, serial_output
from bakehouse.core.errors import (
    FINAL,
    BakehouseError,
    Blocked,
    PermanentError,
    TransientError,
)
from bakehouse.core.reasons import Reason
from bakehouse.core.time import format_utc
from bakehouse.fleet.model import TASKS_FOR_ONE
from bakehouse.history.wait_events import WaitDetail
from bakehouse.operators import waits
from bakehouse.operators.held_operator import HoldMemory
from bakehouse.operators.links import MachineLink, SerialLink
from bakehouse.operators.reconcile import Again, Done, Next, WaitFor, resumed_by
from bakehouse.operators.waits import begin_wait, end_wait
from bakehouse.rollout import target_images
from bakehouse.rollout.events import SwapEnded
from bakehouse.rollout.fleet_operator import (
    PROGRESS,
    SELECT_MEMBERS,
    FleetOperator,
    max_tries,
    now,
    states_of,
)
from bakehouse.rollout.forecast import seconds_of_a_turn
from bakehouse.rollout.gates import its_turn, nobody_failed, reports_to_read
from bakehouse.rollout.handover import HandoverFields
from bakehouse.rollout.orders import Order
from bakehouse.rollout.outcome import in_words
from bakehouse.rollout.place import Place, left
from bakehouse.rollout.plan import ill_before
from bakehouse.rollout.progress import WALK_AT_MOST, no_progress, progress_within
from bakehouse.rollout.standing import others_now, zones_of
from bakehouse.rollout.states import REACHED, STUCK, State, Strategy
from bakehouse.rollout.strategies.swap import (
    Swap,
    is_under_way,
    moving,
    outcome_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from bakehouse.history.rollout_events import MemberOutcome
    from bakehouse.rollout.plan import RolloutPlan
    from bakehouse.rollout.second_try import Cause

BACKSTOP = timedelta(minutes=5)
TURN = timedelta(seconds=15)
READY_AT_MOST = timedelta(minutes=30)  # then a member that waits for its turn is looked at again
TAIL_BYTES, TAIL_LINES, MOST_LINES = 16_384, 40, 10_000


class ReplaceMemory(HoldMemory):
    """Since when a gate keeps this try from its member, and what it says."""

    closed_first: AwareDatetime | None = None  # of this try: a gate that flaps gains no time
    closed_since: AwareDatetime | None = None
    closed: str = ""
    by_members: bool = False  # not by the member's own gate, but by others that are down


class ReplaceMember(FleetOperator):
    """Replaces the boot disk of one member, in the triggerer -> outcome.

    Args:
        swap: A Swap as JSON, from `select_members` or `plan_rollback`.
        **kwargs: Of `FleetOperator`.
    """

    Memory = ReplaceMemory
    memory: ReplaceMemory
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
            why = str(error) if isinstance(error, FINAL) else f"{type(error).__name__}: {error}"
            self._push(context, swap, STUCK, why)
            raise

    def _begin(self, context: Context, swap: Swap) -> Next:
        from bakehouse.rollout.triggers import SwapTrigger

        self.link_machine(swap.zone, swap.member)
        self.check_lease(context)
        self._check_progress(context, swap)
        made = self.plan_of(context)
        held = self._gates(context, swap, made)
        if isinstance(held, WaitFor):
            return held
        place, until_its_turn = held, READY_AT_MOST if held is not None else timedelta(0)
        within = self.fleet.health_deadline
        one_try = within + WALK_AT_MOST
        one_try_until = time.time() + (until_its_turn + one_try).total_seconds()
        deadline = until_its_turn + one_try * (2 if swap.second_disk else 1)
        fleet, closed = self.fleet, self.memory.closed_first
        closed_until = (closed + fleet.gate.deadline).timestamp() if closed else None
        fields = HandoverFields(
            gate=fleet.gate, drain=fleet.drain, resume=fleet.resume, busy_limit=fleet.busy_limit
        )
        others, ahead = self._beside(context, swap, made)
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
            return self._wait_for_gate(context, swap, event.closed)
        self._gate_is_open(context, swap, event)
        if event.held or event.opened:
            return Again()
        swap = swap.model_copy(
            update={"disk": event.disk or swap.disk, "first_try": event.first_try}
        )
        state = str(event.state) if event.state else STUCK
        outcome = self._push(context, swap, state, event.why, event.cause)
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

    def _wait_for_gate(self, context: Context, swap: Swap, why: str) -> Again:
        """Record that the member waits for a gate, and ask on until the gate's deadline.

        Raises:
            PermanentError: The gate was closed for too long.
        """
        from bakehouse.rollout.record import record_member

        now, known = waits.now(), self.memory
        first, since = known.closed_first or now, known.closed_since or now
        self.remember(closed_first=first, closed_since=since, closed=why)
        detail = WaitDetail(what=self.fleet.name, member=swap.member, since=since, why=why)
        if why != known.closed:
            self.log.warning("waiting since %s: %s", format_utc(since), why)
            begin_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
        gate = self.fleet.gate
        if now >= first + gate.deadline:
            end_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
            told = f"{why}. It has waited since {format_utc(first)}. Hint: {gate.hint}"
            outcome = self._push(context, swap, State.BLOCKED, told)
            record_member(context, swap, State.BLOCKED, told, None)
            raise PermanentError(in_words(outcome))
        return Again()

    def _gate_is_open(self, context: Context, swap: Swap, event: SwapEnded) -> None:
        """Record that the member waits no longer."""
        self._end_wait(context, swap, event.why if event.opened else Reason.HOLD_ENDED.text)

    def _end_wait(self, context: Context, swap: Swap, why: str) -> None:
        since = self.memory.closed_since
        if since is None:
            return
        self.log.info("waited since %s: %s", format_utc(since), why)
        detail = WaitDetail(what=self.fleet.name, member=swap.member, since=since, why=why)
        end_wait(context, Reason.GATE_CLOSED, detail, **_image_of(swap))
        self.remember(closed="", closed_since=None, by_members=False)

    def _push(
        self, context: Context, swap: Swap, state: str, why: str, cause: Cause | None = None
    ) -> MemberOutcome:
        """Hand the outcome on to the verdict; a later try replaces it."""
        outcome = outcome_of(swap, state, why, cause)
        context["ti"].xcom_push("outcome", outcome.model_dump(mode="json"))
        return outcome

    def _gates(self, context: Context, swap: Swap, made: RolloutPlan) -> WaitFor | Place | None:
        """Return the wait for what holds the member, or its place if its turn is yet to come.

        None if it may be changed.
        """
        instance = self.compute.instance(swap.zone, swap.member)
        if swap.way == "back" or is_under_way(swap, instance):
            return None  # on its way already: the only right thing is to go on
        states = self.states(context, own=True)
        gate = nobody_failed(states_of(states, str(self.task_id)))
        if not gate.open:
            from bakehouse.rollout.record import record_halted

            record_halted(context, swap, gate.why)
            raise AirflowSkipException(f"{swap.member}: {Reason.LINE_HALTED.text} ({gate.why})")
        was_held = self.memory.held is not None
        wait = self.wait_until_allowed(context, swap.image, swap.member)
        if wait is not None:
            return wait
        if was_held:
            context["ti"].xcom_push(PROGRESS, now().isoformat())
        ahead = self._ahead(context, states) if swap.strategy is not Strategy.CREATE else {}
        at_most = self.rules_of(made).max_unavailable
        if (place := self._until_its_turn(swap, made, states, ahead, at_most)) is not None:
            return place
        if swap.metadata is None:
            target_images.check(self.compute, swap.image)
        if swap.strategy is Strategy.CREATE:
            return None  # it takes nobody away
        gate = others_now(self.compute, swap.member, made, at_most, ahead)
        if gate.open:
            if self.memory.by_members:
                self._end_wait(context, swap, "the others are up again")
            return None
        known = ill_before(made.reported)
        if not known.union(self._unended(context, states)).isdisjoint(gate.by):
            # a wait would keep the slot that the other's next try needs; and who was down when the
            # rollout began, the plan has told
            raise TransientError(f"{swap.member} is not changed: {gate.why}")
        self._wait_for_gate(context, swap, gate.why)
        self.remember(by_members=True)
        return self._look_again(TURN)

    def _beside(
        self, context: Context, swap: Swap, made: RolloutPlan
    ) -> tuple[dict[str, str], list[str]]:
        """Return the fleet's members and their zones, and those whose turn is before this one's.

        Both are empty unless several may be down at a time and the member has a gate to ask.
        """
        is_asked = swap.way == "forward" and Order.GATE in swap.orders
        if not is_asked or self.rules_of(made).max_unavailable == 1:
            return {}, []
        return zones_of(made), [*self._ahead(context, self.states(context, own=True))]

    def _ahead(self, context: Context, states: Mapping[str, str | None]) -> dict[str, int]:
        """Return the members of this stage whose tasks are before this one and have not ended."""
        return self._unended(context, states, max(0, context["ti"].map_index or 0))

    def _unended(
        self, context: Context, states: Mapping[str, str | None], first: int | None = None
    ) -> dict[str, int]:
        """Return the members of this stage, or its first ones, whose tasks have not ended.

        With the map index of each.
        """
        _, _, stage = str(self.task_id).rpartition("_")
        indexes = {
            swap.member: index
            for index, swap in enumerate(self.picked(context, int(stage))[:first])
            if swap.strategy is not Strategy.CREATE
        }
        return {name: indexes[name] for name in left(str(self.task_id), indexes, states)}

    def _until_its_turn(
        self,
        swap: Swap,
        made: RolloutPlan,
        states: Mapping[str, str | None],
        ahead: dict[str, int],
        at_most: int,
    ) -> WaitFor | Place | None:
        """Return the place of one of the next members, or a wait; None if its turn has come.

        The next ones wait in the triggerer with their disks ready (Place). Where Airflow bounds no
        stage (the share of a fleet whose size is not known when the DAG is parsed is no number),
        those further behind look again later: the more members are ahead, and the longer the plan
        predicts that they take, the longer is the wait, so that a large fleet does not ask all the
        time. It is half of that, as they may be quicker.
        """
        if its_turn(ahead, at_most).open:
            return None
        if self.fleet.most_at_once() is None and len(ahead) >= TASKS_FOR_ONE * at_most:
            half = timedelta(seconds=seconds_of_a_turn(made) / 2)
            wait = max(TURN, half) * (len(ahead) // at_most - 1)
            self.log.info("%d members come first; looking again in %s", len(ahead), wait)
            return self._look_again(wait)
        first, _ = reports_to_read(swap.member, made.reported)
        place = Place(
            task=str(self.task_id),
            ahead=ahead,
            at_most=at_most,
            others=zones_of(made),
            reports=tuple(first),
            until=time.time() + READY_AT_MOST.total_seconds(),
        )
        return place if place.goes_on(states) else None

    def _look_again(self, wait: timedelta) -> WaitFor:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        return WaitFor(DateTimeTrigger(moment=now() + wait), "unblocked", wait + BACKSTOP)

    def _show_serial(self, swap: Swap) -> None:
        try:
            text = self.compute.serial_output(swap.zone, swap.member, -TAIL_BYTES)
        except BakehouseError as error:
            self.log.warning("no serial output: %s", error)
            return
        lines = serial_output.split(text, 0, MOST_LINES, last=True).lines
        for line in list(boot_lines.for_terminal(lines))[-TAIL_LINES:]:
            self.log.error("%s", line)


def _image_of(swap: Swap) -> dict[str, str]:
    image = swap.image
    return {"recipe": image.recipe, "image": image.name, "git_sha": image.git_sha}
