"""How long a run waited for Airflow: what no task of it covers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.runs.airflow_wait import Span, told, waited

START = datetime(2026, 11, 27, 3, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def spans(*pairs: tuple[float, float | None]) -> list[Span]:
    return [Span(at(start), None if end is None else at(end)) for start, end in pairs]


@pytest.mark.parametrize(
    ("tasks", "minutes"),
    [
        ([], 0),  # nobody knows
        ([(0, 40)], 0),
        ([(5, 40)], 5),  # before the first
        ([(0, 10), (15, 40)], 5),  # between two
        ([(15, 40), (0, 10)], 5),  # in any order
        ([(0, 30)], 10),  # behind the last
        ([(0, 20), (5, 10), (25, 40)], 5),  # side by side
        ([(-60, 10), (20, 90)], 10),  # of an earlier start, and beyond the end
        ([(0, None)], 0),  # still under way
        ([(-60, -50)], 40),
    ],
)
def test_what_no_task_covers_was_waited_for(
    tasks: list[tuple[float, float | None]], minutes: float
) -> None:
    assert waited(START, at(40), spans(*tasks)) == timedelta(minutes=minutes)


@given(
    st.lists(
        st.tuples(st.integers(-50, 90), st.integers(0, 60)).map(lambda t: (t[0], t[0] + t[1])),
        min_size=1,
        max_size=8,
    )
)
def test_it_is_what_a_count_of_the_minutes_says(tasks: list[tuple[int, int]]) -> None:
    free = [m for m in range(40) if not any(start <= m < end for start, end in tasks)]
    assert waited(START, at(40), spans(*tasks)) == timedelta(minutes=len(free))


def test_a_bake_on_an_airflow_that_keeps_up_is_told_nothing() -> None:
    tasks = spans(*[(n * 0.5 + 0.05, n * 0.5 + 0.5) for n in range(10)])  # 3 s before each
    assert told(START, at(5), tasks) is None
    assert told(START, at(40), spans((9, 40))) is None, "less than a quarter"
    assert told(START, at(4), spans((1.9, 4))) is None, "less than two minutes"


def test_a_run_that_waited_for_airflow_is_told_how_long() -> None:
    sentence = told(START, at(40), spans((12, 40)))
    assert sentence is not None
    assert sentence.startswith("for 12m of 40m no task of this run was under way:")
