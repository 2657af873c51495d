"""How often a member that boots is looked at, by how long others of its rollout took to boot.

Members of a rollout boot the same image, so that the second one is looked at seldom while no other
was ready by then, and often when it is due. The budget of reads is the project's: what a hundred
members that boot do not ask, those that are due, or down, can ask.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import ClassVar
from weakref import WeakKeyDictionary

SELDOM = 2.0  # poll intervals between two looks at a member that is not due
OFTEN = 4  # looks in the poll interval at one that is
USUALLY = 2  # ... at one of which that is not known, or that is late
DUE_FROM, DUE_TO = 0.8, 1.25  # of the shortest boot that is known, and of the longest
KNOWN = 20  # boots of a rollout, the last ones
ROLLOUTS = 1000  # the last ones of a triggerer


class BootPace:
    """The boots of one rollout, as far as this triggerer has seen them."""

    _all: ClassVar[WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, BootPace]]] = (
        WeakKeyDictionary()
    )

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=KNOWN)

    @classmethod
    def of(cls, rollout: str) -> BootPace:
        """Return that of a rollout in this event loop: a triggerer has one."""
        mine = cls._all.setdefault(asyncio.get_running_loop(), {})
        found = mine.pop(rollout, None) or cls()
        mine[rollout] = found  # the last one that was asked for is the last one to go
        if len(mine) > ROLLOUTS:
            del mine[next(iter(mine))]
        return found

    def note(self, seconds: float) -> None:
        """Note how long a member took from its start until it was healthy."""
        self._seconds.append(seconds)

    def pause(self, booted: float | None, interval: float) -> float:
        """Return the seconds until the next look at a member.

        Args:
            booted: seconds since its start; None if they are not known.
            interval: the poll interval in seconds.
        """
        if booted is None or not self._seconds:
            return interval / USUALLY
        due = DUE_FROM * min(self._seconds)
        if booted < due:
            return min(SELDOM * interval, max(due - booted, interval / OFTEN))
        return interval / (OFTEN if booted < DUE_TO * max(self._seconds) else USUALLY)
