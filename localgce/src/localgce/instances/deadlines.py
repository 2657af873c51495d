"""`maxRunDuration` and `terminationTime`: when Compute Engine itself ends an instance."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING

from localgce.core.clock import timestamp

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from localgce.core.clock import Clock
    from localgce.core.errors import Json
    from localgce.core.store import Record


def end_of(scheduling: Json, now: float) -> float | None:
    """When an instance that starts now has to end, in seconds since the epoch."""
    if scheduling.get("terminationTime"):
        return datetime.fromisoformat(scheduling["terminationTime"]).timestamp()
    seconds = scheduling.get("maxRunDuration", {}).get("seconds")
    return now + int(seconds) if seconds else None


def shown(end: float | None) -> Json | None:
    """The `resourceStatus` that shows the end."""
    return {"scheduling": {"terminationTimestamp": timestamp(end)}} if end else None


class Deadlines:
    """One timer for each running instance that has an end."""

    def __init__(self, clock: Clock) -> None:
        """Use the server's time."""
        self._clock = clock
        self._timers: dict[str, asyncio.Task[None]] = {}
        self._expired: Callable[[Record], Awaitable[None]] | None = None

    def on_expiry(self, expired: Callable[[Record], Awaitable[None]]) -> None:
        """Call `expired` with each instance whose time is over."""
        self._expired = expired

    def watch(self, instance: Record) -> None:
        """Start the timer of an instance that shows a `terminationTimestamp`."""
        status = instance.body.get("resourceStatus", {}).get("scheduling", {})
        end = status.get("terminationTimestamp")
        self.forget(instance)
        if end:
            seconds = datetime.fromisoformat(end).timestamp() - self._clock.now()
            self._timers[instance.id] = asyncio.create_task(self._wait(instance, seconds))

    def forget(self, instance: Record) -> None:
        """Cancel the timer of an instance that has ended."""
        timer = self._timers.pop(instance.id, None)
        if timer is not None and timer is not asyncio.current_task():
            timer.cancel()

    def close(self) -> None:
        """Cancel all timers; the next start of the server starts them again."""
        for timer in self._timers.values():
            timer.cancel()

    async def _wait(self, instance: Record, seconds: float) -> None:
        await self._clock.sleep(seconds)
        if self._expired is not None:
            await self._expired(instance)
