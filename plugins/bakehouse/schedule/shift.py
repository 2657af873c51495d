"""Jitter by minute: a cron expression that comes later by some minutes. Pure.

For Airflow's own cron timetable, which knows no offset. The day stays the one that was declared: a
shift that would pass midnight ends at minute 59 of the hour.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

_LAST_MINUTE = 59
_LAST_HOUR = 23


def shifted(expression: str, offset: timedelta) -> str:
    """Return the expression, later by the whole minutes of the offset.

    An expression with several minutes (`*/15 * * * *`) is returned as it is.
    """
    minute, hour, *days = expression.split()
    minutes = int(offset.total_seconds()) // 60
    if not minute.isdigit() or not minutes:
        return expression
    hours, late = divmod(int(minute) + minutes, 60)
    if hours and hour == "*":
        hours = 0  # every hour: it comes in the next one as well
    if hours and hour.isdigit() and int(hour) + hours <= _LAST_HOUR:
        hour, hours = str(int(hour) + hours), 0
    return " ".join([str(_LAST_MINUTE if hours else late), hour, *days])
