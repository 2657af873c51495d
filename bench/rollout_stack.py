"""What a rollout of many members costs, seen from outside; the figures are rollout.py's.

A real Airflow on this computer (one process of each kind, SQLite), and instant machines that take
as long to boot as real ones.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil
from figures import CannotMeasure

from bakehouse.fleet.stages import sizes
from devstack.processes import PROGRAM, marked
from devstack.testbed import Testbed, testbed
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).resolve().parent.parent
ZONE = "us-central1-a"
HERE = f"zones/{ZONE}"
BOOT_SECONDS = 55  # a member is down for about a minute, as one of Compute Engine is
STAGES: tuple[int | str, ...] = (1, "50%", "100%")
FLEET, RECIPE = "wide", "web"
DAG, GROUP = f"roll_out__{FLEET}", "replace_instances"
AT_ONCE = 10  # members down at a time, whatever the size: so the reads may not grow with it
MEMBER_SECONDS_AT_MOST = 180.0  # for one member, with all that comes between
ONE_BAKE = 600.0
READS = ("get", "list", "aggregatedList", "getGuestAttributes", "getSerialPortOutput")
FLEET_FILE = """recipe: {recipe}
members: {{labels: {{fleet: {fleet}}}, zones: [{zone}]}}
stages: {stages}
max_unavailable: {at_once}
health_deadline: 30m
"""


@dataclass(frozen=True)
class Rolled:
    """One rollout of all members."""

    members: int
    wall: float  # seconds from the trigger until the run has ended
    by_hand: float  # seconds of one member that is swapped by the bare calls
    ideal: float  # seconds of the critical path: rounds of `AT_ONCE` members in each stage
    reads_per_minute: float  # of Compute Engine, while members were replaced
    calls: Counter[str]  # by method
    triggerer_mb: float  # resident memory of the triggerer, at most


def rolled(members: int) -> Rolled:
    """Measured once, on a stack of its own; raises CannotMeasure, each time."""
    found = _rolled(members)
    if isinstance(found, CannotMeasure):
        raise found
    return found


def rounds(members: int, stages: Sequence[int | str], at_once: int) -> int:
    """How often so many members are down at a time, one round behind the other."""
    return sum(math.ceil(size / at_once) for size in sizes(stages, members))


@cache
def _rolled(members: int) -> Rolled | CannotMeasure:
    try:
        with (
            TemporaryDirectory(prefix="bench-rollout-") as folder,
            redirect_stdout(sys.stderr),
            testbed(PROJECT, Path(folder), "instant") as bed,
        ):
            return _Bench(bed, members).measured()
    except (RuntimeError, DeadlineExceeded, subprocess.CalledProcessError) as error:
        return CannotMeasure(f"{members} members: {error}")


class _Bench:
    """One stack with so many members."""

    def __init__(self, bed: Testbed, members: int) -> None:
        self.bed, self.compute, self.members = bed, bed.compute, members
        self.triggerer_mb = 0.0

    def measured(self) -> Rolled:
        """Two images, the members on the older one, one member by hand, then the rollout."""
        text = FLEET_FILE.format(
            recipe=RECIPE, fleet=FLEET, zone=ZONE, stages=json.dumps(STAGES), at_once=AT_ONCE
        )
        self.bed.write(f"include/fleets/{FLEET}.yaml", text)
        self.bed.commit("A wide fleet")
        self.bed.parse_until("bake__web", lambda: DAG in self.bed.airflow.dags(), DAG)
        older, newer = self.image("older"), self.image("newer")
        names = [f"{FLEET}-{number:04}" for number in range(self.members)]
        for name in names:
            self.insert(name, older, {"fleet": FLEET})
        self.insert("by-hand", older, {})
        for name in (*names, "by-hand"):
            self.until_healthy(name, older, 1.0)
        by_hand = self.swap_by_hand("by-hand", newer)
        return self.roll_out(newer, by_hand)

    def image(self, page: str) -> str:
        """Bake one, of which an instance takes `BOOT_SECONDS` to boot."""
        run = self.bed.bake("bake__web", ONE_BAKE, vars={"page": page}, roll_out=False)
        if run.state != "success":
            raise CannotMeasure(self.bed.explain(run))
        return str(self.bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])

    def insert(self, name: str, image: str, labels: dict[str, str]) -> None:
        """Create a member."""
        items = {
            "enable-guest-attributes": "TRUE",
            "bakehouse-role": "member",
            "greeting": "hello",
            "instant-boot_seconds": str(BOOT_SECONDS),
        }
        body = {
            "name": name,
            "machineType": f"{HERE}/machineTypes/e2-small",
            "labels": labels,
            "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
            "networkInterfaces": [{"network": "global/networks/default"}],
            "disks": [
                {
                    "boot": True,
                    "autoDelete": True,
                    "initializeParams": {"sourceImage": f"global/images/{image}"},
                }
            ],
        }
        self.compute.call("POST", f"{HERE}/instances", json=body)

    def health(self, name: str) -> str:
        """The image that the member reports itself healthy on; empty if it does not."""
        path = f"{HERE}/instances/{name}/getGuestAttributes"
        try:
            found = self.compute.call("GET", path, params={"queryPath": "bakehouse/health"})
        except RuntimeError:  # it has said nothing yet
            return ""
        (entry,) = found["queryValue"]["items"]
        report = json.loads(entry["value"])
        return str(report["image"]) if report["state"] == "healthy" else ""

    def until_healthy(self, name: str, image: str, every: float) -> None:
        """Wait until the member reports itself healthy on the image."""
        what = f"{name} to be healthy"
        wait_until(lambda: self.health(name) == image, ONE_BAKE, what, every=every)

    def swap_by_hand(self, name: str, image: str) -> float:
        """Replace the boot disk by the bare calls; the seconds until it is healthy."""
        path, disk = f"{HERE}/instances/{name}", f"{name}-next"
        boot = self.compute.call("GET", path)["disks"][0]
        began = time.time()
        new = {"name": disk, "sourceImage": f"global/images/{image}"}
        self.do("POST", f"{HERE}/disks", json=new)
        self.do("POST", f"{path}/stop")
        self.do("POST", f"{path}/detachDisk", params={"deviceName": boot["deviceName"]})
        body = {"source": f"{HERE}/disks/{disk}", "boot": True, "autoDelete": True}
        self.do("POST", f"{path}/attachDisk", json=body)
        self.do("POST", f"{path}/start")
        self.until_healthy(name, image, 0.2)
        return time.time() - began

    def do(self, method: str, path: str, **arguments: Any) -> None:
        """Call, and wait for the end of the operation."""
        operation = self.compute.call(method, path, **arguments)
        at = f"{HERE}/operations/{operation['name']}"
        wait_until(
            lambda: self.compute.call("GET", at)["status"] == "DONE", ONE_BAKE, at, every=0.2
        )

    def roll_out(self, image: str, by_hand: float) -> Rolled:
        """Roll it out to all members."""
        turns = rounds(self.members, STAGES, AT_ONCE)
        self.compute.forget()
        ended = threading.Event()
        watch = threading.Thread(target=self.watch_memory, args=(ended,))
        watch.start()
        try:
            began = time.time()
            run_id = self.bed.airflow.trigger(DAG, {"image": image})
            run = self.bed.airflow.wait(DAG, run_id, 600 + turns * MEMBER_SECONDS_AT_MOST)
            wall = time.time() - began
        finally:
            ended.set()
            watch.join()
        if run.state != "success":
            raise CannotMeasure(self.bed.explain(run))
        for task in sorted(self.bed.airflow.tasks(DAG, run_id), key=lambda t: str(t.end)):
            if task.start and task.end:
                at = [round(moment.timestamp() - began, 1) for moment in (task.start, task.end)]
                print(task.task_id, task.map_index, *at)
        calls = Counter(str(r["method"]) for r in self.compute.requests()["requests"])
        reads = sum(n for method, n in calls.items() if method.rpartition(".")[2] in READS)
        found = Rolled(
            members=self.members,
            wall=wall,
            by_hand=by_hand,
            ideal=turns * by_hand,
            reads_per_minute=reads / (wall / 60),
            calls=calls,
            triggerer_mb=self.triggerer_mb,
        )
        print(found)  # of a long bench, before its end
        return found

    def watch_memory(self, ended: threading.Event) -> None:
        """Remember the most that the triggerer has had."""
        while not ended.wait(5):
            for process in marked(self.bed.stack.layout.state):
                with suppress(psutil.Error):  # it has ended meanwhile, as workers do
                    if process.environ().get(PROGRAM) == "triggerer":
                        self.triggerer_mb = max(
                            self.triggerer_mb, process.memory_info().rss / 1_000_000
                        )
