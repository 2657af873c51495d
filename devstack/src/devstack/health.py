"""Whether the parts of a stack answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

from devstack.programs import GCE
from devstack.teardown import supervisor_of
from devstack.topology import API, EXECUTION

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.record import Record

# program -> its name in the answer of Airflow's /monitor/health
HEARTBEATS = {
    "scheduler": "scheduler",
    "triggerer": "triggerer",
    "dag-processor": "dag_processor",
}


@dataclass(frozen=True)
class Check:
    """One component of the stack, and what its check found."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Health:
    """The checks of a whole stack."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def missing(self) -> list[str]:
        """The components whose check failed."""
        return [check.name for check in self.checks if not check.ok]


def stack_health(layout: Layout, record: Record | None) -> Health:
    """Of a stack that may not run at all."""
    if record is None or supervisor_of(layout) is None:
        return Health((Check("stack", False, "is not running"),))
    return check_health(record)


def check_health(record: Record) -> Health:
    """One request to each server."""
    with httpx.Client(timeout=5, trust_env=False) as client:
        more = (_server(client, name, url) for name, url in _other_servers(record).items())
        return Health((_gce(client, record), *_airflow(client, record), *more))


def _other_servers(record: Record) -> dict[str, str]:
    """Name -> URL that answers 200.

    Airflow creates the routes of the Execution API at the first request and serves nobody
    meanwhile: 2 s, or 30 on a busy machine, which is longer than a first task waits.
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
        return [Check(name, False, f"no answer: {error}") for name in (API, *HEARTBEATS)]
    checks = [Check(API, True, record.airflow_url)]
    for name, key in HEARTBEATS.items():
        component = parts.get(key, {})
        when = component.get(f"latest_{key}_heartbeat") or "never"
        checks.append(Check(name, component.get("status") == "healthy", f"heartbeat {when}"))
    return checks


def _server(client: httpx.Client, name: str, url: str) -> Check:
    try:
        answer = client.get(url)
    except httpx.HTTPError as error:
        return Check(name, False, f"no answer: {error}")
    return Check(name, answer.status_code == 200, url)
