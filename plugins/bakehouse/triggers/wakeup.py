"""Wakes what watches a run when another trigger of the run fires in the same triggerer.

A trigger of the run in another triggerer wakes nobody: whoever watches looks again by itself too.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

_watchers: dict[tuple[str, str], list[asyncio.Event]] = {}


@contextmanager
def watching(ti: Any) -> Generator[asyncio.Event]:
    """Give an event that is set whenever a trigger of this task instance's run fires."""
    key, fired = (ti.dag_id, ti.run_id), asyncio.Event()
    _watchers.setdefault(key, []).append(fired)
    try:
        yield fired
    finally:
        _watchers[key].remove(fired)
        if not _watchers[key]:
            del _watchers[key]


def wake_watchers(ti: Any) -> None:
    """Set the events of those that watch this task instance's run; call it in the event loop."""
    for fired in _watchers.get((ti.dag_id, ti.run_id), ()):
        fired.set()
