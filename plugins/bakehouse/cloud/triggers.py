"""Triggers that wait for an operation, or for the end of a VM."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from bakehouse.cloud import operations
from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.events import MachineSettled, OperationEnded
from bakehouse.cloud.machine_observation import UNKNOWN, MachineObservation
from bakehouse.cloud.poller import Cloud, Tick
from bakehouse.cloud.rate_limiter import Priority
from bakehouse.cloud.request_id import request_id
from bakehouse.cloud.serial_stream import SerialStream
from bakehouse.core.errors import RETRYABLE, BakehouseError, Blocked, TransientError
from bakehouse.triggers import supervisor_comms as comms
from bakehouse.triggers.base import FIRST_LOOK, BakehouseTrigger
from bakehouse.triggers.killable import KillableTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from airflow.triggers.base import TriggerEvent

    from bakehouse.cloud.operations import InstanceEvent

OF_A_TICK = 0.5  # a log is read twice as often as states, as far as the budget goes
OFFSET = "serial_offset"  # XCom of the waiting task itself


class OperationTrigger(BakehouseTrigger):
    """Waits until an operation is DONE, or the deadline (epoch seconds) has passed.

    Fires `OperationEnded`.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        zone: str | None,
        name: str,
        doing: str,
        deadline: float,
        **other: Any,
    ) -> None:
        where = {"conn_id": conn_id, "zone": zone, "name": name, "doing": doing}
        super().__init__(**where, deadline=deadline, **other)
        self.conn_id, self.zone, self.name = conn_id, zone, name
        self.doing, self.deadline = doing, deadline

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event."""
        await asyncio.sleep(FIRST_LOOK)
        cloud = await Cloud.of(self.conn_id)
        while time.time() < self.deadline:
            tick = await cloud.operations(self.zone).next()
            if tick.error is not None:
                continue
            try:
                found = tick.items.get(self.name) or await self._alone(cloud)
            except (Blocked, *RETRYABLE) as error:
                await asyncio.to_thread(self.log.warning, "%s; looking again", error)
                continue
            if found is None or operations.end_of(found) is not None:
                known = dict(found) if found else None
                yield self.fire(OperationEnded(doing=self.doing, operation=known))
                return
        yield self.fire(OperationEnded(doing=self.doing, operation=None, late=True))

    async def _alone(self, cloud: Cloud) -> dict[str, Any] | None:
        """Get an operation by name that is not among the newest 500."""
        await cloud.rate_limiter.acquire(Priority.RESULT)
        return await asyncio.to_thread(
            lambda: hook_of(self.conn_id).operation(self.zone, self.name)
        )


class MachineTrigger(KillableTrigger):
    """Waits for the end of a VM, and streams its serial output into the task log.

    A subclass defines the end (`settled`). Fires `MachineSettled`.
    """

    def __init__(
        self, *, conn_id: str, zone: str, name: str, nonce: str, deadline: float, **other: Any
    ) -> None:
        mine = {"conn_id": conn_id, "zone": zone, "name": name, "nonce": nonce}
        super().__init__(**mine, deadline=deadline, **other)
        self.conn_id, self.zone, self.name = conn_id, zone, name
        self.nonce, self.deadline = nonce, deadline

    def settled(self, observed: MachineObservation) -> bool:  # ruff: ignore[unused-method-argument]  subclasses read it
        """Whether the wait is over."""
        raise TypeError(f"{type(self).__name__} does not implement its end condition")

    def told_all(self, observed: MachineObservation) -> bool:
        """Whether serial output has all that the task needs; else guest attributes are read."""
        return observed.result is not None

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire one event."""
        await asyncio.sleep(FIRST_LOOK)
        cloud = await Cloud.of(self.conn_id)
        stream = await self._stream(cloud)
        following = asyncio.create_task(stream.follow(cloud.interval * OF_A_TICK))
        try:
            observed = await self._watch(cloud, stream)
            await stream.halt(following)
            yield self.fire(MachineSettled(observed=observed))
        finally:
            following.cancel()

    def ending(self) -> str:
        """Return what is done when a person has ended the task."""
        return f"deleting {self.name} in {self.zone}, unless it has a result"

    async def end(self, kill: str) -> None:
        """Delete the VM: a person has marked the task, or cleared it, so nobody waits any more.

        A VM that has settled is left: this triggerer's copy may be behind another's, whose result
        the task goes on with. The run's teardown deletes what is left.
        """
        if await self._has_settled():
            return
        request = request_id(self.nonce, self.name, kill)
        await asyncio.to_thread(
            lambda: hook_of(self.conn_id).delete_instance(self.zone, self.name, request)
        )

    async def _has_settled(self) -> bool:
        """Whether another look at the VM finds its end; a deadline that has passed is none.

        Serial output is not read again: the guest attributes have the same result.
        """
        cloud = await Cloud.of(self.conn_id)
        seen = MachineObservation(name=self.name, status=await self._status(cloud))
        if seen.status:
            found = await self._attributes(cloud, seen)
            seen = seen.model_copy(update={"attributes": found})
        return self.settled(seen)

    async def _watch(self, cloud: Cloud, stream: SerialStream) -> MachineObservation:
        status: str | None = UNKNOWN
        times = dict[str, str]()
        while True:
            tick = await self._news(cloud, stream)
            if tick is not None and tick.error is None:
                found = tick.items.get(self.name)
                seen = str(found["status"]) if found else None
                times = _times(found) if found else times
                if seen != status:
                    await asyncio.to_thread(self.log.info, "%s is %s", self.name, seen or "gone")
                    status = seen
            observed = self._facts(status, stream)
            if self.settled(observed):
                closer = await self._closer_look(cloud, stream, observed)
                if closer is not None and self.settled(closer):
                    return closer.model_copy(update=times)

    async def _news(self, cloud: Cloud, stream: SerialStream) -> Tick | None:
        """Wait for the next tick; None if a structured line came first."""
        tick = asyncio.ensure_future(cloud.instances(self.zone).next())
        heard = asyncio.ensure_future(stream.heard.wait())
        try:
            await asyncio.wait({tick, heard}, return_when=asyncio.FIRST_COMPLETED)
            stream.heard.clear()
            return tick.result() if tick.done() else None
        finally:
            tick.cancel()
            heard.cancel()

    def _facts(self, status: str | None, stream: SerialStream) -> MachineObservation:
        late = time.time() >= self.deadline
        return MachineObservation(name=self.name, status=status, said=tuple(stream.said), late=late)

    async def _closer_look(
        self, cloud: Cloud, stream: SerialStream, observed: MachineObservation
    ) -> MachineObservation | None:
        """Observe the VM completely; None if Compute Engine does not answer in time.

        After the deadline the result is based on what is known.
        """
        try:
            known = observed.status not in {None, UNKNOWN}
            status = observed.status if known else await self._status(cloud)
            await stream.catch_up(last=observed.late or not observed.alive)
            seen = self._facts(status, stream)
            attributes = await self._attributes(cloud, seen) if status else {}
            instance_events = () if seen.result == "ok" else await self._happenings(cloud)
        except BakehouseError as error:
            await asyncio.to_thread(self.log.warning, "%s", error)
            return (
                observed.model_copy(update={"tail": tuple(stream.tail)}) if observed.late else None
            )
        more = {
            "attributes": attributes,
            "instance_events": instance_events,
            "tail": tuple(stream.tail),
        }
        return seen.model_copy(update=more)

    async def _status(self, cloud: Cloud) -> str | None:
        """Get the VM by name if it is not listed, since its label may have been removed."""
        await cloud.rate_limiter.acquire(Priority.RESULT)
        found = await asyncio.to_thread(
            lambda: hook_of(self.conn_id).instance(self.zone, self.name)
        )
        return str(found["status"]) if found else None

    async def _attributes(self, cloud: Cloud, observed: MachineObservation) -> dict[str, str]:
        if self.told_all(observed):
            return {}
        await cloud.rate_limiter.acquire(Priority.RESULT)
        return await asyncio.to_thread(
            lambda: hook_of(self.conn_id).guest_attributes(self.zone, self.name)
        )

    async def _happenings(self, cloud: Cloud) -> tuple[InstanceEvent, ...]:
        """Return the VM's operations, from one list call for all VMs lost at this tick."""
        tick = await cloud.operations(self.zone).next()
        if tick.error is not None:
            raise TransientError(f"the state of {self.name} is unknown: {tick.error}")
        return operations.instance_events(tick.items.values(), self.name)

    async def _stream(self, cloud: Cloud) -> SerialStream:
        ti = self.task_instance  # None in dag.test(), where nothing outlives this trigger
        offset = int(await comms.get_xcom(ti, OFFSET) or 0) if ti else 0
        if offset:
            await asyncio.to_thread(self.log.info, "continuing at byte %d", offset)

        async def save(at: int) -> None:
            if ti is None:
                return
            try:
                await comms.set_xcom(ti, OFFSET, at)
            except Exception as error:  # the log goes on; after a restart it may repeat itself
                await asyncio.to_thread(self.log.warning, "byte %d was not stored: %s", at, error)

        return SerialStream(
            read=lambda start: hook_of(self.conn_id).serial_output(self.zone, self.name, start),
            emit=self.log.info,
            save=save,
            nonce=self.nonce,
            rate_limiter=cloud.rate_limiter,
            offset=offset,
        )


def _times(instance: Mapping[str, Any]) -> dict[str, str]:
    """The times of an instance, as an observation names them."""
    names = {"power_on": "lastStartTimestamp", "off": "lastStopTimestamp"}
    return {own: str(instance.get(name, "")) for own, name in names.items()}
