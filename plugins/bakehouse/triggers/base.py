"""The base of all triggers: typed events, and the memory of the task's try."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.configuration import conf
from airflow.triggers.base import BaseTrigger, TriggerEvent

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
