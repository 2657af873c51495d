"""Waits until the tasks of a run have ended, for a result that started before they did."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from bakehouse.runs.result import unfinished
from bakehouse.triggers import supervisor_comms as comms

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

INTERVAL = 5.0  # seconds between two looks, and before the first


class TasksEndedTrigger(BaseTrigger):
    """Fires when no other task of the run is unfinished."""

    def __init__(self, besides: list[str]) -> None:
        """Keep the ids of the tasks that are not waited for."""
        super().__init__()
        self.besides = besides

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as Airflow stores them."""
        return "bakehouse.runs.triggers.TasksEndedTrigger", {"besides": self.besides}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the states of the run until all others have ended."""
        ti: Any = self.task_instance
        while True:
            await asyncio.sleep(INTERVAL)
            if not unfinished(await comms.task_states(ti.dag_id, ti.run_id), self.besides):
                yield TriggerEvent(None)
                return
