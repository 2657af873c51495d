"""The base of all triggers: typed events, and the memory of the task's try."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskInstanceState
from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

from bakehouse.triggers import supervisor_comms as comms
from bakehouse.triggers.wakeup import wake

if TYPE_CHECKING:
    from pydantic import BaseModel

# Seconds. A trigger that fires while the executor still reports the deferring process as done makes
# Airflow 3.3 fail a healthy task (docs/decisions/0035); nothing we wait for ends sooner anyway.
FIRST_LOOK = conf.getfloat("bakehouse", "first_look", fallback=1.5)


class BakehouseTrigger(BaseTrigger):
    """A trigger that serialises its arguments.

    An event is a model as JSON under `event`. `memory` comes back beside it: `dag.test()` drops the
    keyword arguments of a deferral.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory: dict[str, Any] = arguments.pop("memory", None) or {}
        self._arguments = arguments

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return class path and arguments, as Airflow stores them."""
        kind = type(self)
        path = f"{kind.__module__}.{kind.__qualname__}"
        return path, {**self._arguments, "memory": self.memory}

    def fire(self, event: BaseModel) -> TriggerEvent:
        """Return the event in the form that the trigger yields, and wake who watches the run."""
        if self.task_instance is not None:  # it is None in dag.test()
            wake(self.task_instance.dag_id, self.task_instance.run_id)
        return TriggerEvent({"event": event.model_dump(mode="json"), "memory": self.memory})

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
