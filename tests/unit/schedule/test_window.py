"""Windows: open at the right moments of each zone, also where clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from bakehouse.schedule.window import DAYS, Window, opening

ZONES = sorted(available_timezones())
QUARTER = timedelta(minutes=15)
WORK = Window.model_validate({"days": "mon-thu", "hours": "09:00-16:00"})


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(**fields: object) -> Window:
    return Window.model_validate(fields)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-26T08:59:59", False),  # a Thursday
        ("2026-11-26T09:00:00", True),
        ("2026-11-26T15:59:59", True),
        ("2026-11-26T16:00:00", False),
        ("2026-11-27T10:00:00", False),
        ("2026-11-29T10:00:00", False),
        ("2026-11-30T10:00:00", True),
    ],
)
def test_a_window_is_open_from_its_first_moment_until_before_its_last(
    moment: str, is_open: bool
) -> None:
    assert WORK.is_open(utc(moment)) is is_open


def test_a_closed_window_says_when_it_opens_and_an_open_one_that_it_is_open() -> None:
    assert WORK.opens(utc("2026-11-26T16:00:00")) == utc("2026-11-30T09:00:00")
    assert WORK.opens(utc("2026-11-30T09:00:01")) == utc("2026-11-30T09:00:01")


def test_a_window_that_passes_midnight_belongs_to_the_day_on_which_it_opens() -> None:
    night = window(days=["fri"], hours="22:00-04:00")
    assert [
        night.is_open(utc(moment))
        for moment in (
            "2026-11-27T03:00",
            "2026-11-27T23:00",
            "2026-11-28T03:59",
            "2026-11-28T04:00",
        )
    ] == [False, True, True, False]


def test_hours_are_those_of_the_time_zone_in_summer_and_in_winter() -> None:
    berlin = window(hours="09:00-16:00", timezone="Europe/Berlin")
    assert berlin.opens(utc("2026-07-01T00:00")) == utc("2026-07-01T07:00")
    assert berlin.opens(utc("2026-12-01T00:00")) == utc("2026-12-01T08:00")


def test_a_time_that_the_clock_skips_opens_and_closes_at_the_change() -> None:
    # 29 March 2026: 02:00 becomes 03:00 in Berlin, which is 01:00 UTC
    opens = window(hours="02:30-05:00", timezone="Europe/Berlin")
    assert opens.opens(utc("2026-03-28T12:00")) == utc("2026-03-29T01:00")
    closes = window(hours="01:00-02:30", timezone="Europe/Berlin")
    assert closes.is_open(utc("2026-03-29T00:59"))
    assert not closes.is_open(utc("2026-03-29T01:00"))


def test_a_window_within_skipped_hours_does_not_open_on_that_day() -> None:
    skipped = window(hours="02:10-02:50", timezone="Europe/Berlin")
    assert skipped.opens(utc("2026-03-28T12:00")) == utc("2026-03-30T00:10")


def test_a_repeated_hour_is_open_twice_as_long_and_opens_once() -> None:
    # 25 October 2026: 03:00 becomes 02:00 in Berlin, at 01:00 UTC
    doubled = window(hours="02:00-03:00", timezone="Europe/Berlin")
    assert [
        doubled.is_open(utc(f"2026-10-25T{clock}"))
        for clock in ("00:00", "00:59", "01:59", "02:00")
    ] == [True, True, True, False]
    before = window(hours="01:00-02:30", timezone="Europe/Berlin")
    assert not before.is_open(utc("2026-10-25T01:15")), "it has closed the first time"


def test_a_day_that_a_zone_skips_has_no_window() -> None:
    # Samoa had no Friday 30 December 2011
    fridays = window(days="fri", hours="09:00-10:00", timezone="Pacific/Apia")
    assert fridays.opens(utc("2011-12-29T00:00")).astimezone(ZoneInfo("Pacific/Apia")).date() == (
        datetime(2012, 1, 6).date()
    )


def test_of_several_windows_the_first_to_open_counts_and_none_are_always_open() -> None:
    now = utc("2026-11-27T12:00")
    weekend = window(days="sat-sun", hours="06:00-08:00")
    assert opening([WORK, weekend], now) == utc("2026-11-28T06:00")
    assert opening([WORK, window()], now) == now
    assert opening([], now) == now


MINUTES = st.integers(0, 24 * 4 - 1).map(lambda q: f"{q // 4:02}:{q % 4 * 15:02}")
MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2037, 1, 1), timezones=st.just(UTC)
)


@given(
    st.lists(st.sampled_from(DAYS), min_size=1),
    MINUTES,
    MINUTES,
    st.sampled_from(ZONES),
    MOMENTS,
)
@example(["fri"], "00:00", "00:15", "Pacific/Apia", utc("2011-12-28T10:00"))
@example(["sun"], "02:00", "03:00", "Australia/Lord_Howe", utc("2026-10-03T10:00"))
@example(["sun"], "02:00", "02:15", "America/New_York", utc("2026-03-08T06:00"))
def test_it_opens_at_the_first_open_moment_and_not_before(
    days: list[str], begin: str, end: str, zone: str, moment: datetime
) -> None:
    if begin == end:
        end = "24:00"
    one = window(days=days, hours=f"{begin}-{end}", timezone=zone)
    opens = one.opens(moment)
    assert opens >= moment
    assert one.is_open(opens)
    if opens > moment:
        assert opens - moment < timedelta(days=14)
        assert not one.is_open(moment)
        assert not one.is_open(opens - timedelta(seconds=1))
        step, looked = max(QUARTER, (opens - moment) / 50), moment
        while looked < opens:
            assert not one.is_open(looked)
            looked += step


@given(
    st.lists(st.sampled_from(DAYS), min_size=1), MINUTES, MINUTES, st.sampled_from(ZONES), MOMENTS
)
def test_where_no_clock_changes_it_is_open_by_the_wall_clock(
    days: list[str], begin: str, end: str, zone: str, moment: datetime
) -> None:
    if begin >= end:
        begin, end = "00:00", "24:00"
    tz = ZoneInfo(zone)
    offsets = {(moment + timedelta(hours=h)).astimezone(tz).utcoffset() for h in range(-72, 73, 6)}
    if len(offsets) > 1:
        return
    wall = moment.astimezone(tz)
    expected = DAYS[wall.weekday()] in days and begin <= f"{wall:%H:%M}" < end
    assert window(days=days, hours=f"{begin}-{end}", timezone=zone).is_open(moment) is expected


@pytest.mark.parametrize(
    ("given_", "days"),
    [
        ("mon-wed", ("mon", "tue", "wed")),
        ("Fri-Mon", ("mon", "fri", "sat", "sun")),
        (["tue", "mon", "tue"], ("mon", "tue")),
        (["sat-sun", "wed"], ("wed", "sat", "sun")),
        ("mon, wed", ("mon", "wed")),
    ],
)
def test_days_are_ranges_and_lists_in_the_order_of_the_week(
    given_: object, days: tuple[str, ...]
) -> None:
    assert window(days=given_).days == days


@pytest.mark.parametrize("hours", ["9:00-16:00", "09:00 - 16:00", "09:00\u201316:00"])
def test_hours_are_read_as_people_write_them(hours: str) -> None:
    assert window(hours=hours).hours == "09:00-16:00"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"days": "monday"}, "has 'monday', which is no day"),
        ({"days": []}, "is neither mon-fri nor a list"),
        ({"days": 3}, "is neither mon-fri nor a list"),
        ({"hours": 540}, "is not a time of day such as 09:00-16:00"),
        ({"hours": "09:00"}, "is not a time of day"),
        ({"hours": "09:00-25:00"}, "is not a time of day"),
        ({"hours": "24:00-04:00"}, "is not a time of day"),
        ({"hours": "09:00-09:00"}, "for whole days write 00:00-24:00"),
        ({"timezone": "Europe/Berlinn"}, "is not a time zone"),
        ({"timezone": ""}, "is not a time zone"),
        ({"timezone": 3}, "is not a time zone"),
    ],
)
def test_what_is_no_window_is_refused_with_what_would_be_one(
    fields: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem):
        window(**fields)


def test_the_form_of_the_file_validates_again() -> None:
    assert Window.model_validate(WORK.model_dump(mode="json")) == WORK
