"""The builders' slots: never more holders than allowed, and a slot back when its run has ended."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import AsyncMock, Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bakehouse.core.errors import PermanentError
from bakehouse.lease import builder_slots as builders
from bakehouse.lease import semaphore as slots
from bakehouse.lease.lease import Lease, Owner
from bakehouse.lease.store import builder_slots
from bakehouse.lease.triggers import SlotTrigger
from bakehouse.triggers import supervisor_comms as comms
from bakehouse.triggers import wakeup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
HOUR = timedelta(hours=1)


def run(number: int) -> Owner:
    return Owner(dag_id=f"bake__r{number}", run_id="scheduled__1")


def at(folder: Path, limit: int) -> dict[int, Lease]:
    return builder_slots(f"file://{folder}", "p", limit)


def alive(_: Owner) -> str | None:
    return "running"


def take(
    folder: Path, owner: Owner, limit: int = 2, state: Callable[[Owner], str | None] = alive
) -> slots.SlotGrant:
    return slots.acquire_slot(at(folder, limit), limit, owner, NOW, HOUR, state)


def test_the_first_two_get_one_each_and_the_third_is_told_whose_they_are(tmp_path: Path) -> None:
    first, second = take(tmp_path, run(1)), take(tmp_path, run(2))
    assert {first.slot, second.slot} == {1, 2}
    third = take(tmp_path, run(3))
    assert third.slot is None
    assert "all 2 builder slots are taken, by bake__r1 scheduled__1, bake__r2" in third.why


def test_who_has_one_gets_no_second(tmp_path: Path) -> None:
    assert take(tmp_path, run(1)).slot == take(tmp_path, run(1)).slot
    assert take(tmp_path, run(2)).slot is not None


def test_what_is_released_is_free(tmp_path: Path) -> None:
    taken = take(tmp_path, run(1), limit=1)
    assert take(tmp_path, run(2), limit=1).slot is None
    assert slots.release_slots(at(tmp_path, 0), run(1), NOW) == [taken.slot]
    assert take(tmp_path, run(2), limit=1).slot == taken.slot


@pytest.mark.parametrize("state", ["success", "failed"])
def test_the_slot_of_a_run_that_has_ended_is_taken_over(tmp_path: Path, state: str) -> None:
    take(tmp_path, run(1), limit=1)
    assert take(tmp_path, run(2), limit=1, state=lambda _: state).slot == 1


def test_a_limit_that_was_lowered_counts_those_above_it(tmp_path: Path) -> None:
    for number in range(4):
        assert take(tmp_path, run(number), limit=4).slot
    assert take(tmp_path, run(9), limit=2).slot is None
    slots.release_slots(at(tmp_path, 0), run(0), NOW)
    slots.release_slots(at(tmp_path, 0), run(1), NOW)
    assert take(tmp_path, run(9), limit=2).slot is None, "two are held still"
    slots.release_slots(at(tmp_path, 0), run(2), NOW)
    slots.release_slots(at(tmp_path, 0), run(3), NOW)
    assert take(tmp_path, run(9), limit=2).slot in {1, 2}


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=25))
def test_never_more_holders_than_allowed(
    tmp_path_factory: pytest.TempPathFactory, limit: int, turns: list[tuple[int, bool]]
) -> None:
    folder, holders = tmp_path_factory.mktemp("slots"), set[int]()
    for number, asks in turns:
        if asks:
            got = take(folder, run(number), limit).slot is not None
            assert got == (number in holders or len(holders) < limit)
            holders |= {number} if got else set()
        else:
            slots.release_slots(at(folder, 0), run(number), NOW)
            holders.discard(number)


@pytest.mark.parametrize("told", ["0", "many", "-1", ""])
def test_a_limit_that_is_none(monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_BUILDERS", told)
    with pytest.raises(PermanentError, match="bakehouse_builders"):
        builders.limit()


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SlotTrigger]:
    monkeypatch.setattr(comms, "dag_run_state", AsyncMock(return_value="running"))
    monkeypatch.setattr("bakehouse.lease.triggers.POLL_LEASE", 0.05)
    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_BUILDERS", "2")

    def trigger(owner: Owner, seconds: float = 250) -> SlotTrigger:
        return SlotTrigger(
            ledger=f"file://{tmp_path}",
            project="p",
            owner=owner.model_dump(),
            held_for=3600,
            deadline=datetime.now(UTC).timestamp() + seconds,
        )

    return trigger


async def test_of_many_that_wait_as_many_as_allowed_have_one_at_a_time(
    tmp_path: Path, waiting: Callable[..., SlotTrigger]
) -> None:
    holding: set[int] = set()
    most = 0

    async def wait_and_work(number: int) -> None:
        nonlocal most
        event = await anext(waiting(run(number)).run())
        holding.add(event.payload["event"]["slot"])
        most = max(most, len(holding))
        await asyncio.sleep(0.02)
        holding.discard(event.payload["event"]["slot"])
        slots.release_slots(at(tmp_path, 0), run(number), datetime.now(UTC))

    await asyncio.gather(*(wait_and_work(number) for number in range(9)))
    assert most == 2


async def test_a_triggerer_that_died_after_taking_finds_the_slot_its_own(
    waiting: Callable[..., SlotTrigger],
) -> None:
    first = await anext(waiting(run(1)).run())
    again = await anext(waiting(run(1)).run())
    assert again.payload["event"]["slot"] == first.payload["event"]["slot"]


async def test_the_wait_ends_by_itself_and_says_for_whom(
    tmp_path: Path, waiting: Callable[..., SlotTrigger]
) -> None:
    take(tmp_path, run(1))
    take(tmp_path, run(2))
    event = await anext(waiting(run(3), seconds=0.3).run())
    assert event.payload["event"]["slot"] is None
    assert "bake__r1 scheduled__1" in event.payload["event"]["why"]


async def test_who_waits_looks_at_once_when_a_teardown_has_ended(
    tmp_path: Path, waiting: Callable[..., SlotTrigger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself it would look after an hour. All that wait share one read."""
    monkeypatch.setattr("bakehouse.lease.triggers.POLL_LEASE", 3600.0)
    for number in (1, 2):
        assert take(tmp_path, run(number)).slot
    view = Mock(side_effect=slots.view)
    monkeypatch.setattr(slots, "view", view)
    wait = [asyncio.ensure_future(anext(waiting(run(n), 9e9).run())) for n in range(3, 9)]
    for _ in range(3):
        await asyncio.sleep(0)
    slots.release_slots(at(tmp_path, 0), run(1), datetime.now(UTC))
    wakeup.wake(*wakeup.SLOTS)
    done, others = await asyncio.wait(wait, return_when=asyncio.FIRST_COMPLETED)
    assert [one.result().payload["event"]["slot"] for one in done] == [1]
    for one in others:
        one.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    view.assert_called_once()
