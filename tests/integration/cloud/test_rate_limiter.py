from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from bakehouse.cloud.poller import Poller
from bakehouse.cloud.rate_limiter import Priority, RateLimiter


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def budget_of(per_minute: int) -> RateLimiter:
    await asyncio.sleep(0)
    return RateLimiter.of("p", per_minute)


def test_a_few_reads_go_at_once_then_each_waits_its_turn() -> None:
    rate_limiter = RateLimiter(per_minute=60, burst=3, clock=Clock())
    assert [rate_limiter.reserve() for _ in range(6)] == [0, 0, 0, 0, 1, 2]


def test_time_that_passes_gives_turns_back() -> None:
    clock = Clock()
    rate_limiter = RateLimiter(per_minute=60, burst=1, clock=clock)
    assert [rate_limiter.reserve() for _ in range(3)] == [0, 0, 1]
    clock.now += 10
    assert rate_limiter.reserve() == 0


@given(st.integers(1, 600), st.integers(1, 400))
def test_no_minute_has_more_reads_than_the_budget_and_its_burst(
    per_minute: int, readers: int
) -> None:
    rate_limiter = RateLimiter(per_minute=per_minute, burst=20, clock=Clock())
    moments = [rate_limiter.reserve() for _ in range(readers)]
    assert sum(moment < 60 for moment in moments) <= per_minute + 21
    assert moments == sorted(moments)


async def test_a_member_that_is_down_goes_before_results_and_these_before_every_log() -> None:
    rate_limiter = RateLimiter(per_minute=6000, burst=0, clock=asyncio.get_running_loop().time)
    order: list[str] = []

    async def read(name: str, priority: Priority) -> None:
        await rate_limiter.acquire(priority)
        order.append(name)

    reads = [asyncio.create_task(read(f"log {n}", Priority.LOG)) for n in range(50)]
    reads += [asyncio.create_task(read(f"result {n}", Priority.RESULT)) for n in range(50)]
    await asyncio.sleep(0)
    await read("step", Priority.STEP)
    await asyncio.gather(*reads)
    assert order.index("step") <= 1, "at most the one whose moment had come"
    first, *others = (name for name in order if name != "step")
    assert first in {"log 0", "result 0"}
    expected = [*(f"result {n}" for n in range(50)), *(f"log {n}" for n in range(50))]
    assert others == [name for name in expected if name != first]


async def test_who_gives_up_waiting_costs_no_moment() -> None:
    clock = asyncio.get_running_loop().time
    rate_limiter, began = RateLimiter(per_minute=60, burst=0, clock=clock), clock()
    gone = [asyncio.create_task(rate_limiter.acquire()) for _ in range(100)]
    await asyncio.sleep(0)
    for task in gone:
        task.cancel()
    await asyncio.wait_for(rate_limiter.acquire(), timeout=90)
    assert clock() - began < 90, "a hundred turns would be a hundred seconds"


async def test_list_calls_count_against_the_budget_of_their_project() -> None:
    rate_limiter = RateLimiter.of("a project", 120)
    poller = Poller.of(("spending",), list, 60, rate_limiter.reserve)
    before = rate_limiter._next
    await poller.next()
    assert rate_limiter._next >= before + rate_limiter.spacing
    assert RateLimiter.of("a project", 5) is rate_limiter
    assert RateLimiter.of("another", 120) is not rate_limiter


@given(st.integers(8, 600), st.lists(st.floats(0, 3), max_size=300))
def test_no_minute_whatever_has_more_reads_than_the_budget(
    per_minute: int, pauses: list[float]
) -> None:
    clock = Clock()

    rate_limiter = asyncio.run(budget_of(per_minute))
    rate_limiter._clock, rate_limiter._next = clock, 0.0
    moments = []
    for pause in pauses:
        clock.now += pause
        moments.append(clock.now + rate_limiter.reserve())
    for moment in moments:
        assert sum(moment <= other < moment + 60 for other in moments) <= per_minute
