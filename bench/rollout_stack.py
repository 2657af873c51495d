"""What a rollout of many members costs, seen from outside; the figures are rollout.py's.

A real Airflow on this computer (one process of each kind, SQLite), and instant machines that take
as long to boot as real ones, unless told otherwise.
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import psutil
from figures import CannotMeasure

from bakehouse.fleet.stages import at_most, parse_limit, sizes
from devstack.processes import PROGRAM, marked
from devstack.testbed import Testbed, testbed
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROJECT = Path(__file__).resolve().parent.parent
ZONE = "us-central1-a"
HERE = f"zones/{ZONE}"
STAGES: tuple[int | str, ...] = (1, "50%", "100%")
FLEET, RECIPE = "wide", "web"
DAG, GROUP = f"roll_out__{FLEET}", "replace_instances"
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
class Pace:
    """How fast the members are, and how many may be down."""

    boot_seconds: float = 55.0  # a member is down for about a minute, as one of Compute Engine is
    # members down at a time, whatever the size: so the reads may not grow with it; or a share
    max_unavailable: int | str = 10
    logs: str = ""  # a folder that keeps the logs of the stack; empty: they go with it

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Pace:
        """Of arguments `name=value`. Raises ValueError."""
        if unknown := sorted(told.keys() - {field.name for field in fields(cls)}):
            raise ValueError(f"{', '.join(unknown)}: no such setting")
        limit = told.get("max_unavailable", "10")
        return cls(
            boot_seconds=float(told.get("boot_seconds", "55")),
            max_unavailable=parse_limit(int(limit) if limit.isdigit() else limit),
            logs=told.get("logs", ""),
        )

    def at_once(self, members: int) -> int:
        """How many of so many members may be down."""
        return at_most(self.max_unavailable, members)


@dataclass(frozen=True)
class Rolled:
    """One rollout of all members."""

    members: int
    wall: float  # seconds from the trigger until the run has ended
    by_hand: float  # seconds of one member that is swapped by the bare calls
    ideal: float  # seconds of the critical path: rounds of members in each stage
    reads_per_minute: float  # of Compute Engine, while members were replaced
    calls: Counter[str]  # by method
    triggerer_mb: float  # resident memory of the triggerer, at most
    processor: dict[str, float]  # seconds of each program, while members were replaced


def rolled(members: int, pace: Pace) -> Rolled:
    """Measured once, on a stack of its own; raises CannotMeasure, each time."""
    found = _rolled(members, pace)
    if isinstance(found, CannotMeasure):
        raise found
    return found


def rounds(members: int, stages: Sequence[int | str], at_once: int) -> int:
    """How often so many members are down at a time, one round behind the other."""
    return sum(math.ceil(size / at_once) for size in sizes(stages, members))


@cache
def _rolled(members: int, pace: Pace) -> Rolled | CannotMeasure:
    try:
        with (
            TemporaryDirectory(prefix="bench-rollout-") as folder,
            redirect_stdout(sys.stderr),
            testbed(PROJECT, Path(folder), "instant") as bed,
        ):
            try:
                return _Bench(bed, members, pace).measured()
            finally:
                if pace.logs:
                    _keep_logs(bed, Path(pace.logs) / str(members))
    except (RuntimeError, DeadlineExceeded, subprocess.CalledProcessError) as error:
        return CannotMeasure(f"{members} members: {error}")


def _keep_logs(bed: Testbed, folder: Path) -> None:
    layout = bed.stack.layout
    for name, source in {"stack": layout.logs, "airflow": layout.airflow_home / "logs"}.items():
        shutil.copytree(source, folder / name, dirs_exist_ok=True)
    for file in layout.airflow_home.glob("*.db"):
        shutil.copy2(file, folder)


class _Bench:
    """One stack with so many members."""

    def __init__(self, bed: Testbed, members: int, pace: Pace) -> None:
        self.bed, self.compute, self.members, self.pace = bed, bed.compute, members, pace
        self.at_once = pace.at_once(members)
        self.triggerer_mb = 0.0
        self.processor: defaultdict[str, float] = defaultdict(float)

    def measured(self) -> Rolled:
        """Two images, the members on the older one, one member by hand, then the rollout."""
        text = FLEET_FILE.format(
            recipe=RECIPE, fleet=FLEET, zone=ZONE, stages=json.dumps(STAGES), at_once=self.at_once
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
        """Bake one, of which an instance takes `boot_seconds` to boot."""
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
            "instant-boot_seconds": str(self.pace.boot_seconds),
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
        turns = rounds(self.members, STAGES, self.at_once)
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
        calls = Counter(self.compute.requests()["counts"])
        reads = sum(n for method, n in calls.items() if method.rpartition(".")[2] in READS)
        found = Rolled(
            members=self.members,
            wall=wall,
            by_hand=by_hand,
            ideal=turns * by_hand,
            reads_per_minute=reads / (wall / 60),
            calls=calls,
            triggerer_mb=self.triggerer_mb,
            processor={name: round(seconds, 1) for name, seconds in self.processor.items()},
        )
        print(found)  # of a long bench, before its end
        return found

    def watch_memory(self, ended: threading.Event) -> None:
        """Remember the most that the triggerer has had, and what each program has computed.

        Of a worker that ends, what it has computed since the last look is lost, unless its parent
        has waited for it: then it is the parent's.
        """
        before: dict[tuple[int, float], float] = {}
        while not ended.wait(2):
            for process in marked(self.bed.stack.layout.state):
                with suppress(psutil.Error):  # it has ended meanwhile, as workers do
                    program = process.environ().get(PROGRAM) or "other"
                    key, used = (process.pid, process.create_time()), process.cpu_times()
                    whole = used.user + used.system + used.children_user + used.children_system
                    self.processor[program] += whole - before.get(key, whole)
                    before[key] = whole
                    if program == "triggerer":
                        self.triggerer_mb = max(
                            self.triggerer_mb, process.memory_info().rss / 1_000_000
                        )
