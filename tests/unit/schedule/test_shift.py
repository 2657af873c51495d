"""Jitter by minute, for Airflow's own cron timetable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.schedule.cron import CronTimes, parse_cron
from bakehouse.schedule.shift import shifted


@pytest.mark.parametrize(
    ("expression", "minutes", "later"),
    [
        ("0 3 * * *", 7, "7 3 * * *"),
        ("50 3 * * 1-5", 14, "4 4 * * 1-5"),
        ("50 * * * *", 14, "4 * * * *"),
        ("50 23 * * 1", 14, "59 23 * * 1"),  # not on Tuesday
        ("50 1,13 * * *", 14, "59 1,13 * * *"),
        ("*/15 * * * *", 7, "*/15 * * * *"),
        ("0 3 * * *", 0, "0 3 * * *"),
    ],
)
def test_the_minute_moves_and_the_day_stays(expression: str, minutes: int, later: str) -> None:
    assert shifted(expression, timedelta(minutes=minutes, seconds=59)) == later


@given(
    minute=st.integers(0, 59),
    hour=st.sampled_from(["*", "0", "3", "23", "1,13", "*/6", "20-23"]),
    days=st.sampled_from(["* * *", "1 * *", "* * 1-5", "28 2 *"]),
    jitter=st.integers(0, 14),
)
def test_each_run_comes_at_most_that_much_later_and_on_its_day(
    minute: int, hour: str, days: str, jitter: int
) -> None:
    declared = f"{minute} {hour} {days}"
    later = CronTimes(parse_cron(shifted(declared, timedelta(minutes=jitter))), UTC)
    first = CronTimes(declared, UTC).after(datetime(2026, 3, 1, 12, 30, tzinfo=UTC))
    run = later.after(first - timedelta(seconds=1))
    assert timedelta(0) <= run - first <= timedelta(minutes=jitter)
    if hour != "*":
        assert run.date() == first.date()
