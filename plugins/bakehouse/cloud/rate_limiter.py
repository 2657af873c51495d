"""Reads of waiting triggers share one rate_limiter per project: no minute has more of them.

List calls are few and serve everybody: they go at once and count. Serial output and guest
attributes have no list call and wait their turn: first what somebody's verdict hangs on, then the
logs, which may lag. Nobody starves: among the logs, who has waited longest is next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakKeyDictionary

BURST = 6  # reads that go at once after a quiet while; they are taken off the steady rate


class RateLimiter:
    """Hands out moments at a steady rate, with a small burst for the first ones."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, RateLimiter]]] = (
        WeakKeyDictionary()
    )  # one for each event loop: a triggerer has one

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float]) -> None:
        self.spacing = 60.0 / per_minute
        self._ahead = burst * self.spacing
        self._clock = clock
        self._next = clock() - self._ahead
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._patient: deque[asyncio.Future[None]] = deque()
        self._serving: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, project: str, per_minute: float) -> RateLimiter:
        """The rate_limiter of a project in this event loop, `per_minute` in any minute whatever."""
        loop = asyncio.get_running_loop()
        mine = cls._all.setdefault(loop, {})
        if project not in mine:
            burst = min(BURST, int(per_minute / 4))
            mine[project] = cls(per_minute - burst - 1, burst, loop.time)
        return mine[project]

    def reserve(self) -> float:
        """Take the next moment; the seconds until it."""
        now = self._clock()
        moment = max(self._next, now - self._ahead)
        self._next = moment + self.spacing
        return max(0.0, moment - now)

    async def acquire(self, *, urgent: bool = False) -> None:
        """Wait for one's turn; who is urgent goes before all who are not."""
        mine = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._patient).append(mine)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        await mine

    async def _serve(self) -> None:
        """One moment after the other, each to whoever is first when it has come."""
        while self._urgent or self._patient:
            await asyncio.sleep(self.reserve())
            queue = self._urgent or self._patient
            while queue:
                first = queue.popleft()
                if not first.done():  # else it was cancelled meanwhile
                    first.set_result(None)
                    break
