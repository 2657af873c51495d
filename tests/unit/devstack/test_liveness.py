"""When a component of Airflow counts as locked up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from devstack import liveness
from devstack.layout import Layout
from devstack.liveness import (
    API,
    MOST_UNANSWERED,
    STALE_CHECKS,
    Age,
    LivenessMonitor,
    heartbeat_age,
    is_stale,
)

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("heartbeat", "process", "stale"),
    [
        (5.0, 600.0, False),
        (61.0, 600.0, True),
        (600.0, 10.0, False),  # the heartbeat is of the process before it
        (None, 600.0, False),
    ],
)
def test_only_an_old_process_with_an_old_heartbeat_is_stale(
    heartbeat: float | None, process: float, stale: bool
) -> None:
    assert is_stale(Age(heartbeat, process)) is stale


def answer(age: float) -> dict[str, dict[str, str]]:
    when = (NOW - timedelta(seconds=age)).isoformat()
    fresh = NOW.isoformat()
    return {
        "scheduler": {"latest_scheduler_heartbeat": fresh},
        "triggerer": {"latest_triggerer_heartbeat": when},
        "dag_processor": {"latest_dag_processor_heartbeat": fresh},
    }


def test_the_age_of_a_heartbeat_is_read_with_and_without_a_zone() -> None:
    bare = {"triggerer": {"latest_triggerer_heartbeat": "2026-11-23T11:59:00"}}
    assert heartbeat_age(answer(30), "triggerer", NOW) == 30
    assert heartbeat_age(bare, "triggerer", NOW) == 60
    assert heartbeat_age({}, "triggerer", NOW) is None


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LivenessMonitor:
    monkeypatch.setattr(liveness.LivenessMonitor, "age", lambda *_: 600.0)
    return LivenessMonitor(Layout(tmp_path))


def test_one_stale_look_is_forgiven_and_the_second_is_not(monitor: LivenessMonitor) -> None:
    assert monitor.due_to_end(answer(100), NOW) == []
    assert monitor.due_to_end(answer(1), NOW) == []
    said = [monitor.due_to_end(answer(100), NOW) for _ in range(STALE_CHECKS)]
    assert said == [[]] * (STALE_CHECKS - 1) + [["triggerer"]]
    assert monitor.due_to_end(answer(100), NOW) == []  # it is counted anew for the next process


def test_an_api_server_that_never_answers_is_ended(monitor: LivenessMonitor) -> None:
    said = [monitor.due_to_end(None, NOW) for _ in range(MOST_UNANSWERED)]
    assert said == [[]] * (MOST_UNANSWERED - 1) + [[API]]
