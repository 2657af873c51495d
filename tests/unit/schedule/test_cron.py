"""The times of a cron: each night of each zone once, also where clocks change."""

from __future__ import annotations

import contextlib
import string
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bakehouse.schedule.cron import BadCron, CronTimes, parse_cron

SECOND = timedelta(seconds=1)
QUARTER = timedelta(minutes=15)
DAY = timedelta(days=1)
ZONES = sorted(available_timezones())
# the first time of a day, the skipped and repeated ones of most zones, and the last
CLOCKS = ((0, 0), (0, 30), (1, 30), (2, 0), (2, 15), (2, 30), (3, 0), (23, 45))


def clock_of(zone: ZoneInfo, moment: datetime) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


def offset(zone: ZoneInfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


@cache
def changes(zone: str, year: int) -> tuple[tuple[datetime, timedelta, timedelta], ...]:
    """The moments of a year at which a zone's offset changes, with the offsets around them."""
    tz, found = ZoneInfo(zone), []
    for number in range(366):
        day = datetime(year, 1, 1, tzinfo=UTC) + number * DAY
        if offset(tz, day) != offset(tz, day + DAY):
            moments = [day + step * QUARTER for step in range(97)]
            for moment, following in pairwise(moments):
                before, after = offset(tz, moment), offset(tz, following)
                if before != after:
                    found.append((following, before, after))
    return tuple(found)


def first_moment(zone: ZoneInfo, wall: datetime) -> datetime | None:
    """The first moment at which a zone's clock shows a time or a later one: by looking at each."""
    midnight = datetime(wall.year, wall.month, wall.day)
    start = wall.replace(tzinfo=UTC) - timedelta(hours=40)
    quarters = [start + step * QUARTER for step in range(80 * 4)]
    if not any(midnight <= clock_of(zone, moment) < midnight + DAY for moment in quarters):
        return None  # the zone has no such day
    found = next(moment for moment in quarters if clock_of(zone, moment) >= wall)
    # the clock may have jumped within the quarter before: Newfoundland's did so at 0:01
    seconds = (found - QUARTER + number * SECOND for number in range(1, 901))
    return next(moment for moment in seconds if clock_of(zone, moment) >= wall)


def nights(zone: str, first: date, days: int, clock: tuple[int, int]) -> list[datetime]:
    """Every night of a range of dates, without those that a zone does not have."""
    moments = (
        first_moment(ZoneInfo(zone), datetime(day.year, day.month, day.day, *clock))
        for day in (first + number * DAY for number in range(days))
    )
    return sorted({moment for moment in moments if moment})


def walk(times: CronTimes, start: datetime, end: datetime) -> list[datetime]:
    found, moment = [], start
    while (moment := times.after(moment)) < end:
        found.append(moment)
    return found


def check(zone: str, first: date, days: int, clock: tuple[int, int]) -> None:
    times = CronTimes(f"{clock[1]} {clock[0]} * * *", ZoneInfo(zone))
    expected = nights(zone, first, days, clock)
    start, end = expected[0] - timedelta(minutes=1), expected[-1] + timedelta(minutes=1)
    assert walk(times, start, end) == expected, zone
    for earlier, later in pairwise(expected):
        assert times.before(later) == earlier, zone
        assert times.before(later + timedelta(microseconds=1)) == later, zone
        assert times.after(later - timedelta(microseconds=1)) == later, zone


@pytest.mark.parametrize("clock", CLOCKS, ids=str)
def test_every_night_around_every_change_of_this_year_comes_once(clock: tuple[int, int]) -> None:
    seen = set()
    for zone in ZONES:
        around = changes(zone, 2026)
        if around not in seen:
            seen.add(around)
            for moment, _, _ in around:
                check(zone, moment.date() - 3 * DAY, 7, clock)
    assert len(seen) > 30


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    year=st.integers(1972, 2037),
    clock=st.tuples(st.integers(0, 23), st.sampled_from((0, 15, 30, 45))),
)
@example(zone="Australia/Lord_Howe", year=2026, clock=(2, 15))  # half an hour
@example(zone="Pacific/Apia", year=2011, clock=(3, 0))  # no 30 December
@example(zone="Africa/Casablanca", year=2026, clock=(2, 30))  # Ramadan
@example(zone="Asia/Beirut", year=2026, clock=(0, 0))  # the change at midnight
@example(zone="Africa/Cairo", year=2026, clock=(0, 0))
@example(zone="America/Asuncion", year=2023, clock=(0, 0))
@example(zone="America/Scoresbysund", year=2024, clock=(0, 0))
@example(zone="Antarctica/Troll", year=2026, clock=(2, 0))  # two hours
@example(zone="Asia/Gaza", year=2023, clock=(0, 15))
@example(zone="Pacific/Kwajalein", year=1993, clock=(3, 0))
@example(zone="Europe/Moscow", year=2014, clock=(1, 30))
@example(zone="Asia/Pyongyang", year=2018, clock=(23, 45))
@example(zone="America/St_Johns", year=1987, clock=(0, 15))  # at 0:01
@example(zone="America/St_Johns", year=1988, clock=(0, 30))  # at 0:01, by two hours
@example(zone="America/Goose_Bay", year=2010, clock=(0, 0))
@example(zone="Africa/Monrovia", year=1972, clock=(0, 30))  # by 44 minutes and 30 seconds
def test_every_night_of_a_year_of_a_zone_comes_once(
    zone: str, year: int, clock: tuple[int, int]
) -> None:
    expression = CronTimes(f"{clock[1]} {clock[0]} * * *", ZoneInfo(zone))
    end = datetime(year, 12, 31, 12, tzinfo=UTC)
    found = walk(expression, datetime(year, 1, 1, 12, tzinfo=UTC), end)
    assert all(timedelta(hours=20) < b - a < timedelta(hours=49) for a, b in pairwise(found))
    days = [moment.astimezone(ZoneInfo(zone)).date() for moment in found]
    assert len(set(days)) == len(days) or clock[0] >= 23
    skipped = (zone, year) in {("Pacific/Apia", 2011), ("Pacific/Kwajalein", 1993)}
    assert len(found) in {363, 364, 365} if not skipped else len(found) >= 362
    for moment, _, _ in changes(zone, year):
        if moment.date() > date(1972, 2, 1):
            check(zone, moment.date() - 2 * DAY, 5, clock)


