from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.cloud.budget import ReadBudget


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_few_reads_go_at_once_then_each_waits_its_turn() -> None:
    budget = ReadBudget(per_minute=60, burst=3, clock=Clock())
    assert [budget.reserve() for _ in range(6)] == [0, 0, 0, 0, 1, 2]


def test_time_that_passes_gives_turns_back() -> None:
    clock = Clock()
    budget = ReadBudget(per_minute=60, burst=1, clock=clock)
    assert [budget.reserve() for _ in range(3)] == [0, 0, 1]
    clock.now += 10
    assert budget.reserve() == 0


@given(st.integers(1, 600), st.integers(1, 400))
def test_no_minute_has_more_reads_than_the_budget_and_its_burst(
    per_minute: int, readers: int
) -> None:
    budget = ReadBudget(per_minute=per_minute, burst=20, clock=Clock())
    moments = [budget.reserve() for _ in range(readers)]
    assert sum(moment < 60 for moment in moments) <= per_minute + 21
    assert moments == sorted(moments)
