"""Waits for a state of a fake, without polling."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Changes:
    """What a fake reports its changes to, from any thread, and what a test waits on."""

    def __init__(self) -> None:
        self._waiting: list[
            tuple[Callable[[], bool], asyncio.AbstractEventLoop, asyncio.Event]
        ] = []

    def notify(self) -> None:
        """Called by the fake after each change."""
        for holds, loop, event in tuple(self._waiting):
            if holds():
                loop.call_soon_threadsafe(event.set)

    async def until(self, holds: Callable[[], bool], seconds: float = 100.0) -> None:
        """Wait until it holds.

        Raises:
            TimeoutError: It does not hold within these seconds.
        """
        event = asyncio.Event()
        waiter = (holds, asyncio.get_running_loop(), event)
        self._waiting.append(waiter)
        try:
            if not holds():
                async with asyncio.timeout(seconds):
                    await event.wait()
        finally:
            self._waiting.remove(waiter)