@settings(max_examples=60, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    year=st.integers(2005, 2037),
    minute=st.sampled_from(("0", "15", "30", "*/15", "7,22")),
)
@example(zone="Australia/Lord_Howe", year=2026, minute="15")
@example(zone="Europe/Berlin", year=2026, minute="30")
def test_an_expression_of_every_hour_comes_whenever_the_clock_shows_it(
    zone: str, year: int, minute: str
) -> None:
    tz, times = ZoneInfo(zone), CronTimes(f"{minute} * * * *", ZoneInfo(zone))
    around = changes(zone, year) or ((datetime(year, 6, 1, tzinfo=UTC), DAY, DAY),)
    wanted = {"*/15": {0, 15, 30, 45}, "7,22": {7, 22}}.get(minute) or {int(minute)}
    for moment, _, _ in around:
        start = moment - timedelta(hours=3, seconds=1)
        every = [start + timedelta(seconds=1, minutes=number) for number in range(6 * 60)]
        expected = [m for m in every if m.astimezone(tz).minute in wanted]
        assert walk(times, start, start + timedelta(hours=6, seconds=1)) == expected
        for earlier, later in pairwise(expected):
            assert times.before(later) == earlier


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("0 3 * * *", "0 3 * * *"),
        (" 0\t3  * * *\n", "0 3 * * *"),
        ("*/20 1-5 * jan-mar MON-FRI", "*/20 1-5 * jan-mar MON-FRI"),
        ("0 22-2 * * *", "0 22-2 * * *"),  # over midnight
        ("0 3 * * 7", "0 3 * * 7"),
        ("0 3 L * *", "0 3 L * *"),  # the month's last day
        ("0 3 15W * *", "0 3 15W * *"),  # the working day next to the 15th
        ("0 3 * * mon#1", "0 3 * * mon#1"),
        ("0 3 * * L5", "0 3 * * L5"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 31 2 1", "0 0 31 2 1"),  # or: Mondays in February
        ("* * * * *", "* * * * *"),
    ],
)
def test_what_comes_is_accepted(text: str, kept: str) -> None:
    assert parse_cron(text) == kept


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("0 0 31 2 *", "never comes"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 30,31 feb *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("0 3 * * * *", "it has 6"),
        ("*/5 * * * * *", "it has 6"),
        ("0 3 * * * 0 2020", "it has 7"),
        ("0 3 * *", "it has 4"),
        ("", "it has 1"),
        ("@daily", "it has a name"),
        ("@reboot", "it has a name"),
        ("@once", "it has a name"),
        ("R R * * *", "'R' is not one"),
        ("R(1-5) 3 * * *", "is not one"),
        ("H 3 * * *", "'H' is not one"),
        ("r 3 * * *", "'r' is not one"),
        ("0 3 ? * *", "write * instead"),
        ("60 3 * * *", "out of its range"),
        ("0 24 * * *", "out of its range"),
        ("0 3 0 * *", "out of its range"),
        ("0 3 * 13 *", "out of its range"),
        ("0 3 * * 8", "out of its range"),
        ("0 3 * * xyz", "out of its range"),
        ("*/0 * * * *", "out of its range"),
        ("0 3 * * 1#6", "'1#6' is not one"),
        ("\u0660 \u0663 * * *", "is not one"),  # digits, but not of ASCII
        ("0 \u0969 * * *", "is not one"),
        ("0\u00a03 * * *", "it has 4"),
        ("0 3 * * *\u200b", "is not one"),
        ("0 3 L-2 * *", "is not one"),
        ("* * 15W 9 2", "the nearest weekday 15W beside a day of the week"),
        ("0 -1 * * *", "is not one"),
        ("0 3,, * * *", "is not one"),
        ("3am every day of week", "is not one"),
    ],
)
def test_what_never_comes_or_is_not_five_fields_is_refused(text: str, problem: str) -> None:
    with pytest.raises(BadCron, match=problem.replace("*", r"\*")):
        parse_cron(text)


FIELD = st.one_of(
    st.sampled_from(["*", "*/2", "1", "5-3", "L", "15W", "mon", "1#2", "29", "30", "31", "2", "R"]),
    st.text(string.digits + "*/,-LW#?HRmon", min_size=1, max_size=5),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(FIELD, min_size=5, max_size=5).map(" ".join))
def test_each_expression_is_refused_with_a_problem_or_comes(text: str) -> None:
    try:
        times = CronTimes(parse_cron(text), ZoneInfo("Europe/Berlin"))
    except BadCron:
        return
    now = datetime(2026, 11, 24, tzinfo=UTC)
    following = times.after(now)
    assert times.after(times.before(following)) == following > now


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_an_expression_or_a_problem(text: str) -> None:
    with contextlib.suppress(BadCron):
        assert parse_cron(text)
