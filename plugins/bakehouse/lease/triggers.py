"""Triggers that wait for a lease, or for a builder slot. Blocking calls run in threads."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from bakehouse.lease import semaphore as slots
from bakehouse.lease.events import LeaseLooksFree, SlotTaken
from bakehouse.lease.lease import Claim, Lease, Owner, Record, decide
from bakehouse.triggers import supervisor_comms as comms
from bakehouse.triggers.base import BakehouseTrigger
from bakehouse.triggers.wakeup import SLOTS, Wakeup, waking_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow.triggers.base import TriggerEvent

POLL_LEASE = 5.0  # seconds between two reads


class LeaseTrigger(BakehouseTrigger):
    """Waits until a lease looks free, or the deadline has passed. Fires `LeaseLooksFree`.

    The worker then takes the lease; if another run was faster, the task waits again.
    """

    def __init__(
        self, *, ledger: str, name: str, owner: dict[str, str], deadline: float, **other: Any
    ) -> None:
        """Wait for the lease `name`, on behalf of the run `owner`, until `deadline` (epoch)."""
        super().__init__(ledger=ledger, name=name, owner=owner, deadline=deadline, **other)
        self.ledger, self.name, self.owner, self.deadline = ledger, name, owner, deadline

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event."""
        from bakehouse.lease.store import lease_of

        me, shown = Owner.model_validate(self.owner), ""
        while time.time() < self.deadline:
            await asyncio.sleep(POLL_LEASE)
            newest = await asyncio.to_thread(lambda: lease_of(self.ledger, self.name).newest())
            holder = newest.owner if newest else me
            state = await comms.dag_run_state(holder.dag_id, holder.run_id)
            decision = decide(newest, me, state, datetime.now(UTC))
            if decision.claim is not Claim.WAIT:
                yield self.fire(LeaseLooksFree(free=True, why=decision.why))
                return
            if decision.why != shown:
                await asyncio.to_thread(self.log.info, "waiting: %s", decision.why)
                shown = decision.why
        yield self.fire(LeaseLooksFree(free=False, why=shown))


class SlotTrigger(BakehouseTrigger):
    """Waits for a builder slot and takes it, or until the deadline has passed. Fires `SlotTaken`.

    The trigger takes the slot for the run: if one free slot woke two hundred waiting tasks, each
    would need a worker to find out that another was faster. A triggerer that is restarted in
    between finds the slot held by this run.

    It looks every few seconds, and when the SLA watcher of another run, in the same triggerer, has
    seen the end of that run's teardown.
    """

    def __init__(
        self,
        *,
        ledger: str,
        project: str,
        owner: dict[str, str],
        held_for: float,
        deadline: float,
        **other: Any,
    ) -> None:
        """Wait for a slot of `project`, on behalf of the run `owner`, until `deadline` (epoch)."""
        mine = {"ledger": ledger, "project": project, "owner": owner, "held_for": held_for}
        super().__init__(**mine, deadline=deadline, **other)
        self.ledger, self.project, self.owner = ledger, project, owner
        self.held_for, self.deadline = held_for, deadline

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event."""
        with waking_for(*SLOTS) as freed:
            event = await self._taken(freed)
        yield self.fire(event)

    async def _taken(self, freed: Wakeup) -> SlotTaken:
        me, why = Owner.model_validate(self.owner), ""
        semaphore = SlotSemaphore.of(self.ledger, self.project)
        while time.time() < self.deadline:
            await freed.wait(POLL_LEASE)
            held_for = timedelta(seconds=self.held_for)
            grant = await semaphore.acquire(me, held_for, since=freed.woken)
            if grant.slot is not None:
                return SlotTaken(slot=grant.slot, why=grant.why)
            if grant.why != why:
                await asyncio.to_thread(self.log.info, "waiting: %s", grant.why)
                why = grant.why
        return SlotTaken(slot=None, why=why)


class SlotSemaphore:
    """The slots of one project; one read per interval serves all waiting triggers."""

    _all: ClassVar[
        WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], SlotSemaphore]]
    ] = WeakKeyDictionary()  # one for each event loop, to which its lock belongs

    def __init__(self, ledger: str, project: str) -> None:
        """Start without any state."""
        self.ledger, self.project = ledger, project
        self._lock = asyncio.Lock()
        self._refreshed = float("-inf")
        self._view = slots.View(0)
        self._leases: dict[int, Lease] = {}

    @classmethod
    def of(cls, ledger: str, project: str) -> SlotSemaphore:
        """Return the semaphore of this event loop."""
        mine = cls._all.setdefault(asyncio.get_running_loop(), {})
        return mine.setdefault((ledger, project), cls(ledger, project))

    async def acquire(
        self, me: Owner, held_for: timedelta, since: float = float("-inf")
    ) -> slots.SlotGrant:
        """Acquire a slot, or return who holds them; one caller at a time.

        Args:
            me: The run that wants it.
            held_for: How long it counts if Airflow does not know the run.
            since: A read that began before this moment, of the monotonic clock, is too old.
        """
        async with self._lock:
            began = time.monotonic()
            if began - self._refreshed >= POLL_LEASE or self._refreshed <= since:
                self._view = await self._refresh()
                self._refreshed = began
            seen = self._view
            if me in seen.held:
                return slots.SlotGrant(seen.held[me], "this run has it already")
            for number, record in seen.free.items():
                now = datetime.now(UTC)
                lease = self._leases[number]
                taken = await asyncio.to_thread(lease.take, me, record, now, held_for)
                free = {n: r for n, r in self._view.free.items() if n != number}
                held = {**self._view.held, **({me: number} if taken else {})}
                self._view = slots.View(seen.limit, held, free)
                if taken:
                    return slots.SlotGrant(number, "it was free")
            return slots.SlotGrant(None, seen.why)

    async def _refresh(self) -> slots.View:
        records, limit = await asyncio.to_thread(self._read)
        holders = {r.owner for r in records.values() if r and not r.released}
        states = {who: await comms.dag_run_state(who.dag_id, who.run_id) for who in holders}
        return slots.view(records, states, limit, datetime.now(UTC))

    def _read(self) -> tuple[dict[int, Record | None], int]:
        from bakehouse.lease.builder_slots import limit
        from bakehouse.lease.store import builder_slots

        allowed = limit()
        self._leases = builder_slots(self.ledger, self.project, allowed)
        return slots.newest(self._leases), allowed
