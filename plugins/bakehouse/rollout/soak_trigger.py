"""The trigger that watches the members of a stage while it soaks.

A look costs one list call for each zone and one call for each member that runs; there is one look
in each period of the reports, so that neither the project's reads nor the guest attributes of an
instance come near their limits.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.poller import Cloud
from bakehouse.core.errors import FAILURES, Blocked, TransientError
from bakehouse.rollout import members
from bakehouse.rollout.compare import Better, Record, add, counts, worse
from bakehouse.rollout.events import MemberFailed, SoakEnded
from bakehouse.rollout.health import see
from bakehouse.rollout.strategies.swap import Swap
from bakehouse.rollout.watch import Watched, look, pause
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

    from bakehouse.rollout.health import Health, Sighting

LOOKS_THAT_FAIL = 10
RESTARTED_AFTER = timedelta(seconds=30)  # a trigger that begins so late has begun before


class SoakTrigger(BakehouseTrigger):
    """Watches members until a time, and until each is healthy then. Fires `SoakEnded`.

    Args:
        swaps: what the members have been moved to, as JSON.
        conn_id: the connection.
        began: when the soak began, in seconds since 1970.
        until: when it ends, likewise.
        others: members not replaced yet, name -> zone, with which these are compared.
        numbers: of the reports, those that are compared: name -> which values are better.
    """

    def __init__(
        self,
        *,
        swaps: list[dict[str, Any]],
        conn_id: str,
        began: float,
        until: float,
        others: dict[str, str] | None = None,
        numbers: dict[str, Better] | None = None,
        **other: Any,
    ) -> None:
        watched: dict[str, Any] = {"swaps": swaps, "others": others or {}, "numbers": numbers or {}}
        super().__init__(conn_id=conn_id, began=began, until=until, **watched, **other)
        self.others, self.numbers = others or {}, numbers or {}
        self._usual: dict[str, Sighting] = {}
        self._records: dict[str, Record] = {}
        self.swaps = [Swap.model_validate(swap) for swap in swaps]
        self.conn_id = conn_id
        self.began, self.until = (datetime.fromtimestamp(t, UTC) for t in (began, until))
        self._seen: dict[str, Watched] = {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        try:
            failed = await self._watch()
        except TransientError as error:
            yield self.fire(SoakEnded(error=str(error)))
        else:
            yield self.fire(SoakEnded(failed=failed))

    async def _watch(self) -> tuple[MemberFailed, ...]:
        cloud = await Cloud.of(self.conn_id)
        # what a triggerer that has died knew is lost: then an old report proves nothing at the end
        again = datetime.now(UTC) - self.began > RESTARTED_AFTER
        errors = 0
        while True:
            wait = cloud.interval
            try:
                await self._look(cloud)
            except Blocked as blocked:
                wait = blocked.wait
            except FAILURES as error:
                errors += 1
                await self._info("%s; looking again", error)
                if errors >= LOOKS_THAT_FAIL:
                    raise TransientError(f"the members cannot be watched: {error}") from error
            else:
                errors = 0
            now = datetime.now(UTC)
            failed = {name: seen.failure(now) for name, seen in self._seen.items()}
            if not any(failed.values()) and not errors:
                failed = self._compared()
            if any(failed.values()):
                return tuple(MemberFailed(member=m, why=why) for m, why in failed.items() if why)
            is_over = now >= self.until and not errors and len(self._seen) == len(self.swaps)
            if is_over and all(seen.is_good(now, again=again) for seen in self._seen.values()):
                return ()
            await asyncio.sleep(max(wait, pause(self._seen.values(), now, self.until)))

    async def _look(self, cloud: Cloud) -> None:
        zones = {swap.member: swap.zone for swap in self.swaps}
        for _ in set(zones.values()):
            await cloud.rate_limiter.acquire()
        there = await asyncio.to_thread(lambda: members.standing(hook_of(self.conn_id), zones))
        for swap in self.swaps:
            instance, health = there.get(swap.member), None
            if instance is not None and instance.get("status") == "RUNNING":
                await cloud.rate_limiter.acquire()
                health = await self._health(swap.zone, swap.member)
            before = self._seen.get(swap.member)
            now = datetime.now(UTC)
            after = look(before, swap, instance, health, now)
            self._seen[swap.member] = after
            self._record(swap.member, before.seen if before is not None else None, after.seen)
            if (said := after.news(before, now)) is not None:
                await self._info("%s: %s", swap.member, said)

        for member, zone in self.others.items():
            await self._look_at_other(cloud, member, zone)

    async def _look_at_other(self, cloud: Cloud, member: str, zone: str) -> None:
        """Read a member that is not replaced; one that cannot be read is no measure."""
        await cloud.rate_limiter.acquire()
        try:
            health = await self._health(zone, member)
        except FAILURES as error:
            await self._info("%s is not compared with: %s", member, error)
            return
        if counts(health):
            before = self._usual.get(member)
            after = self._usual[member] = see(before, health, datetime.now(UTC))
            self._record(member, before, after)

    def _record(self, member: str, before: Sighting | None, after: Sighting) -> None:
        is_new = before is None or before.health is not after.health
        self._records[member] = add(self._records.get(member), after, is_new=is_new)

    def _compared(self) -> dict[str, str]:
        done = {n: r for n, r in self._records.items() if n not in self.others}
        others = {n: r for n, r in self._records.items() if n in self.others}
        return worse(done, others, self.numbers)

    async def _health(self, zone: str, member: str) -> Health | None:
        return await asyncio.to_thread(lambda: members.health(hook_of(self.conn_id), zone, member))

    async def _info(self, text: str, *values: Any) -> None:
        await asyncio.to_thread(self.log.info, text, *values)
