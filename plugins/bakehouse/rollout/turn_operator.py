"""The base of what replaces a member: whether it may be begun, and whether its turn has come."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowSkipException

from bakehouse.core.errors import TransientError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.model import TASKS_FOR_ONE
from bakehouse.operators.reconcile import WaitFor
from bakehouse.rollout.beside import BESIDE, Beside
from bakehouse.rollout.fleet_operator import PROGRESS, SELECT_MEMBERS, now, states_of
from bakehouse.rollout.gate_wait_operator import GateWaitOperator
from bakehouse.rollout.gates import its_turn, nobody_failed, reports_to_read
from bakehouse.rollout.place import WITH_SLOT, Place, left
from bakehouse.rollout.plan import ill_before
from bakehouse.rollout.standing import check_image, others_now
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.strategies.swap import Swap, is_off_its_disk, is_under_way

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow.sdk import Context

BACKSTOP = timedelta(minutes=5)
TURN = timedelta(seconds=15)
READY_AT_MOST = timedelta(minutes=30)  # then a member that waits for its turn is looked at again


@dataclass(frozen=True)
class Admitted:
    """A member may be begun."""

    place: Place | None = None  # where its turn is yet to come: its disk may be made
    down: frozenset[str] | None = None  # who of the fleet does not run; None: it was not read
    down_at: float = 0.0  # in seconds since 1970


class TurnOperator(GateWaitOperator):
    """Looks at the run, the freeze, the windows and the other members before a member is begun."""

    def beside(self, context: Context) -> Beside:
        """Return who counts beside the members of this stage, as `select_members` hands it on."""
        stage = self._stage()
        told = context["ti"].xcom_pull(task_ids=self.near(SELECT_MEMBERS.format(stage)), key=BESIDE)
        if told is not None:
            return Beside.model_validate(told)
        made = self.plan_of(context)  # an older version has selected them
        at_most = self.rules_of(made).max_unavailable
        return Beside.of(made, at_most, self.picked(context, stage))

    def admitted(self, context: Context, swap: Swap, beside: Beside | None) -> WaitFor | Admitted:
        """Return the wait for what holds the member, or that it may be begun.

        Args:
            context: of the task.
            swap: of the member.
            beside: who counts beside it; None on the way back.

        Raises:
            AirflowSkipException: Another member has failed.
            TransientError: Others are down that a wait would not bring back.
        """
        instance = self.compute.instance(swap.zone, swap.member)
        if beside is None or is_under_way(swap, instance):
            return Admitted()  # on its way already: the only right thing is to go on
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
        takes_away = swap.strategy is not Strategy.CREATE
        ahead = self.members_ahead(context, beside, states) if takes_away else {}
        place = self._until_its_turn(swap, beside, states, ahead)
        if place is not None:
            return place if isinstance(place, WaitFor) else Admitted(place)
        check_image(self.compute, swap)
        if swap.strategy is Strategy.CREATE:
            return Admitted()  # it takes nobody away
        gate, down = others_now(self.compute, swap.member, beside, ahead)
        if gate.open:
            if self.memory.by_members:
                self.end_gate_wait(context, swap, "the others are up again")
            return Admitted(down=down, down_at=time.time())
        known = ill_before(beside.reported)
        if not known.isdisjoint(gate.by) or self._waits_in_vain(context, beside, states, gate.by):
            # who was down when the rollout began, the plan has told
            raise TransientError(f"{swap.member} is not changed: {gate.why}")
        self.wait_for_gate(context, swap, gate.why)
        self.remember(by_members=True)
        return self._look_again(TURN)

    def _waits_in_vain(
        self,
        context: Context,
        beside: Beside,
        states: Mapping[str, str | None],
        others: Collection[str],
    ) -> bool:
        """Whether one of these needs the slot of this task, for its turn or for its next try.

        One that is on its way and has a slot needs none, however long its way is: to give up a try
        for it would end the rollout while, say, a broker that has died recovers its logs. One that
        is only off may have died while it waits for its turn, which is behind this one.
        """
        unended = self._unended(beside, states)
        blocking = unended.keys() & set(others)
        if not blocking:
            return False
        if any(states.get(f"{self.task_id}_{unended[name]}") not in WITH_SLOT for name in blocking):
            return True
        return not all(
            is_off_its_disk(swap, self.compute.instance(swap.zone, swap.member))
            for swap in self.picked(context, self._stage())
            if swap.member in blocking
        )

    def _stage(self) -> int:
        return int(str(self.task_id).rpartition("_")[2])

    def members_ahead(
        self, context: Context, beside: Beside, states: Mapping[str, str | None]
    ) -> dict[str, int]:
        """Return the members of this stage whose tasks are before this one and have not ended."""
        return self._unended(beside, states, max(0, context["ti"].map_index or 0))

    def _unended(
        self, beside: Beside, states: Mapping[str, str | None], first: int | None = None
    ) -> dict[str, int]:
        """Return the members of this stage, or its first ones, whose tasks have not ended.

        With the map index of each.
        """
        indexes = beside.ahead_of(first)
        return {name: indexes[name] for name in left(str(self.task_id), indexes, states)}

    def _until_its_turn(
        self,
        swap: Swap,
        beside: Beside,
        states: Mapping[str, str | None],
        ahead: dict[str, int],
    ) -> WaitFor | Place | None:
        """Return the place of one of the next members, or a wait; None if its turn has come.

        The next ones wait in the triggerer with their disks ready (Place). Where Airflow bounds no
        stage (the share of a fleet whose size is not known when the DAG is parsed is no number),
        those further behind look again later: the more members are ahead, and the longer the plan
        predicts that they take, the longer is the wait, so that a large fleet does not ask all the
        time. It is half of that, as they may be quicker.
        """
        at_most = beside.at_most
        if its_turn(ahead, at_most).open:
            return None
        if self.fleet.most_at_once() is None and len(ahead) >= TASKS_FOR_ONE * at_most:
            half = timedelta(seconds=beside.turn_seconds / 2)
            wait = max(TURN, half) * (len(ahead) // at_most - 1)
            self.log.info("%d members come first; looking again in %s", len(ahead), wait)
            return self._look_again(wait)
        first, _ = reports_to_read(swap.member, beside.reported)
        place = Place(
            task=str(self.task_id),
            ahead=ahead,
            at_most=at_most,
            others=beside.zones,
            reports=tuple(first),
            until=time.time() + READY_AT_MOST.total_seconds(),
        )
        return place if place.goes_on(states) else None

    def _look_again(self, wait: timedelta) -> WaitFor:
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        return WaitFor(DateTimeTrigger(moment=now() + wait), "unblocked", wait + BACKSTOP)
