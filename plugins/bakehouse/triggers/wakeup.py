"""Wakes triggers when another one in the same triggerer has seen what they wait for.

A topic is a run, `(dag_id, run_id)`, or SLOTS. What another triggerer has seen wakes nobody:
whoever waits looks again by itself too.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

Topic = tuple[str, ...]

SLOTS: Topic = ("builder slots",)  # the teardown of a run has ended: a slot may be free


class Wakeup:
    """Ends a wait early."""

    def __init__(self) -> None:
        self.woken = float("-inf")  # when, by the monotonic clock; the same for all of one call
        self._event = asyncio.Event()

    def wake(self, moment: float) -> None:
        """End the wait, or the next one."""
        self.woken = moment
        self._event.set()

    async def wait(self, seconds: float) -> bool:
        """Wait at most so long; return whether it was ended early."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)
        early = self._event.is_set()
        self._event.clear()
        return early


_waiting: dict[Topic, list[Wakeup]] = {}


@contextmanager
def waking_for(*topic: str) -> Generator[Wakeup]:
    """Give what is woken for this topic."""
    mine = Wakeup()
    _waiting.setdefault(topic, []).append(mine)
    try:
        yield mine
    finally:
        _waiting[topic].remove(mine)
        if not _waiting[topic]:
            del _waiting[topic]


def wake(*topic: str) -> None:
    """Wake all that wait for this topic; call it in the event loop."""
    moment = time.monotonic()
    for one in _waiting.get(topic, ()):
        one.wake(moment)
