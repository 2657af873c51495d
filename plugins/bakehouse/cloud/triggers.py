"""What steps wait for: operations to end, a machine to come to rest, what a run made to be gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from bakehouse import comms
from bakehouse.cloud import operations, poller
from bakehouse.cloud.budget import ReadBudget
from bakehouse.cloud.facts import Facts
from bakehouse.cloud.hook import ComputeHook, hook_of
from bakehouse.cloud.stream import SerialStream
from bakehouse.errors import StopEverything, TryAgain

# A trigger that fires while the executor still reports the deferring process as done makes
# Airflow 3.3 fail a healthy task; nothing we wait for ends sooner anyway.
FIRST_LOOK = 1.5
OFFSET = "serial_offset"  # XCom of the waiting task itself


class CloudTrigger(BaseTrigger):
    """Arguments are attributes of the same name; that is all there is to serialise.

    `kept` comes back in the event under the same name: `dag.test()` drops what a deferral keeps.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__()
        self._arguments = arguments
        self.kept: dict[str, Any] = arguments.pop("kept", None) or {}

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments, as Airflow stores them."""
        kind = type(self)
        return f"{kind.__module__}.{kind.__qualname__}", {**self._arguments, "kept": self.kept}

    def event(self, **payload: Any) -> TriggerEvent:
        """What the trigger fires."""
        return TriggerEvent({**payload, "kept": self.kept})

    async def _interval(self) -> float:
        conn_id = self._arguments["conn_id"]
        return await asyncio.to_thread(lambda: hook_of(conn_id).poll_interval)


class OperationTrigger(CloudTrigger):
    """Waits until an operation is DONE.

    Fires `{"operation": {...}}`; None when Compute Engine has forgotten it, and past the deadline
    (epoch seconds), which adds `"late": True`.
    """

    def __init__(
        self, *, conn_id: str, zone: str | None, name: str, deadline: float, **other: Any
    ) -> None:
        super().__init__(conn_id=conn_id, zone=zone, name=name, deadline=deadline, **other)
        self.conn_id, self.zone, self.name, self.deadline = conn_id, zone, name, deadline

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        interval = await self._interval()
        while time.time() < self.deadline:
            tick = await poller.operations(self.conn_id, self.zone, interval).next()
            if tick.error is not None:
                continue
            found = tick.items.get(self.name) or await self._alone()
            if found is None or operations.verdict(found) is not None:
                yield self.event(operation=dict(found) if found else None)
                return
        yield self.event(operation=None, late=True)

    async def _alone(self) -> dict[str, Any] | None:
        """Older than the newest 500: asked for by name."""
        return await asyncio.to_thread(
            lambda: hook_of(self.conn_id).operation(self.zone, self.name)
        )


class GoneTrigger(CloudTrigger):
    """Waits until none of these instances is listed any more; `{"left": [names]}`."""

    def __init__(
        self, *, conn_id: str, machines: dict[str, list[str]], deadline: float, **other: Any
    ) -> None:
        super().__init__(conn_id=conn_id, machines=machines, deadline=deadline, **other)
        self.conn_id, self.machines, self.deadline = conn_id, machines, deadline

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        interval = await self._interval()
        left = self.machines
        while left and time.time() < self.deadline:
            ticks = {z: await poller.instances(self.conn_id, z, interval).next() for z in left}
            left = {
                zone: names
                for zone, tick in ticks.items()
                if (names := [n for n in left[zone] if tick.error or n in tick.items])
            }
        yield self.event(left=sorted(name for names in left.values() for name in names))


class MachineTrigger(CloudTrigger):
    """Waits for a machine to come to rest, with its serial output in the task log meanwhile.

    A subclass says when it has (`settled`); the event is `{"facts": Facts as JSON}`.
    """

    def __init__(
        self, *, conn_id: str, zone: str, name: str, nonce: str, deadline: float, **other: Any
    ) -> None:
        mine = {"conn_id": conn_id, "zone": zone, "name": name, "nonce": nonce}
        super().__init__(**mine, deadline=deadline, **other)
        self.conn_id, self.zone, self.name = conn_id, zone, name
        self.nonce, self.deadline = nonce, deadline

    def settled(self, facts: Facts) -> bool:
        """Whether the wait is over."""
        raise TypeError(f"{type(self).__name__} does not say when it is over")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event."""
        await asyncio.sleep(FIRST_LOOK)
        interval = await self._interval()
        stream = await self._stream()
        following = asyncio.create_task(stream.follow(interval))
        try:
            facts = await self._watch(stream, interval)
            await stream.stop(following)
            yield self.event(facts=facts.model_dump(mode="json"))
        finally:
            following.cancel()

    async def _watch(self, stream: SerialStream, interval: float) -> Facts:
        status: str | None = ""
        while True:
            tick = await poller.instances(self.conn_id, self.zone, interval).next()
            if tick.error is not None and time.time() < self.deadline:
                continue
            found = tick.items.get(self.name)
            seen = str(found["status"]) if found else None
            if seen != status and tick.error is None:
                await asyncio.to_thread(self.log.info, "%s is %s", self.name, seen or "gone")
                status = seen
            facts = self._facts(status, stream)
            if facts.late or not facts.alive or facts.result:
                closer = await self._closer_look(stream)
                if closer is not None and self.settled(closer):
                    return closer

    def _facts(self, status: str | None, stream: SerialStream) -> Facts:
        late = time.time() >= self.deadline
        return Facts(name=self.name, status=status, said=tuple(stream.said), late=late)

    async def _closer_look(self, stream: SerialStream) -> Facts | None:
        """Everything there is to know, or None when Compute Engine does not answer."""
        await stream.recall()
        try:
            seen = await asyncio.to_thread(self._read_all)
        except (TryAgain, StopEverything) as error:
            await asyncio.to_thread(self.log.warning, "%s", error)
            return None
        facts = self._facts(seen["status"], stream)
        return facts.model_copy(update={**seen, "tail": tuple(stream.tail)})

    def _read_all(self) -> dict[str, Any]:
        hook = hook_of(self.conn_id)
        found = hook.instance(self.zone, self.name)
        return {
            "status": str(found["status"]) if found else None,
            "attributes": hook.guest_attributes(self.zone, self.name) if found else {},
            "happenings": operations.happenings(hook.operations(self.zone), self.name),
        }

    async def _stream(self) -> SerialStream:
        hook: ComputeHook = await asyncio.to_thread(hook_of, self.conn_id)
        ti = self.task_instance  # None in dag.test(), where nothing outlives this trigger
        offset = int(await comms.get_xcom(ti, OFFSET) or 0) if ti else 0
        if offset:
            await asyncio.to_thread(self.log.info, "reading on from byte %d", offset)

        async def save(at: int) -> None:
            if ti:
                await comms.set_xcom(ti, OFFSET, at)

        return SerialStream(
            read=lambda start: hook_of(self.conn_id).serial_output(self.zone, self.name, start),
            emit=self.log.info,
            save=save,
            nonce=self.nonce,
            budget=ReadBudget.of(
                await asyncio.to_thread(lambda: hook.project), hook.reads_per_minute
            ),
            offset=offset,
        )
