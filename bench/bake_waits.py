"""What waiting bakes cost: a localgce with instant machines, and one event loop with the triggers.

Each wait is a ShutdownTrigger as `wait_for_shutdown` makes it, run as a triggerer runs it, all in
one event loop; the calls are counted by localgce.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from figures import CannotMeasure
from waiting import ZONE, nonce_of

from devstack.gce_api import Compute
from devstack.serving import GCE_PROJECT, serving

if TYPE_CHECKING:
    from collections.abc import Generator

HERE = Path(__file__).parent
GUEST = HERE / "waiting_guest.py"
TICK = 5.0  # seconds: the poll_interval of a connection that says nothing
WARM_UP = 40.0
WINDOW = 60.0
FINISHING = 100  # of a thousand, one a second
FINISH_FROM = 45.0  # seconds after the window's end


@dataclass
class Waits:
    """So many bakes at once."""

    reads: Counter[str]  # of one minute, by method
    mb: float
    mb_before: float
    notice: list[float] = field(default_factory=list)  # seconds from power off to the event

    @property
    def per_minute(self) -> float:
        """All reads of one minute together."""
        return self.reads.total() * 60 / WINDOW


@cache
def waits(number: int) -> Waits:
    """Measured over one minute once all wait; of a thousand, a hundred end afterwards."""
    finishing = FINISHING if number == 1000 else 0
    with TemporaryDirectory(prefix="bench-waits-") as folder, serving(Path(folder), GUEST) as url:
        compute = Compute(url, GCE_PROJECT)
        make(url, [f"bake-{n}" for n in range(finishing, number)], {})
        now = time.time()
        until = now + 15 + WARM_UP + WINDOW + FINISH_FROM
        for n in range(finishing):
            make_one(compute, f"bake-{n}", {"bench-until": f"{until + n:.3f}"})
        with triggers(url, number, now + 3600) as process:
            time.sleep(WARM_UP)
            compute.forget()
            time.sleep(WINDOW)
            reads = Counter(str(r["method"]) for r in compute.requests()["requests"])
            if finishing:
                time.sleep(max(0.0, until + finishing + 4 * TICK - time.time()))
            events, memory = ended(process)
        if number - len(events) != memory["waiting"] or len(events) != finishing:
            raise CannotMeasure(f"{len(events)} of {finishing} were noticed: {memory}")
        notice = [line["at"] - stopped(compute, line["name"]) for line in events]
        compute.close()
    return Waits(reads, memory["mb"], memory["mb_before"], notice)


def make(url: str, names: list[str], metadata: dict[str, str]) -> None:
    """Builders of these names, some at a time."""

    def some(share: list[str]) -> None:
        compute = Compute(url, GCE_PROJECT)
        for name in share:
            make_one(compute, name, metadata)
        compute.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(some, [names[n::4] for n in range(4)]))


def make_one(compute: Compute, name: str, metadata: dict[str, str]) -> None:
    """Create one VM, as the bake would."""
    items = {"bakehouse-nonce": nonce_of(name), "enable-guest-attributes": "TRUE", **metadata}
    base = "projects/debian-cloud/global/images/family/debian-12"
    body = {
        "name": name,
        "machineType": f"zones/{ZONE}/machineTypes/e2-small",
        "labels": {"bakehouse-run": "bench"},
        "disks": [{"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": base}}],
        "networkInterfaces": [{"network": "global/networks/default"}],
        "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
    }
    compute.call("POST", f"zones/{ZONE}/instances", json=body)


@contextmanager
def triggers(url: str, number: int, deadline: float) -> Generator[subprocess.Popen[str]]:
    """waiting.py, with a connection that says nothing but where."""
    extra = {"is_anonymous": True, "project": GCE_PROJECT, "api_endpoint": url}
    connection = {"conn_type": "google_cloud_platform", "extra": extra}
    plugins = str(HERE.parent / "plugins")
    environment = {**os.environ, "PYTHONPATH": plugins, "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    environment["AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT"] = json.dumps(connection)
    command = [sys.executable, str(HERE / "waiting.py"), "bake", str(number), str(deadline)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """The events and, last, its memory."""
    told, _ = process.communicate()
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    if not lines or "mb" not in lines[-1]:
        raise CannotMeasure(f"the waiting process ended with {process.returncode}")
    if not all(line["ok"] for line in lines[:-1]):
        raise CannotMeasure("a builder ended otherwise than ok")
    return lines[:-1], lines[-1]


def stopped(compute: Compute, name: str) -> float:
    """When it was off, epoch seconds."""
    found = compute.call("GET", f"zones/{ZONE}/instances/{name}")
    return datetime.fromisoformat(found["lastStopTimestamp"]).timestamp()
