"""One list call per project, kind, zone and tick serves all triggers of a triggerer."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, ClassVar

from bakehouse.cloud.calls import PAGE
from bakehouse.cloud.compute_hook import hook_of
from bakehouse.cloud.rate_limiter import RateLimiter
from bakehouse.core.errors import FINAL
from bakehouse.images.labels import RUN

Resource = Mapping[str, Any]
Fetch = Callable[[], Iterable[Resource]]

log = logging.getLogger(__name__)

LONGEST_WAIT = 60.0  # seconds between ticks after repeated errors
OURS = f"labels.{RUN}:*"

# Not the loop's default pool: its few threads belong to all triggers. One for all pollers, as a
# thread has a client of its own, and making one takes half a second.
_threads = ThreadPoolExecutor(8, thread_name_prefix="bakehouse-poll")


@dataclass(frozen=True)
class Cloud:
    """A project with its connection; connections of one project share their reads."""

    conn_id: str
    project: str
    endpoint: str | None
    interval: float  # seconds between two looks
    reads_per_minute: float

    @classmethod
    async def of(cls, conn_id: str) -> Cloud:
        """Read from the connection, in a thread."""
        return await asyncio.to_thread(cls._of, conn_id)

    @classmethod
    def _of(cls, conn_id: str) -> Cloud:
        hook = hook_of(conn_id)
        return cls(conn_id, hook.project, hook.endpoint, hook.poll_interval, hook.reads_per_minute)

    @property
    def rate_limiter(self) -> RateLimiter:
        """The project's rate limiter in this event loop; the first caller sets the rate."""
        return RateLimiter.of(f"{self.endpoint or ''}/{self.project}", self.reads_per_minute)

    def instances(self, zone: str) -> Poller:
        """Return the poller of names and states of Bakehouse's instances in a zone."""
        return self._poller(
            "instances", zone, lambda: hook_of(self.conn_id).instance_states(zone, OURS)
        )

    def operations(self, zone: str | None) -> Poller:
        """Return the poller of the newest operations of a zone, or the global ones."""
        return self._poller("operations", zone, lambda: hook_of(self.conn_id).operations(zone))

    def _poller(self, kind: str, zone: str | None, fetch: Fetch) -> Poller:
        key = (kind, self.endpoint, self.project, zone)
        poller = Poller.of(key, fetch, self.interval, self.rate_limiter.reserve)
        poller.ways.setdefault(self.conn_id, fetch)
        return poller


@dataclass(frozen=True)
class Tick:
    """The result of one list call, by name; `error` if it failed (then there are no items)."""

    items: Mapping[str, Resource] = field(default_factory=dict)
    error: Exception | None = None


class Poller:
    """Calls `fetch` in a thread, once per tick while a trigger waits, and wakes all of them.

    An error is passed on as a result, so that one failed call does not fail every waiting task.
    `ways` are the fetches of other connections to the project, tried if this one is refused.
    """

    _all: ClassVar[dict[Hashable, Poller]] = {}  # one for each event loop of the process

    def __init__(
        self,
        key: Hashable,
        fetch: Fetch,
        interval: float,
        spend: Callable[[], object] = lambda: None,
    ) -> None:
        self.key, self.fetch, self.interval = key, fetch, interval
        self.ways: dict[str, Fetch] = {}
        self._spend = spend  # called once for each call, that is for each page
        self._next: asyncio.Future[Tick] | None = None
        self._pause = interval  # the shortest that somebody who waits has asked for
        self._hurried = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._waiting = 0

    @classmethod
    def of(
        cls,
        key: Hashable,
        fetch: Fetch,
        interval: float,
        spend: Callable[[], object] = lambda: None,
    ) -> Poller:
        """The poller of this key in this event loop (tests and dag.test() use many loops)."""
        at = (id(asyncio.get_running_loop()), key)
        poller = cls._all.get(at)
        if poller is None:
            poller = cls._all[at] = cls(at, fetch, interval, spend)
        return poller

    async def next(self, within: float | None = None) -> Tick:
        """Wait for the next tick; `within`: seconds after the last one, if they are fewer."""
        loop = asyncio.get_running_loop()
        if within is not None and within < self._pause:
            self._pause = within
            self._hurried.set()
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

    async def _tick_while_awaited(self) -> None:
        wait = self.interval
        while True:
            self._pause = self.interval
            self._hurried.clear()
            tick = await self._look()
            wait = self.interval if tick.error is None else min(wait * 2, LONGEST_WAIT)
            done, self._next = self._next, asyncio.get_running_loop().create_future()
            if done is not None and not done.done():
                done.set_result(tick)
            await self._sleep(wait, may_hurry=tick.error is None)
            if self._waiting == 0:
                return

    async def _sleep(self, wait: float, *, may_hurry: bool) -> None:
        """Sleep; who waits for less, since it has asked for that, shortens it."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while (left := began + min(wait, self._pause if may_hurry else wait) - loop.time()) > 0:
            self._hurried.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurried.wait(), left)

    async def _look(self) -> Tick:
        try:
            return await self._ask(self.fetch)
        except FINAL as refused:
            return await self._another_way(refused)
        except Exception as error:  # whatever it is, every waiter hears of it and goes on waiting
            log.warning("poll failed: %s", error)
            return Tick(error=error)

    async def _another_way(self, refused: Exception) -> Tick:
        """Try the fetch of another connection, which may have more permissions."""
        for conn_id, way in [(c, w) for c, w in self.ways.items() if w is not self.fetch]:
            try:
                tick = await self._ask(way)
            except Exception as error:
                log.warning("poll by %s failed: %s", conn_id, error)
            else:
                self.fetch = way
                return tick
        log.warning("poll failed: %s", refused)
        return Tick(error=refused)

    async def _ask(self, fetch: Fetch) -> Tick:
        self._spend()
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(_threads, lambda: list(fetch()))
        for _ in range(PAGE, len(found), PAGE):
            self._spend()
        return Tick(items={str(item["name"]): item for item in found})
