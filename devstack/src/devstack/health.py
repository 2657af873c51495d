"""Whether the parts of a stack answer, and the wait until they do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from devstack.layout import Layout, Record
from devstack.supervise import GCE
from devstack.teardown import supervisor_of
from devstack.topology import API, EXECUTION

LOOK_EVERY = 0.5
STARTS = 3  # of one program, while the stack is starting: it will not come up
_BEATS = {"scheduler": "scheduler", "triggerer": "triggerer", "dag-processor": "dag_processor"}


@dataclass(frozen=True)
class Check:
    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Health:
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def missing(self) -> list[str]:
        return [check.name for check in self.checks if not check.ok]


class Unhealthy(RuntimeError):
    """Something of the stack does not come up; the message holds its last words."""


def look(layout: Layout, record: Record) -> Health:
    with httpx.Client(timeout=5, trust_env=False) as client:
        more = (_answers(client, name, url) for name, url in _others(record).items())
        return Health((_gce(client, record), *_airflow(client, record), *more))


def _others(record: Record) -> dict[str, str]:
    """What answers besides. Airflow makes the routes of the Execution API when the first request
    comes, and answers nobody meanwhile: 2 s, or 30 on a busy machine, which is more patience than
    a first task has.
    """
    same_process = {EXECUTION: f"{record.airflow_url}/execution/health"}
    return {**same_process, **record.topology.answers}


def _gce(client: httpx.Client, record: Record) -> Check:
    url = f"{record.gce_url}/compute/v1/projects/{record.gce_project}"
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return Check(GCE, False, f"no answer: {error}")
    return Check(GCE, answer.status_code == 200, f"{record.gce_url} ({record.machines} machines)")


def _airflow(client: httpx.Client, record: Record) -> list[Check]:
    try:
        answer = client.get(f"{record.airflow_url}/api/v2/monitor/health")
        parts = answer.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        return [Check(name, False, f"no answer: {error}") for name in (API, *_BEATS)]
    checks = [Check(API, True, record.airflow_url)]
    for name, key in _BEATS.items():
        beat = parts.get(key, {})
        when = beat.get(f"latest_{key}_heartbeat") or "never"
        checks.append(Check(name, beat.get("status") == "healthy", f"heartbeat {when}"))
    return checks


def _answers(client: httpx.Client, name: str, url: str) -> Check:
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return Check(name, False, f"no answer: {error}")
    return Check(name, answer.status_code == 200, url)


def wait_until_healthy(
    layout: Layout, record: Record, deadline: float, progress: Callable[[str], None]
) -> None:
    """Raises Unhealthy after `deadline` seconds, or as soon as a program keeps ending."""
    began = time.monotonic()
    clock = threading.Event()
    up: set[str] = set()
    while True:
        health = look(layout, record)
        for check in health.checks:
            if check.ok and check.name not in up:
                up.add(check.name)
                progress(f"{check.name} answers after {time.monotonic() - began:.0f} s")
        if health.ok:
            return
        _give_up_early(layout, record)
        if time.monotonic() - began > deadline:
            raise Unhealthy(
                f"not healthy after {deadline:.0f} s: "
                + "; ".join(f"{name}: {last_words(layout, name)}" for name in health.missing)
            )
        clock.wait(LOOK_EVERY)


def _give_up_early(layout: Layout, record: Record) -> None:
    for name in (GCE, *record.topology.components):
        if starts(layout, name) >= STARTS:
            raise Unhealthy(f"{name} keeps ending: {last_words(layout, name)}")
    if layout.supervisor_pid.exists() and supervisor_of(layout) is None:
        raise Unhealthy(f"supervisord has ended: {last_words(layout, 'supervisord')}")


def starts(layout: Layout, name: str) -> int:
    """How often the program was started since the stack was."""
    try:
        return len((layout.run / f"{name}.starts").read_text(encoding="ascii").splitlines())
    except OSError:
        return 0


def last_words(layout: Layout, name: str, lines: int = 5) -> str:
    """The end of the program's log, on one line, and where the rest is."""
    log: Path = layout.logs / f"{name}.log"
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return f"has written nothing to {log}"
    said = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
    return f"{' | '.join(said)[-600:]} (see {log})"
