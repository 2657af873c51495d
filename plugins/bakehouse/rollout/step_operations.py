"""Waits for the operation of a step of a swap, while its member is down."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.operations import Ended, end_of
from bakehouse.images.links import resource_name, zone_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.cloud.poller import Cloud

# A member is down while a step of its swap runs: asked for by name at first, then with all others
# of the zone, by one list every second.
AT_FIRST = (0.1, 0.2, 0.3, 0.4)
LISTED_EVERY = 1.0


class StepOperations:
    """The operations of one project, of zones and of regions."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    async def end_of(self, operation: dict[str, Any], is_over: Callable[[], bool]) -> Ended | None:
        """Return the end of an operation; None if the time was over before."""
        if region := resource_name(operation.get("region") or ""):
            return await self._in_region(operation, region, is_over)
        return await self._in_zone(operation, is_over)

    async def _in_zone(
        self, operation: dict[str, Any], is_over: Callable[[], bool]
    ) -> Ended | None:
        zone, name = zone_of(operation) or None, str(operation["name"])
        ended = end_of(operation)
        for pause in AT_FIRST:
            if ended is not None:
                break
            await asyncio.sleep(pause)
            ended = await self._read(zone, name)
        while ended is None and not is_over():
            tick = await self.cloud.operations(zone).next(LISTED_EVERY)
            found = tick.items.get(name)
            if tick.error is None:
                ended = end_of(found) if found else await self._read(zone, name)
        return ended

    async def _in_region(
        self, operation: dict[str, Any], region: str, is_over: Callable[[], bool]
    ) -> Ended | None:
        """Wait for an operation of a region, such as that of a reserved address."""
        name, ended = str(operation["name"]), end_of(operation)
        while ended is None and not is_over():
            await asyncio.sleep(min(self.cloud.interval, LISTED_EVERY))
            ended = await self._read(None, name, region)
        return ended

    async def _read(self, zone: str | None, name: str, region: str = "") -> Ended | None:
        """Whether the operation has ended; an unknown operation has."""
        found = await asyncio.to_thread(
            lambda: hook_of(self.cloud.conn_id).operation(zone, name, region)
        )
        return end_of(found) if found else Ended(name)
