"""The trigger of a member's swap: its tries."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.rollout.handover import HandoverFields
from bakehouse.rollout.second_try import (
    TRIED_AGAIN,
)
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.rollout.walk import Walk
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
            **other,
        )
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
        )
        self.walk = Walk(Swap.model_validate(swap), terms, self._info)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        begun, walk = time.time(), self.walk
        ended = await walk.through()
        if ended.cause and ended.cause in TRIED_AGAIN and walk.swap.second_disk:
            await self._info(
                "%s: %s (%s); it is tried once more, on the fresh disk %s",
                walk.swap.member,
                ended.cause.text,
                ended.why,
                walk.swap.second_disk,
            )
            ended = await walk.again(ended)
        told = {"disk": walk.swap.disk, "first_try": walk.swap.first_try}
        seconds = round(time.time() - begun, 1) if ended.state is not None else None
        await asyncio.sleep(max(0.0, begun + FIRST_LOOK - time.time()))  # not fired too early
        yield self.fire(ended.model_copy(update={**told, "seconds": seconds}))

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)
