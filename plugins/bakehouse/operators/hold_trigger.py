"""The trigger that waits until nothing holds a rollout, or a promotion, any more."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bakehouse.core.errors import TransientError
from bakehouse.operators.freeze import LOOK_EVERY, freeze_of_late
from bakehouse.operators.hold import Hold, HoldEnded, hold
from bakehouse.schedule.window import Window
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class HoldTrigger(BakehouseTrigger):
    """Waits while a freeze, or closed windows, hold. Fires `HoldEnded`.

    It also fires when another reason than at first holds, so that the record of the wait is right.

    Args:
        windows: those in which the wait may end, as JSON; none: any time.
        held: what holds at first, as JSON.
        deadline: when it ends all the same, in seconds since 1970.
    """

    def __init__(
        self, *, windows: list[dict[str, Any]], held: dict[str, Any], deadline: float, **other: Any
    ) -> None:
        super().__init__(windows=windows, held=held, deadline=deadline, **other)
        self.windows = [Window.model_validate(window) for window in windows]
        self.held = Hold.model_validate(held)
        self.deadline = deadline

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event."""
        await asyncio.sleep(FIRST_LOOK)
        while True:
            held = await self._hold()
            left = self.deadline - time.time()
            if held is None or held.reason is not self.held.reason:
                yield self.fire(HoldEnded(held=held))
                return
            if left <= 0:
                yield self.fire(HoldEnded(held=held, late=True))
                return
            await asyncio.sleep(min(LOOK_EVERY, left, self._until_it_opens(held)))

    async def _hold(self) -> Hold | None:
        """Return what holds; a freeze that cannot be read leaves all as it is."""
        try:
            held = hold(await freeze_of_late(), self.windows, datetime.now(UTC))
        except TransientError as error:
            await asyncio.to_thread(self.log.warning, "%s; looking again", error)
            return self.held
        if held is not None and str(held) != str(self.held):
            await asyncio.to_thread(self.log.info, "waiting: %s", held)
            self.held = held if held.reason is self.held.reason else self.held
        return held

    def _until_it_opens(self, held: Hold) -> float:
        if held.until is None:
            return LOOK_EVERY
        return max(0.1, (held.until - datetime.now(UTC)).total_seconds())
