"""`maxRunDuration` and `terminationTime`: instances that Compute Engine itself ends in time."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from localgce.clock import stamp
from localgce.errors import Json
from localgce.instances import works as instance_works
from localgce.state.store import Record

if TYPE_CHECKING:
    from localgce.service import Service


class Deadlines:
    """One timer for each running instance that has an end."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._timers: dict[str, asyncio.Task[None]] = {}

    def end_of(self, scheduling: Json) -> float | None:
        """When an instance started now has to end, in seconds since the epoch."""
        if scheduling.get("terminationTime"):
            return datetime.fromisoformat(scheduling["terminationTime"]).timestamp()
        seconds = scheduling.get("maxRunDuration", {}).get("seconds")
        return self._service.clock.now() + int(seconds) if seconds else None

    def watch(self, instance: Record) -> None:
        """Start the timer of an instance that shows a `terminationTimestamp`."""
        shown = instance.body.get("resourceStatus", {}).get("scheduling", {})
        end = shown.get("terminationTimestamp")
        self.forget(instance)
        if end:
            seconds = datetime.fromisoformat(end).timestamp() - self._service.clock.now()
            self._timers[instance.id] = asyncio.create_task(self._wait(instance, seconds))

    def forget(self, instance: Record) -> None:
        """It has ended."""
        timer = self._timers.pop(instance.id, None)
        if timer is not None and timer is not asyncio.current_task():
            timer.cancel()

    def close(self) -> None:
        """Stop all timers; they are started again with the server."""
        for timer in self._timers.values():
            timer.cancel()

    async def _wait(self, instance: Record, seconds: float) -> None:
        await self._service.clock.sleep(seconds)
        current = self._service.store.again(instance)
        if current is None or current.body["status"] != "RUNNING":
            return
        action = current.body["scheduling"].get("instanceTerminationAction", "STOP").lower()
        message = "Instance was terminated at the end of its run time."
        self._service.operations.system(current, action, message)
        if action == "delete":
            await instance_works.remove(self._service, current)
        else:
            await self._service.lifecycle.stop(current, self._service.settings.shutdown_grace)


def shown(end: float | None) -> Json | None:
    """The `resourceStatus` that tells the end."""
    return {"scheduling": {"terminationTimestamp": stamp(end)}} if end else None
