"""The server's clock: real, or stepped by a test. Everything that waits or stamps asks it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from datetime import datetime, timedelta, timezone
from typing import Protocol

# Compute Engine stamps in the time of its home, not in UTC.
_HOME = timezone(timedelta(hours=-8))


class Clock(Protocol):
    """Seconds since the epoch, and a sleep in them."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


class RealClock:
    """Time as it passes."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return datetime.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class ManualClock:
    """Time that stands until `advance` moves it."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved past; a sleep of nothing only gives way."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on, waking sleepers in their order and letting each run before the next wakes."""
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await _let_others_run()
        self._now = end
        await _let_others_run()


async def _let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def stamp(seconds: float) -> str:
    """`2026-11-23T00:25:30.123-08:00`, as Compute Engine writes times."""
    return datetime.fromtimestamp(seconds, _HOME).isoformat(timespec="milliseconds")
