"""The trigger of a member's swap: its tries."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import FAILURES, Blocked
from bakehouse.rollout.handover import HandoverFields
from bakehouse.rollout.place import Place
from bakehouse.rollout.standing import still_its_turn
from bakehouse.rollout.states import REACHED
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.rollout.tries import Tries
from bakehouse.rollout.turns import NotItsTurn, Turn, has_ended, topic_of, wait_for_turn
from bakehouse.rollout.walk_terms import Terms
from bakehouse.schedule.window import Window
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class SwapTrigger(BakehouseTrigger):
    """Moves one member to its goal, with a second try on a fresh disk. Fires `SwapEnded`.

    Args:
        swap: a Swap as JSON.
        conn_id: the connection.
        healthy_within: seconds from a start until the member must be healthy.
        deadline: of all tries, in seconds since 1970.
        turn: of the task's tries; part of each request's id.
        windows: of the fleet, outside which no member is stopped, as JSON.
        first_until: when the first try ends, likewise; None: at the deadline, without a second.
        handover: a HandoverFields as JSON; None in what older versions have stored.
        closed: why a gate was closed that the member waits for; empty: it does not.
        closed_until: how long it may wait, in seconds since 1970.
        others: of a fleet of which several may be down: its members, and their zones.
        ahead: those whose turn is before this member's own and has not ended.
        down: who of `others` did not run when that was last read; None: it was not.
        down_at: when that was, in seconds since 1970.
        place: a Place as JSON, of a member whose turn has not come; its time is in the deadlines.
    """

    def __init__(
        self,
        *,
        swap: dict[str, Any],
        conn_id: str,
        healthy_within: float,
        deadline: float,
        turn: str,
        windows: list[dict[str, Any]] | None = None,
        first_until: float | None = None,
        handover: dict[str, Any] | None = None,
        closed: str = "",
        closed_until: float | None = None,
        others: dict[str, str] | None = None,
        ahead: list[str] | None = None,
        down: list[str] | None = None,
        down_at: float = 0.0,
        place: dict[str, Any] | None = None,
        **other: Any,
    ) -> None:
        super().__init__(
            swap=swap,
            conn_id=conn_id,
            healthy_within=healthy_within,
            deadline=deadline,
            turn=turn,
            windows=windows or [],
            first_until=first_until,
            handover=handover,
            closed=closed,
            closed_until=closed_until,
            others=others,
            ahead=ahead,
            down=down,
            down_at=down_at,
            place=place,
            **other,
        )
        self.conn_id, self.waited = conn_id, 0.0  # seconds until its turn came
        terms = Terms(
            conn_id=conn_id,
            turn=turn,
            healthy_within=timedelta(seconds=healthy_within),
            deadline=deadline,
            first_until=first_until,
            fields=HandoverFields.model_validate(handover or {}),
            windows=[Window.model_validate(window) for window in windows or []],
            closed=closed,
            closed_until=closed_until,
            others=others or {},
            ahead=ahead or [],
            down=frozenset(down) if down is not None else None,
            down_at=down_at,
            place=Place.model_validate(place) if place is not None else None,
        )
        self.tries = Tries(Swap.model_validate(swap), terms, self._info, self._turn_of)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        begun = time.time()
        ended = await self.tries.through()
        swap = self.tries.swap
        told = {"disk": swap.disk, "first_try": swap.first_try}
        taken = time.time() - begun - self.waited
        seconds = round(taken, 1) if ended.state is not None else None
        if (ti := self.task_instance) is not None and not ended.held:
            passed = ended.state in REACHED
            has_ended(topic_of(ti, str(ti.task_id)), swap.member, passed=passed)
        await asyncio.sleep(max(0.0, begun + FIRST_LOOK - time.time()))  # not fired too early
        yield self.fire(ended.model_copy(update={**told, "seconds": seconds}))

    async def _turn_of(self, place: Place) -> Turn:
        """Wait until it is the member's turn, and all is plainly well. Raises NotItsTurn."""
        swap, began = self.tries.swap, time.time()
        await self._info("%s: %d members come first", swap.member, len(place.ahead))
        ahead = await wait_for_turn(place, self.task_instance)
        try:
            gate, down = await still_its_turn(self.conn_id, swap, place, ahead)
        except (Blocked, *FAILURES) as error:
            raise NotItsTurn(str(error)) from error
        if not gate.open:
            raise NotItsTurn(gate.why)
        self.waited = time.time() - began
        return Turn(ahead, down)

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)
