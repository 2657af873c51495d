"""Reads that have no list call (serial output, guest attributes) share one budget per project.

Each reader gets the next free moment in turn, so a log may lag but nobody starves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar


class ReadBudget:
    """Hands out moments at a steady rate, with a small burst for the first ones."""

    _all: ClassVar[dict[tuple[int, str], ReadBudget]] = {}  # one for each event loop of the process

    def __init__(self, per_minute: float, burst: int, clock: Callable[[], float]) -> None:
        self.spacing = 60.0 / per_minute
        self._ahead = burst * self.spacing
        self._clock = clock
        self._next = clock() - self._ahead

    @classmethod
    def of(cls, project: str, per_minute: float) -> ReadBudget:
        """The budget of a project in this event loop (one in a triggerer)."""
        loop = asyncio.get_running_loop()
        key = (id(loop), project)
        if key not in cls._all:
            cls._all[key] = cls(per_minute, burst=20, clock=loop.time)
        return cls._all[key]

    def reserve(self) -> float:
        """Take the next moment; the seconds until it."""
        now = self._clock()
        moment = max(self._next, now - self._ahead)
        self._next = moment + self.spacing
        return max(0.0, moment - now)

    async def turn(self) -> None:
        """Wait for one's turn."""
        await asyncio.sleep(self.reserve())
