"""Metrics leave by Airflow's own client and are received over UDP."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from tests.support.events import NOW, bake, image, members, run

from bakehouse.core.reasons import Reason
from bakehouse.history.bake_events import SlaMissDetail, SlaMissEvent
from bakehouse.history.metric_export import export
from bakehouse.history.metrics import drifting_members, missing_fix_days
from bakehouse.history.recording import record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bakehouse.history.events import LedgerEvent

NEW = image(2)


@pytest.fixture
def udp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A StatsD server on loopback, to which Airflow's client is connected by its settings."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}/ledger")
        settings = {"ON": "True", "HOST": "127.0.0.1", "PORT": str(server.getsockname()[1])}
        for name, value in settings.items():
            monkeypatch.setenv(f"AIRFLOW__METRICS__STATSD_{name}", value)
        _begin()
        yield server
    monkeypatch.undo()
    _begin()


def _begin() -> None:
    """As the task runner and the triggerer begin."""
    stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)


def received(server: socket.socket, count: int) -> list[str]:
    return [server.recv(2048).decode() for _ in range(count)]


def sla_miss() -> LedgerEvent:
    detail = SlaMissDetail(
        task_id="replace_instances.plan",
        sla_seconds=60,
        state="running",
        deadline=NOW,
        noticed=NOW,
    )
    return SlaMissEvent(**run(0), reason=Reason.SLA_MISSED, subject="plan", detail=detail)


def test_an_event_that_is_recorded_sends_its_metrics(udp: socket.socket) -> None:
    record(bake(NEW))
    record(sla_miss())
    assert received(udp, 2) == [
        "airflow.bakehouse.bake_seconds.web:90000.000000|ms",
        "airflow.bakehouse.sla_misses.roll_out__web.replace_instances__plan:1|c",
    ]


def test_gauges_of_a_night(udp: socket.socket) -> None:
    export([drifting_members("web", 2), missing_fix_days("web", "web-1", 9.5)])
    assert received(udp, 2) == [
        "airflow.bakehouse.drifting_members.web:2.0|g",
        "airflow.bakehouse.missing_fix_days.web.web-1:9.5|g",
    ]


def test_where_there_are_tags_the_name_has_none_of_them(
    udp: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
    _begin()
    export([missing_fix_days("web", "web-1", 9.5)])
    (line,) = received(udp, 1)
    assert line == "airflow.bakehouse.missing_fix_days,fleet=web,member=web-1:9.5|g"


def test_what_cannot_be_sent_fails_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setenv("AIRFLOW_VAR_BAKEHOUSE_LEDGER", f"file://{tmp_path}/ledger")
    monkeypatch.setattr(stats, "timing", broken)
    record(bake(NEW))
    record(members({}))
    assert "a metric was not sent: no route to host" in caplog.text
