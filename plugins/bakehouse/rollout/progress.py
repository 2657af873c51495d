"""Whether a rollout still gets on: a further member has passed within the deadline. Pure.

Each wait has a deadline of its own, and each task some tries. Together they may go on for a day in
which members are tried again and again and none of them passes: a gate that flaps, a crash loop, a
machine that says nothing. So members that have passed are counted, which never become fewer, and
not those that are healthy now.

Waits for people and hours do not count: the clock begins anew when a freeze or a closed window has
held a member, and it runs within a stage only, so neither for a soak nor for an approval.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bakehouse.core.time import format_utc, in_short

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from bakehouse.fleet.model import Fleet

WALK_AT_MOST = timedelta(minutes=30)
"""What one try of a replacement may take besides the time to get healthy."""


def progress_within(fleet: Fleet) -> timedelta:
    """Return the fleet's `progress_deadline`; by default what one member may take at most.

    That is the wait for its gate, its drain, two tries, its `resume` and its time as busy after
    each of them: no member that keeps its own deadlines ends a rollout by this one.
    """
    if fleet.progress_deadline is not None:
        return fleet.progress_deadline
    one_try = fleet.health_deadline + WALK_AT_MOST + fleet.resume.deadline + fleet.busy_limit
    return fleet.gate.deadline + fleet.drain.deadline + 2 * one_try


def no_progress(clock: Iterable[datetime], now: datetime, within: timedelta) -> str:
    """Return why the rollout is ended; empty if it goes on.

    Args:
        clock: when the stage began, when members of it have passed, and when holds of it have
            ended. Of a stage that an older version has begun nothing is known: it goes on.
        now: the moment.
        within: since the last of these.
    """
    since = max(clock, default=None)
    if since is None or now - since <= within:
        return ""
    limit = in_short(within.total_seconds())
    return f"no further member has passed since {format_utc(since)} (progress_deadline: {limit})"
