"""Metrics leave by OpenTelemetry, and a receiver of OTLP over HTTP gets them with their tags.

The sender is a process of its own, as a task is: OpenTelemetry has one provider in a process, and
what was measured leaves when the process ends.
"""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tests.support.deadlines import SOON
from tests.support.http_servers import SilentHandler, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SENDER = """
from airflow.sdk.observability import stats
from airflow.sdk.observability.metrics import stats_utils
from tests.support.events import bake, image
from bakehouse.history.metric_export import export
from bakehouse.history.metrics import drifting_members, missing_fix_days
from bakehouse.history.recording import record

stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=True)
record(bake(image(2)))
export([drifting_members("web", 2), missing_fix_days("web", "web-1", 9.5)])
"""


@dataclass
class Receiver:
    """Keeps what exporters send."""

    port: int = 0
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(SilentHandler):
        def do_POST(self) -> None:
            data = self.body()
            if self.headers.get("Content-Encoding") == "gzip":
                data = gzip.decompress(data)
            assert self.path == "/v1/metrics"
            receiver.requests.append(ExportMetricsServiceRequest.FromString(data))
            self.respond(Content_Type="application/x-protobuf")

    with running(Handler) as receiver.port:
        yield receiver


def points(receiver: Receiver) -> dict[str, tuple[float, dict[str, str]]]:
    """Name -> the last value, of a histogram its sum, and its attributes."""
    found: dict[str, tuple[float, dict[str, str]]] = {}
    for metric in (
        metric
        for request in receiver.requests
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ):
        kind = str(metric.WhichOneof("data"))
        for point in getattr(metric, kind).data_points:
            tags = {one.key: one.value.string_value for one in point.attributes}
            value = point.sum if "histogram" in kind else point.as_double or point.as_int
            found[metric.name] = (value, tags)
    return found


@pytest.mark.long
def test_metrics_are_received_with_their_tags(receiver: Receiver, tmp_path: Path) -> None:
    settings = {
        "AIRFLOW__METRICS__OTEL_ON": "True",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{receiver.port}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "AIRFLOW_VAR_BAKEHOUSE_LEDGER": f"file://{tmp_path}/ledger",
    }
    done = subprocess.run(
        [sys.executable, "-c", SENDER],
        env={**os.environ, **settings, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    received = points(receiver)
    assert received["airflow.bakehouse.bake_seconds"] == (90_000, {"recipe": "web"})
    assert received["airflow.bakehouse.drifting_members"] == (2, {"fleet": "web"})
    assert received["airflow.bakehouse.missing_fix_days"] == (
        9.5,
        {"fleet": "web", "member": "web-1"},
    )
