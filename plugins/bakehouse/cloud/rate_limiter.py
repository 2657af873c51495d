"""A rate limiter per project for the API reads of waiting triggers.

List calls are few: they are made at once, and count. Reads of instances, serial output and guest
attributes are queued by their priority, and in the order of their arrival.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import IntEnum
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

BURST = 6  # reads that go at once after a quiet while; they are taken off the steady rate


class Priority(IntEnum):
    """What a read is for; the first ones come first."""

    STEP = 0  # the next step of a member that is down
    RESULT = 1
    LOG = 2


class RateLimiter:
    """Allows reads at a steady rate, with a small burst at the start."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RateLimiter]]] = (
        WeakKeyDictionary()
    )  # one for each event loop: a triggerer has one

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float]) -> None:
        self.spacing = 60.0 / per_minute
        self._ahead = burst * self.spacing
        self._clock = clock
        self._next = clock() - self._ahead
        self._queues: dict[Priority, deque[asyncio.Future[None]]] = {p: deque() for p in Priority}
        self._serving: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, project: str, per_minute: float) -> RateLimiter:
        """Return a project's rate limiter in this event loop; no minute exceeds `per_minute`."""
        loop = asyncio.get_running_loop()
        mine = cls._all.setdefault(loop, {})
        if project not in mine:
            burst = min(BURST, int(per_minute / 4))
            mine[project] = cls(per_minute - burst - 1, burst, loop.time)
        return mine[project]

    def reserve(self) -> float:
        """Reserve the next read; return the seconds until it."""
        now = self._clock()
        moment = max(self._next, now - self._ahead)
        self._next = moment + self.spacing
        return max(0.0, moment - now)

    async def acquire(self, priority: Priority = Priority.LOG) -> None:
        """Wait for a read."""
        mine = asyncio.get_running_loop().create_future()
        self._queues[priority].append(mine)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        await mine

    async def _serve(self) -> None:
        """Serve the queue, one read at a time."""
        while any(self._queues.values()):
            await asyncio.sleep(self.reserve())
            queue = next((queue for queue in self._queues.values() if queue), None)
            while queue:
                first = queue.popleft()
                if not first.done():  # else it was cancelled meanwhile
                    first.set_result(None)
                    break
