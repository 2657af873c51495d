"""The watcher of a run that was cleared: it reports anew, and nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from airflow.triggers.base import TaskSuccessEvent

from bakehouse.sla.misses import Miss
from bakehouse.sla.triggers import SlaWatchTrigger

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
