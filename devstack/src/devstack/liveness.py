"""Ends a component of Airflow that lives but no longer beats; supervisord then starts it anew.

    python -m devstack.liveness STATE

A triggerer can lock up for good with its process alive, and every waiting bake with it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from devstack import processes
from devstack.layout import Layout, Record

EVERY = 10.0
STALE_AFTER = 60.0  # seconds without a heartbeat; Airflow itself gives up on one after 30
LOOKS = 2  # in a row: a machine that slept makes every heartbeat old at once
SILENCES = 6  # times in a row that the API server may leave the question unanswered
API = "api-server"

# component as supervised -> its name in the answer of /monitor/health
BEATS = {
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag-processor": "dag_processor",
}


@dataclass(frozen=True)
class Beat:
    """What is known of one component: seconds since its heartbeat and since its start."""

    heartbeat_age: float | None
    process_age: float


def is_stale(beat: Beat) -> bool:
    """Old enough to have beaten, and has not."""
    if beat.process_age < STALE_AFTER:
        return False
    return beat.heartbeat_age is not None and beat.heartbeat_age > STALE_AFTER


def heartbeat_age(health: Mapping[str, Any], component: str, now: datetime) -> float | None:
    """Seconds since the component's latest heartbeat; None when it never had one."""
    name = BEATS[component]
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


class Watch:
    """Counts, for each component, how often in a row it was seen stale."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.seen = dict.fromkeys([API, *BEATS], 0)

    def look(self, health: Mapping[str, Any] | None, now: datetime) -> list[str]:
        """The components to end now; without an answer, only the one that owes it is judged."""
        if health is None:
            return [API] if self.due(API, self.age(API, now) > STALE_AFTER, SILENCES) else []
        self.seen[API] = 0
        return [name for name in BEATS if self.due(name, self.stale(name, health, now), LOOKS)]

    def stale(self, component: str, health: Mapping[str, Any], now: datetime) -> bool:
        return is_stale(Beat(heartbeat_age(health, component, now), self.age(component, now)))

    def age(self, component: str, now: datetime) -> float:
        """Seconds since the component's process was started; 0 when none runs."""
        process = process_of(self.layout, component)
        return 0.0 if process is None else now.timestamp() - process.create_time()

    def due(self, component: str, bad: bool, limit: int) -> bool:
        self.seen[component] = self.seen[component] + 1 if bad else 0
        if self.seen[component] < limit:
            return False
        self.seen[component] = 0
        return True

    def end(self, component: str) -> None:
        process = process_of(self.layout, component)
        if process is not None:
            tree = [process, *process.children(recursive=True)]
            processes.end(tree, grace=10)


def main(state: Path) -> None:
    layout = Layout(state)
    record = Record.read(layout)
    if record is None:
        raise SystemExit(f"{layout.record} is missing or unreadable")
    watch = Watch(layout)
    clock = threading.Event()
    with httpx.Client(base_url=record.airflow_url, timeout=10, trust_env=False) as client:
        while not clock.wait(EVERY):
            for component in watch.look(ask(client), datetime.now(UTC)):
                print(f"{component} has shown no life for a minute: ended", flush=True)
                watch.end(component)


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
