"""A rate limiter per project for the API reads of waiting triggers.

List calls are few: they are made at once, and count. Reads of serial output and guest attributes
are queued: urgent ones, which a result depends on, come first, then reads for logs, in the order of
their arrival.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from collections.abc import Callable

BURST = 6  # reads that go at once after a quiet while; they are taken off the steady rate


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
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._patient: deque[asyncio.Future[None]] = deque()
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

    async def acquire(self, *, urgent: bool = False) -> None:
        """Wait for a read; urgent ones come first."""
        mine = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._patient).append(mine)
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._serve())
        await mine

    async def _serve(self) -> None:
        """Serve the queue, one read at a time."""
        while self._urgent or self._patient:
            await asyncio.sleep(self.reserve())
            queue = self._urgent or self._patient
            while queue:
                first = queue.popleft()
                if not first.done():  # else it was cancelled meanwhile
                    first.set_result(None)
                    break
