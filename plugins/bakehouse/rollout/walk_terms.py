"""What a member's walk keeps to, and what ends it before the member has moved."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bakehouse.core.errors import TransientError

if TYPE_CHECKING:
    from datetime import timedelta

    from bakehouse.rollout.handover import HandoverFields
    from bakehouse.rollout.place import Place
    from bakehouse.rollout.second_try import Cause
    from bakehouse.rollout.turns import Turn
    from bakehouse.schedule.window import Window

# Seconds for which it is known who is down. Those of the stage whose turn is before the member's
# own count in any case, and those behind it count the member.
DOWN_FOR = 10.0


@dataclass
class Terms:
    """What holds for all tries of a swap; the times are in seconds since 1970."""

    conn_id: str
    turn: str  # of the task's tries; part of each request's id
    healthy_within: timedelta  # of a start
    deadline: float  # of all tries
    first_until: float | None  # of the first one, if there is a second
    fields: HandoverFields
    windows: list[Window]
    closed: str  # why a gate was closed that the member waits for; empty: it does not
    closed_until: float | None  # how long it may wait
    others: dict[str, str]  # of a fleet of which several may be down: name -> zone
    ahead: list[str]  # those whose turn is before this member's own
    place: Place | None = None  # of a member that waits for its turn, with its disk ready
    down: frozenset[str] | None = None  # of `others`, as just read; see take_down
    down_at: float = 0.0  # when, in seconds since 1970

    def extend(self, seconds: float) -> None:
        """Move the deadlines: an order, and a member that counts, have their own."""
        self.deadline += seconds
        if self.first_until is not None:
            self.first_until += seconds

    def begin_turn(self, turn: Turn) -> None:
        """Take the time that was meant for the wait off the deadlines: the turn has come."""
        if self.place is not None:
            self.extend(min(0.0, time.time() - self.place.until))
            self.place, self.ahead = None, turn.ahead
            self.down, self.down_at = turn.down, time.time()

    def take_down(self) -> frozenset[str] | None:
        """Return who of the others was down when that was read for this turn; None if it is old.

        Whoever asks a gate again reads again: only the first question follows upon that reading.
        """
        down, self.down = self.down, None
        return down if time.time() - self.down_at <= DOWN_FOR else None

    def is_over(self) -> bool:
        """Whether the time of all tries is over."""
        return time.time() >= self.deadline


class GateClosed(Exception):
    """A gate is closed, and why; the task records that the member waits."""


class GateOpened(Exception):
    """A gate is open that was closed; the task asks everything else again."""


class StopHeld(Exception):
    """The member may not be stopped now, and why."""


class TooLate(TransientError):
    """The time of a try is over; `cause`: of what a fresh disk may cure."""

    def __init__(self, message: str, cause: Cause | None) -> None:
        super().__init__(message)
        self.cause = cause
