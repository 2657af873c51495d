"""The base of triggers whose task has something under way that ends when a person ends the task."""

from __future__ import annotations

import asyncio
import time

from airflow.sdk import TaskInstanceState

from bakehouse.core.errors import FAILURES, Blocked
from bakehouse.triggers import supervisor_comms as comms
from bakehouse.triggers.base import BakehouseTrigger

TRIES = (0.0, 2.0, 6.0)  # seconds before each try to end what a task has under way
_ENDING: set[asyncio.Task[None]] = set()


class KillableTrigger(BakehouseTrigger):
    """A trigger that ends what it waits for, when a person has marked or cleared its task."""

    async def on_kill(self) -> None:
        """End what the task has under way, if nobody waits for it any more.

        Airflow 3.3 cancels `on_kill` after about a second, since it repeats each request to end a
        trigger until the trigger has ended (docs/decisions/0148). The work goes on then, but its
        lines are no longer in the task's log.
        """
        work = asyncio.create_task(self._end_if_ours())
        _ENDING.add(work)  # the event loop itself keeps no task alive
        work.add_done_callback(_ENDING.discard)
        await asyncio.shield(work)

    async def _end_if_ours(self) -> None:
        if await self.is_others_now():
            await asyncio.to_thread(self.log.info, "another triggerer waits for this task now")
            return
        await asyncio.to_thread(self.log.warning, "a person has ended this task: %s", self.ending())
        await self.end_in_tries(f"killed {time.time_ns()}")

    async def end_in_tries(self, kill: str) -> None:
        """Ask for the end some times; what is refused to the last is logged. See `end`."""
        for pause in TRIES:
            await asyncio.sleep(pause)
            try:
                await self.end(kill)
            except (Blocked, *FAILURES) as error:
                await asyncio.to_thread(self.log.warning, "not yet, %s: %s", self.ending(), error)
            else:
                return

    def ending(self) -> str:
        """Return what `end` does, for the log."""
        raise TypeError(f"{type(self).__name__} does not say how its work ends")

    async def end(self, kill: str) -> None:  # ruff: ignore[unused-method-argument]  subclasses read it
        """End it; a subclass says how. Raises Blocked and FAILURES, to be asked again.

        Airflow does not ask for it when a triggerer stops or starts again.

        Args:
            kill: names this kill in request ids: the same in each try, and another one next time,
                since what is ended may have been made again.
        """
        raise TypeError(f"{type(self).__name__} does not say how its work ends")

    async def is_others_now(self) -> bool:
        """Whether another triggerer waits for the task: `on_kill` must end nothing then.

        Airflow 3.3 calls `on_kill` when a person has marked or cleared the task, and also when it
        has given the trigger to another triggerer because this one was late with its heartbeat
        (apache/airflow#73454, docs/decisions/0148). Then the task is deferred as before. It is
        taken for that where Airflow cannot be asked: the run's teardown deletes what is left.
        """
        ti = self.task_instance
        if ti is None:
            return False
        key = ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
        try:
            states = await comms.task_states(ti.dag_id, ti.run_id, [ti.task_id])
        except Exception as error:  # whatever the supervisor's pipe raises
            await asyncio.to_thread(self.log.warning, "the task's state is unknown: %s", error)
            return True
        return states.get(key) == TaskInstanceState.DEFERRED
