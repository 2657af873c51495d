"""The server's clock: scaled and advanced time."""

from __future__ import annotations

import asyncio

import pytest

from localgce.core.clock import ManualClock, ScaledClock


async def test_a_scaled_clock_passes_faster_and_sleeps_shorter() -> None:
    clock = ScaledClock(1000)
    before = clock.now()
    await asyncio.wait_for(clock.sleep(60), 50)
    assert clock.now() - before >= 59.9  # the event loop rounds its timers


def test_a_clock_needs_a_positive_rate() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        ScaledClock(0)


async def test_a_manual_clock_wakes_sleepers_in_order() -> None:
    clock, woken = ManualClock(100), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(clock.now())

    sleepers = [asyncio.create_task(sleep(seconds)) for seconds in (20, 10)]
    await asyncio.sleep(0)
    await clock.advance(30)
    assert woken == [110, 120]
    assert clock.now() == 130
    await asyncio.gather(*sleepers)
