"""Notifications of changes to metadata servers, guests and waiting requests."""

from __future__ import annotations

import asyncio
from collections import defaultdict


class Changes:
    """Waiters by topic, such as `instance/<id>` and `project/<name>`."""

    def __init__(self) -> None:
        """Start without waiters."""
        self._waiters: defaultdict[str, set[asyncio.Future[None]]] = defaultdict(set)

    def notify(self, topic: str) -> None:
        """Wake all waiters of the topic."""
        for future in self._waiters.pop(topic, ()):
            if not future.done():
                future.set_result(None)

    async def wait(self, *topics: str) -> None:
        """Return at the next change of any of the topics."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for topic in topics:
            self._waiters[topic].add(future)
        try:
            await future
        finally:
            for topic in topics:
                self._drop(topic, future)

    def _drop(self, topic: str, future: asyncio.Future[None]) -> None:
        waiters = self._waiters.get(topic)
        if waiters is not None:
            waiters.discard(future)
            if not waiters:
                del self._waiters[topic]
