"""The server's clock: real, scaled, or advanced by a test; all waits and timestamps use it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Protocol

# Compute Engine writes timestamps in Pacific Standard Time, not in UTC.
_PACIFIC = timezone(timedelta(hours=-8))


class Clock(Protocol):
    """Seconds since the epoch, and a sleep in the same time."""

    def now(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class RealClock:
    """Time as it passes."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return datetime.now(UTC).timestamp()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class ScaledClock:
    """Time that passes `rate` times as fast as real time, from now on."""

    def __init__(self, rate: float) -> None:
        """Begin at the present; the rate must be positive."""
        if rate <= 0:
            raise ValueError(f"a clock's rate must be positive, not {rate}")
        self.rate = rate
        self._start = datetime.now(UTC).timestamp()
        self._real_start = time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self.rate * (time.monotonic() - self._real_start)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of this clock's time."""
        await asyncio.sleep(seconds / self.rate)


class ManualClock:
    """Time that only `advance` moves."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        """Begin at `start`, in seconds since the epoch."""
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until `advance` has moved past the time; a sleep of zero only yields."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Move on: wake the sleepers in order, and let each run before the next wakes."""
        end = self._now + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
            await _yield_to_others()
        self._now = end
        await _yield_to_others()


async def _yield_to_others() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def timestamp(seconds: float) -> str:
    """`2026-11-23T00:25:30.123-08:00`, as Compute Engine writes times."""
    return datetime.fromtimestamp(seconds, _PACIFIC).isoformat(timespec="milliseconds")
