"""Sends metrics by Airflow's own client: StatsD, DogStatsD or OpenTelemetry, as [metrics] says.

Plain StatsD has no tags, so that the values of all fleets would be one series. There the tags'
values stand in the name, as in Airflow's own older names.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bakehouse.history.metrics import Metric

TAGGED = ("otel_on", "statsd_datadog_enabled", "statsd_influxdb_enabled")  # of [metrics]

log = logging.getLogger(__name__)


def export(metrics: Iterable[Metric]) -> None:
    """Send the metrics; what cannot be sent fails no task."""
    try:
        for metric in metrics:
            _send(metric, tagged=_is_tagged())
    except Exception as refused:
        log.warning("a metric was not sent: %s", refused)


def _send(metric: Metric, *, tagged: bool) -> None:
    from airflow.sdk.observability import stats

    values = (value.replace(".", "__") for value in metric.tags.values())
    name = metric.name if tagged else ".".join((metric.name, *values))
    name, tags = stats.normalize_name_for_stats(name, log_warning=False), dict(metric.tags)
    if metric.kind == "gauge":
        stats.gauge(name, metric.value, tags=tags)
    elif metric.kind == "timing":
        stats.timing(name, timedelta(seconds=metric.value), tags=tags)
    else:
        stats.incr(name, int(metric.value), tags=tags)


def _is_tagged() -> bool:
    from airflow.sdk import conf

    return any(conf.getboolean("metrics", name, fallback=False) for name in TAGGED)
