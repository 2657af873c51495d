"""Cron expressions: which are accepted, and their times in a time zone. Pure.

Each time of the expression comes once, also where the clock changes:
- a time that the clock skips comes at the moment of the change;
- a time that the clock repeats comes the first time;
- a day that a zone skips (Samoa had no 30 December 2011) has no times.
An expression of every hour (`30 * * * *`) follows the elapsed hours instead, as in cron itself: it
comes in both of two equal hours, and in none that is skipped.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Literal

from croniter import CroniterBadDateError, CroniterError, croniter  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

EXPECTED = "five cron fields, such as 0 3 * * *"
YEARS = 9  # 29 February may be eight years away
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
_STEP = timedelta(hours=6)  # no zone changes its clock twice within this time
_ANY_DAY = datetime(2026, 1, 1)
_MONTH = timedelta(days=31)
_MOST_TIMES = 200  # times of one month, which show the pattern of a day

# croniter accepts more: seconds and years, R and H for random times, ? for *, and @daily
_VALUE = r"(?:[0-9]{1,2}|[A-Za-z]{3})"
_RANGE = rf"(?:\*|{_VALUE}(?:-{_VALUE})?)(?:/[0-9]{{1,2}})?"
_ITEM = rf"(?:{_RANGE}|[0-9]{{1,2}}[Ww]|[Ll]|[Ll][0-7]|{_VALUE}#[1-5])"
_FIELD = re.compile(rf"{_ITEM}(?:,{_ITEM})*", re.ASCII)


class BadCron(ValueError):
    """Not an expression that is accepted; the message is the problem, without its value."""


@lru_cache(maxsize=2_048)  # of many recipes, most have the same one or one of a few
def parse_cron(text: str) -> str:
    """Return the expression with single spaces. Raises BadCron."""
    fields = re.split(r"[ \t\n]+", text.strip(" \t\n"))
    if len(fields) != 5:
        named = "a name" if text.strip().startswith("@") else str(len(fields))
        raise BadCron(f"is not a cron expression of five fields: it has {named}")
    for field in fields:
        if not _FIELD.fullmatch(field):
            raise BadCron(
                f"is not a cron expression of five fields: {field!r} is not one"
                f"{'; write * instead' if field == '?' else ''}"
            )
    if "W" in fields[2].upper() and fields[4] != "*":
        raise BadCron(  # croniter does not find all of their times
            f"has the nearest weekday {fields[2]} beside a day of the week: write * for one of them"
        )
    expression = " ".join(fields)
    try:
        times = croniter(expression, _ANY_DAY, max_years_between_matches=YEARS)
    except CroniterError:
        problem = "is not a cron expression of five fields: a value is out of its range"
        raise BadCron(problem) from None
    try:
        times.get_next(datetime)
    except CroniterBadDateError:
        raise BadCron("never comes: no month has such a day") from None
    return expression


def shortest_period(expression: str) -> timedelta:
    """Return the shortest time between two runs of an expression, on the wall clock.

    Looked at are the times of a month. An expression that comes less often has a period of days.
    """
    times = croniter(expression, _ANY_DAY, max_years_between_matches=YEARS)
    last, shortest = times.get_next(datetime), _MONTH
    for _ in range(_MOST_TIMES):
        following = times.get_next(datetime)
        shortest = min(shortest, following - last)
        if following > _ANY_DAY + _MONTH:
            break
        last = following
    return shortest


class CronTimes:
    """The times of an expression in a time zone, as moments in UTC."""

    def __init__(self, expression: str, zone: tzinfo) -> None:
        """Take an expression that croniter can read, and a time zone of Python's."""
        self.expression = expression
        self.zone = zone

    def after(self, moment: datetime) -> datetime:
        """Return the first time after the moment."""
        moment = moment.astimezone(UTC).replace(microsecond=0)
        if self._is_hourly:
            return self._hour_after(moment)
        for wall in self._walls(self._wall(moment), "next"):
            found = self.moment_of(wall)
            if found is not None and found > moment:
                return found
        raise AssertionError("croniter has raised an error")

    def before(self, moment: datetime) -> datetime:
        """Return the last time before the moment."""
        moment = _next_second(moment)
        if self._is_hourly:
            return self._hour_before(moment)
        # while an hour is repeated, times up to its end have been already
        offset = moment.astimezone(self.zone).replace(fold=0).utcoffset() or timedelta()
        for wall in self._walls(_naive(moment + offset), "prev"):
            found = self.moment_of(wall)
            if found is not None and found < moment:
                return found
        raise AssertionError("croniter has raised an error")

    @cached_property
    def _is_hourly(self) -> bool:
        return croniter(self.expression).expanded[1] == ["*"]  # type: ignore[no-any-return]

    def _walls(self, start: datetime, way: Literal["next", "prev"]) -> Iterator[datetime]:
        """Yield the times of the expression on the wall clock, without the start itself."""
        times = croniter(self.expression, start, max_years_between_matches=YEARS)
        step = times.get_next if way == "next" else times.get_prev
        while True:
            yield step(datetime)

    def _wall(self, moment: datetime) -> datetime:
        return _naive(moment.astimezone(self.zone))

    def _offset(self, moment: datetime) -> timedelta:
        return moment.astimezone(self.zone).utcoffset() or timedelta()

    def moment_of(self, wall: datetime) -> datetime | None:
        """Return the moment of a time on the wall clock; None on a day that does not exist.

        A time that the clock skips comes at the moment of the change, a repeated one the first
        time.
        """
        first = wall.replace(tzinfo=self.zone).astimezone(UTC)
        if self._wall(first) == wall:
            return first
        # skipped: fold 1 has the offset of after the change, which is a moment before it
        before = wall.replace(tzinfo=self.zone, fold=1).astimezone(UTC)
        changed = self._change(before, first)
        midnight = wall.replace(hour=0, minute=0, second=0)
        last = self._wall(changed - _SECOND)
        return None if last < midnight and self._wall(changed) >= midnight + _DAY else changed

    def _hour_after(self, moment: datetime) -> datetime:
        start, since, offset = moment, moment, self._offset(moment)
        while True:
            wall = next(self._walls(_naive(start + offset), "next"))
            found = (wall - offset).replace(tzinfo=UTC)
            changed = self._first_change(since, found)
            if changed is None:
                return found
            start, since, offset = changed - _SECOND, changed, self._offset(changed)

    def _hour_before(self, moment: datetime) -> datetime:
        start = moment
        while True:
            offset = self._offset(start - _SECOND)
            wall = next(self._walls(_naive(start + offset), "prev"))
            found = (wall - offset).replace(tzinfo=UTC)
            changed = self._last_change(found, start - _SECOND)
            if changed is None:
                return found
            start = changed

    def _first_change(self, after: datetime, until: datetime) -> datetime | None:
        """Return the first moment after `after`, and not after `until`, with another offset."""
        while after < until:
            step = min(after + _STEP, until)
            if self._offset(step) != self._offset(after):
                return self._change(after, step)
            after = step
        return None

    def _last_change(self, after: datetime, until: datetime) -> datetime | None:
        """Return the last moment after `after`, and not after `until`, with another offset."""
        while after < until:
            step = max(until - _STEP, after)
            if self._offset(step) != self._offset(until):
                return self._change(step, until)
            until = step
        return None

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Return the first moment with another offset than `before`; `after` has another one."""
        offset, low, high = self._offset(before), 0, (after - before) // _SECOND
        while high - low > 1:
            middle = (low + high) // 2
            if self._offset(before + middle * _SECOND) == offset:
                low = middle
            else:
                high = middle
        return before + high * _SECOND


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None, fold=0)


def _next_second(moment: datetime) -> datetime:
    whole = moment.astimezone(UTC).replace(microsecond=0)
    return whole + _SECOND if moment.microsecond else whole
