"""Ends a component of Airflow without a heartbeat; supervisord then starts it again.

    python -m devstack.liveness STATE

A triggerer can lock up while its process lives, and every waiting bake with it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from devstack import processes
from devstack.health import HEARTBEATS
from devstack.layout import Layout
from devstack.record import Record
from devstack.waiting import every

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERY = 10.0
STALE_AFTER = 60.0  # seconds without a heartbeat; Airflow itself gives up on one after 30
STALE_CHECKS = 2  # in a row: after a suspend every heartbeat is old at once
MOST_UNANSWERED = 18  # requests in a row that the API server may leave unanswered
API = "api-server"


@dataclass(frozen=True)
class Age:
    """What is known of one component: seconds since its heartbeat and since its start."""

    heartbeat_age: float | None
    process_age: float


def is_stale(age: Age) -> bool:
    """Whether it is old enough to have sent a heartbeat, and has not."""
    if age.process_age < STALE_AFTER:
        return False
    return age.heartbeat_age is not None and age.heartbeat_age > STALE_AFTER


def heartbeat_age(health: Mapping[str, Any], component: str, now: datetime) -> float | None:
    """Seconds since the component's latest heartbeat; None when it never had one."""
    name = HEARTBEATS[component]
    latest = health.get(name, {}).get(f"latest_{name}_heartbeat")
    if not latest:
        return None
    when = datetime.fromisoformat(latest)
    return (now - (when if when.tzinfo else when.replace(tzinfo=UTC))).total_seconds()


def process_of(layout: Layout, component: str) -> psutil.Process | None:
    """The component's process, if it runs and is ours."""
    try:
        pid = int((layout.run / f"{component}.pid").read_text(encoding="ascii"))
        process = psutil.Process(pid)
    except (OSError, ValueError, psutil.Error):
        return None
    return process if processes.belongs(process, processes.mark_of(layout.state)) else None


class LivenessMonitor:
    """Counts how often in a row each component was stale."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.stale_in_a_row = dict.fromkeys([API, *HEARTBEATS], 0)

    def due_to_end(self, health: Mapping[str, Any] | None, now: datetime) -> list[str]:
        """The components to end now; without an answer that can only be the API server."""
        if health is None:
            old = self.age(API, now) > STALE_AFTER
            return [API] if self.is_due(API, old, MOST_UNANSWERED) else []
        self.stale_in_a_row[API] = 0
        return [
            name
            for name in HEARTBEATS
            if self.is_due(name, self.is_stale(name, health, now), STALE_CHECKS)
        ]

    def is_stale(self, component: str, health: Mapping[str, Any], now: datetime) -> bool:
        """Whether the component lives and has not sent a heartbeat in time."""
        return is_stale(Age(heartbeat_age(health, component, now), self.age(component, now)))

    def age(self, component: str, now: datetime) -> float:
        """Seconds since the component's process was started; 0 when none runs."""
        process = process_of(self.layout, component)
        return 0.0 if process is None else now.timestamp() - process.create_time()

    def is_due(self, component: str, stale: bool, limit: int) -> bool:
        """Whether the component has been stale this many times in a row; counts the call."""
        self.stale_in_a_row[component] = self.stale_in_a_row[component] + 1 if stale else 0
        if self.stale_in_a_row[component] < limit:
            return False
        self.stale_in_a_row[component] = 0
        return True

    def end(self, component: str) -> None:
        """End the component's process and its children; supervisord starts it again."""
        process = process_of(self.layout, component)
        if process is not None:
            tree = [process, *process.children(recursive=True)]
            processes.end(tree, grace=10)


def main(state: Path) -> None:
    """End components without a heartbeat, as long as the stack runs."""
    layout = Layout(state)
    record = Record.read(layout)
    if record is None:
        raise SystemExit(f"{layout.record} is missing or unreadable")
    monitor = LivenessMonitor(layout)
    with httpx.Client(base_url=record.airflow_url, timeout=10, trust_env=False) as client:
        for _ in every(EVERY):
            for component in monitor.due_to_end(ask(client), datetime.now(UTC)):
                print(f"{component} had no heartbeat for a minute: ended", flush=True)
                monitor.end(component)


def ask(client: httpx.Client) -> Mapping[str, Any] | None:
    """The answer of /monitor/health; None when there was none."""
    try:
        health: dict[str, Any] = client.get("/api/v2/monitor/health").raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        print(f"no answer about the health: {error}", flush=True)
        return None
    return health


if __name__ == "__main__":
    main(Path(sys.argv[1]))
