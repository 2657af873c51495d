"""A trigger that only says that the triggerer can import it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bakehouse import __version__
from bakehouse.preflight.events import TriggererAnswered
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent


class AnswerTrigger(BakehouseTrigger):
    """Fires `TriggererAnswered` at once."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event."""
        await asyncio.sleep(FIRST_LOOK)
        yield self.fire(TriggererAnswered(version=__version__))
