"""The watcher reports anew after a clear, and nothing twice; it ends when the run does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from airflow.triggers.base import TaskSuccessEvent

from bakehouse.cloud.triggers import OperationTrigger
from bakehouse.sla.misses import Miss
from bakehouse.sla.triggers import SlaWatchTrigger
from bakehouse.triggers import wakeup
from bakehouse.triggers.base import BakehouseTrigger

START = datetime.now(UTC) - timedelta(hours=1)


def miss(noticed: datetime) -> dict[str, Any]:
    found = Miss(task_id="test", sla_seconds=60, state="running", deadline=noticed, noticed=noticed)
    return {"test": found.model_dump(mode="json")}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("noticed", "reports"), [(START - timedelta(hours=9), 1), (START + timedelta(minutes=2), 0)]
)
async def test_a_miss_of_an_earlier_start_is_reported_again(
    monkeypatch: pytest.MonkeyPatch, noticed: datetime, reports: int
) -> None:
    """A clear leaves the XCom of the watcher; a killed triggerer too, in the same start."""
    comms = "bakehouse.sla.triggers.comms"
    monkeypatch.setattr(f"{comms}.get_xcom", AsyncMock(return_value=miss(noticed)))
    kept = AsyncMock()
    monkeypatch.setattr(f"{comms}.set_xcom", kept)
    monkeypatch.setattr(f"{comms}.task_states", AsyncMock(return_value={"test": "failed"}))
    reported = Mock()
    monkeypatch.setattr(SlaWatchTrigger, "_report", reported)
    monkeypatch.setattr(SlaWatchTrigger, "task_instance", Mock(dag_id="d", run_id="r"))
    trigger = SlaWatchTrigger(START.isoformat(), {"test": 60.0}, "web", [])
    events = [event async for event in trigger.run()]
    assert (reported.call_count, kept.await_count) == (reports, reports)
    (event,) = events
    assert isinstance(event, TaskSuccessEvent)
    shown: Any = event.xcoms
    assert list(shown["return_value"]) == ["test"]


@pytest.mark.asyncio
@pytest.mark.parametrize("dag_id", ["d", "another"])
async def test_a_trigger_of_the_same_run_that_fires_wakes_the_watcher(
    monkeypatch: pytest.MonkeyPatch, dag_id: str
) -> None:
    """Nothing else would before an hour: the states have not changed for long."""
    states = {"test": "deferred"}
    looks = asyncio.Semaphore(0)

    def look(*_: str) -> dict[str, str]:
        looks.release()
        return dict(states)

    comms = "bakehouse.sla.triggers.comms"
    monkeypatch.setattr(f"{comms}.get_xcom", AsyncMock(return_value=None))
    monkeypatch.setattr(f"{comms}.task_states", AsyncMock(side_effect=look))
    monkeypatch.setattr("bakehouse.sla.misses.SOON", 3600.0)
    monkeypatch.setattr(SlaWatchTrigger, "task_instance", Mock(dag_id="d", run_id="r"))
    monkeypatch.setattr(BakehouseTrigger, "task_instance", Mock(dag_id=dag_id, run_id="r"))
    other = OperationTrigger(conn_id="c", zone=None, name="o", doing="wait", deadline=0.0)
    watch = SlaWatchTrigger(datetime.now(UTC).isoformat(), {"test": 9e9}, "web", [], 3600.0)
    end = asyncio.ensure_future(anext(watch.run()))
    await looks.acquire()
    states["test"] = "success"
    other.fire(Miss.model_validate(miss(START)["test"]))
    if dag_id == "d":
        assert isinstance(await end, TaskSuccessEvent)
        assert not wakeup._waiting
        return
    for _ in range(3):
        await asyncio.sleep(0)
    assert looks.locked()  # it has not looked again
    end.cancel()
    await asyncio.gather(end, return_exceptions=True)
    assert not wakeup._waiting


@pytest.mark.parametrize("state", ["success", "failed", "running"])
async def test_the_end_of_a_teardown_wakes_those_that_wait_for_a_slot(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    states = iter([{"delete_builder": "scheduled"}, {"delete_builder": state}])
    looked = asyncio.Event()

    def look(*_: str) -> dict[str, str]:
        try:
            return next(states)
        except StopIteration:
            looked.set()
            return {"delete_builder": "success"}

    comms = "bakehouse.sla.triggers.comms"
    monkeypatch.setattr(f"{comms}.get_xcom", AsyncMock(return_value=None))
    monkeypatch.setattr(f"{comms}.task_states", AsyncMock(side_effect=look))
    monkeypatch.setattr("bakehouse.sla.triggers.seconds_to_next_check", lambda *_: 0.01)
    monkeypatch.setattr(SlaWatchTrigger, "task_instance", Mock(dag_id="d", run_id="r"))
    watch = SlaWatchTrigger(datetime.now(UTC).isoformat(), {"delete_builder": 9e9}, "web", [])
    with wakeup.waking_for(*wakeup.SLOTS) as waits:
        watching = asyncio.ensure_future(anext(watch.run()))
        assert await waits.wait(60.0)
        assert looked.is_set() == (state == "running"), "not before the teardown has ended"
        assert not await waits.wait(0.0), "once"
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
