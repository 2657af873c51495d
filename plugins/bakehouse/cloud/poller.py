"""One list call for all waiting triggers of a triggerer: per connection, kind, zone and tick."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bakehouse.cloud.hook import hook_of

Resource = Mapping[str, Any]
Fetch = Callable[[], Iterable[Resource]]

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0  # seconds between ticks after repeated errors
OURS = "labels.bakehouse-run:*"


@dataclass(frozen=True)
class Tick:
    """What one list call saw, by name; `error` when there was no answer (items is then empty)."""

    items: Mapping[str, Resource] = field(default_factory=dict)
    error: Exception | None = None


class Poller:
    """Calls `fetch` once a tick while anybody waits, in a thread of its own, and wakes them all.

    An error is handed over like an answer: one bad tick must not fail every waiting task.
    """

    _all: ClassVar[dict[Hashable, Poller]] = {}  # one for each event loop of the process

    def __init__(self, key: Hashable, fetch: Fetch, interval: float) -> None:
        self.key, self.fetch, self.interval = key, fetch, interval
        self._next: asyncio.Future[Tick] | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0
        # not the loop's default pool: its few threads belong to all triggers
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bakehouse-poll")

    @classmethod
    def of(cls, key: Hashable, fetch: Fetch, interval: float) -> Poller:
        """The poller of this key in this event loop (tests and dag.test() use many loops)."""
        at = (id(asyncio.get_running_loop()), key)
        poller = cls._all.get(at)
        if poller is None:
            poller = cls._all[at] = cls(at, fetch, interval)
        return poller

    async def next(self) -> Tick:
        """The next tick."""
        loop = asyncio.get_running_loop()
        if self._next is None or self._next.done():
            self._next = loop.create_future()
        if self._task is None or self._task.done():
            # an empty context, or the poller's lines would go to the first trigger's log
            self._task = contextvars.Context().run(loop.create_task, self._run())
        self._waiting += 1
        try:
            return await asyncio.shield(self._next)  # a cancelled waiter leaves the others alone
        finally:
            self._waiting -= 1

    async def _run(self) -> None:
        try:
            await self._tick_while_awaited()
        finally:
            # also when the loop ends: another loop may get the same id, and must not find this one
            self._all.pop(self.key, None)
            self._thread.shutdown(wait=False)

    async def _tick_while_awaited(self) -> None:
        wait = self.interval
        while True:
            tick = await self._look()
            wait = self.interval if tick.error is None else min(wait * 2, LONGEST_WAIT)
            done, self._next = self._next, asyncio.get_running_loop().create_future()
            if done is not None and not done.done():
                done.set_result(tick)
            await asyncio.sleep(wait)
            if self._waiting == 0:
                return

    async def _look(self) -> Tick:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, lambda: list(self.fetch()))
        except Exception as error:  # whatever it is, every waiter hears of it and goes on waiting
            log.warning("poll failed: %s", error)
            return Tick(error=error)
        return Tick(items={str(item["name"]): item for item in found})


def instances(conn_id: str, zone: str, interval: float) -> Poller:
    """Bakehouse's instances of a zone."""
    return Poller.of(
        ("instances", conn_id, zone), lambda: hook_of(conn_id).instances(zone, OURS), interval
    )


def operations(conn_id: str, zone: str | None, interval: float) -> Poller:
    """The newest operations of a zone, or the global ones."""
    return Poller.of(
        ("operations", conn_id, zone), lambda: hook_of(conn_id).operations(zone), interval
    )
