"""Windows: the days and hours, in a time zone, in which a rollout may touch members. Pure.

A window opens and closes on the wall clock of its zone, each time once: where the clock changes, a
time that it skips comes at the moment of the change, and a repeated one the first time, as in
`bakehouse.schedule.cron`. A window that lies within skipped hours does not open on that day.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from bakehouse.core.models import Frozen
from bakehouse.schedule.cron import CronTimes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = get_args(Day)
HOURS = r"^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"
ALL_DAY = "00:00-24:00"
_HOURS = re.compile(HOURS, re.ASCII)
_DAY_MINUTES = 24 * 60
_AHEAD = 15  # days: the longest time to an opening is a week, two where a zone skips the day


def parse_days(value: object) -> object:
    """Return the days of `mon-fri`, `[mon, wed]` or `[sat-sun]`, in the order of the week.

    Raises PydanticCustomError.
    """
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not items:
        raise PydanticCustomError("days", "is neither mon-fri nor a list such as [mon, wed]")
    found: set[str] = set()
    for item in items:
        first, dash, last = str(item).strip().lower().partition("-")
        ends = (first.strip(), last.strip() if dash else first.strip())
        if not set(ends) <= set(DAYS):
            # not an f-string: pydantic fills the braces of its template
            raise PydanticCustomError(
                "day",
                "has {day}, which is no day: write mon, tue, wed, thu, fri, sat, sun, or mon-fri",
                {"day": repr(item)},
            )
        start, end = (DAYS.index(day) for day in ends)
        found |= {DAYS[(start + step) % 7] for step in range((end - start) % 7 + 1)}
    return tuple(day for day in DAYS if day in found)


def parse_hours(value: object) -> str:
    """Return `HH:MM-HH:MM`. Raises PydanticCustomError."""
    text = re.sub(r"\s*[-\u2013]\s*", "-", value.strip()) if isinstance(value, str) else ""
    if re.fullmatch(r"[0-9]:.*", text):
        text = f"0{text}"
    text = re.sub(r"-([0-9]:)", r"-0\1", text)
    if not _HOURS.fullmatch(text):
        raise PydanticCustomError(
            "hours", "is not a time of day such as 09:00-16:00 or 22:00-04:00"
        )
    begin, end = text.split("-")
    if begin == end:
        raise PydanticCustomError("hours", "ends when it begins: for whole days write 00:00-24:00")
    return text


def parse_zone(value: object) -> object:
    """Return the name of a time zone. Raises PydanticCustomError."""
    try:
        ZoneInfo(str(value))
    except (KeyError, ValueError, OSError) as missing:
        raise PydanticCustomError("timezone", "is not a time zone") from missing
    return value


class Window(Frozen):
    """Hours of some days; one that passes midnight belongs to the day on which it opens."""

    days: Annotated[
        tuple[Day, ...],
        BeforeValidator(parse_days),
        WithJsonSchema(
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        ),
    ] = Field(default=DAYS, description="such as mon-thu, or [mon, wed]; each day by default")
    hours: Annotated[
        str, BeforeValidator(parse_hours), WithJsonSchema({"type": "string", "pattern": HOURS})
    ] = Field(default=ALL_DAY, description="such as 09:00-16:00, or 22:00-04:00")
    timezone: Annotated[str, BeforeValidator(parse_zone)] = Field(
        default="UTC", description="such as Europe/Berlin"
    )

    def __str__(self) -> str:
        """Return the window as a log shows it."""
        days = "every day" if self.days == DAYS else ", ".join(self.days)
        return f"{days} {self.hours} {self.timezone}"

    def is_open(self, moment: datetime) -> bool:
        """Whether the moment lies in it: the opening does, the closing does not."""
        today = moment.astimezone(self._zone).date()
        return any(
            begin <= moment < end for begin, end in self._times(today - timedelta(days=2), days=5)
        )

    def opens(self, moment: datetime) -> datetime:
        """Return the moment itself if it is open then, else when it opens next."""
        if self.is_open(moment):
            return moment
        today = moment.astimezone(self._zone).date()
        return min(begin for begin, _ in self._times(today, days=_AHEAD) if begin > moment)

    @property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def _times(self, first: date, *, days: int) -> Iterator[tuple[datetime, datetime]]:
        """Yield from when until when it is open, of those days."""
        clock = CronTimes("* * * * *", self._zone)
        begin, end = (_minutes(time) for time in self.hours.split("-"))
        length = timedelta(minutes=(end - begin) % _DAY_MINUTES or _DAY_MINUTES)
        for number in range(days):
            day = first + timedelta(days=number)
            if DAYS[day.weekday()] not in self.days:
                continue
            wall = datetime(day.year, day.month, day.day) + timedelta(minutes=begin)
            opens, closes = clock.moment_of(wall), _closing(clock, wall + length)
            if opens is not None and opens < closes:
                yield opens, closes


def opening(windows: Iterable[Window], moment: datetime) -> datetime:
    """Return when a window opens: the moment itself, if one is open then or there are none."""
    return min((window.opens(moment) for window in windows), default=moment)


def _closing(clock: CronTimes, wall: datetime) -> datetime:
    """Return the moment of a closing; on a day that does not exist, of the next day's begin."""
    while (found := clock.moment_of(wall)) is None:
        wall = wall.replace(hour=0, minute=0) + timedelta(days=1)
    return found


def _minutes(time: str) -> int:
    hours, minutes = time.split(":")
    return int(hours) * 60 + int(minutes)
