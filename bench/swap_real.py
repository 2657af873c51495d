"""How long a member is down in a swap, and in a bare stop and start; on real machines."""

from __future__ import annotations

import json
import sys
import time
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from bake_real import ZONE, close, stack
from figures import CannotMeasure

from devstack.gce_api import ComputeError
from devstack.testbed import write_members
from devstack.waiting import DeadlineExceeded, wait_until

if TYPE_CHECKING:
    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

NAME = "web-1"
REPLACE = "replace_instances.replace_1"
INSTANCE = f"{ZONE}/instances/{NAME}"
DEADLINE = 1800.0
LOOK_EVERY = 0.1


@dataclass
class Downtimes:
    """Seconds from the request of the stop until the member says that it is healthy."""

    bare: list[float] = field(default_factory=list)
    swapped: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median of each swap over the bare stops and starts just before and behind it.

        What else this machine does changes over minutes: so a swap has two neighbours to be
        compared with, and one that something else has disturbed does not count.
        """
        around = (mean(pair) for pair in pairwise(self.bare))
        return median(swap / bare for swap, bare in zip(self.swapped, around, strict=True))


def downtimes() -> Downtimes:
    """In turn, of the same machine, a bare one first and last. Raises CannotMeasure."""
    try:
        with redirect_stdout(sys.stderr):
            return _Downtimes(stack()).measured()
    except (DeadlineExceeded, ComputeError) as error:
        raise CannotMeasure(str(error)) from error
    finally:
        close()


class _Downtimes:
    def __init__(self, bed: Testbed) -> None:
        self.bed, self.compute = bed, bed.compute

    def measured(self) -> Downtimes:
        """There and back between two images that differ in the text of a page."""
        first, second = self.image("first"), self.image("second")
        write_members(self.bed.project, [NAME])
        self.bed.commit("A member")
        self.insert(first)
        found = Downtimes()
        found.bare.append(self.stop_and_start())
        for image in (second, first, second):
            found.swapped.append(self.swap(image))
            found.bare.append(self.stop_and_start())
        self.compute.delete_machines()
        return found

    def image(self, page: str) -> str:
        """Bake one."""
        run = self.bed.bake("bake__web", DEADLINE, roll_out=False, vars={"page": page})
        if run.state != "success":
            raise CannotMeasure(self.bed.explain(run))
        return str(self.bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])

    def insert(self, image: str) -> None:
        """Create the member, and wait until it is healthy."""
        items = {
            "enable-guest-attributes": "TRUE",
            "bakehouse-role": "member",
            "greeting": "hello",
        }
        disk = {"sourceImage": f"global/images/{image}", "diskSizeGb": "10"}
        body = {
            "name": NAME,
            "machineType": f"{ZONE}/machineTypes/e2-small",
            "disks": [{"boot": True, "autoDelete": True, "initializeParams": disk}],
            "networkInterfaces": [{"network": "global/networks/default"}],
            "metadata": {"items": [{"key": k, "value": v} for k, v in items.items()]},
        }
        self.do("POST", f"{ZONE}/instances", json=body)
        wait_until(lambda: self.boot() != "", DEADLINE, "the member", every=LOOK_EVERY)

    def swap(self, image: str) -> float:
        """Roll the image out; the seconds from the request of the stop."""
        before = self.boot()
        run_id = self.bed.airflow.trigger("roll_out__web", {"image": image})
        wait_until(self.is_stopping, DEADLINE, "the stop", every=LOOK_EVERY)
        began = time.time()
        wait_until(lambda: self.boot() != before, DEADLINE, "the swap", every=LOOK_EVERY)
        seconds = time.time() - began
        run = self.bed.airflow.wait("roll_out__web", run_id, DEADLINE)
        if run.state != "success":
            raise CannotMeasure(self.bed.explain(run))
        print(f"swapped in {seconds:.1f} s")
        self.show_steps(run, began)
        return seconds

    def show_steps(self, run: Run, began: float) -> None:
        """The steps of the walk, each with its moment: where the seconds went."""
        for line in self.bed.airflow.log(run.dag_id, run.run_id, REPLACE, map_index=0):
            if line.time is not None and line.text.startswith(f"{NAME}:"):
                print(f"{line.time.timestamp() - began:8.2f} {line.text}")

    def is_stopping(self) -> bool:
        """Whether somebody has asked for it."""
        return str(self.compute.call("GET", INSTANCE)["status"]) != "RUNNING"

    def stop_and_start(self) -> float:
        """By the bare calls."""
        before, began = self.boot(), time.time()
        self.do("POST", f"{INSTANCE}/stop")
        self.do("POST", f"{INSTANCE}/start")
        wait_until(lambda: self.boot() != before, DEADLINE, "the start", every=LOOK_EVERY)
        seconds = time.time() - began
        print(f"stopped and started in {seconds:.1f} s")
        return seconds

    def boot(self) -> str:
        """The boot of its last report, which is a healthy one; empty before the first."""
        path = f"{INSTANCE}/getGuestAttributes"
        try:
            found = self.compute.call("GET", path, params={"queryPath": "bakehouse/health"})
        except ComputeError:  # it has said nothing yet
            return ""
        report = json.loads(found["queryValue"]["items"][0]["value"])
        if report["state"] != "healthy":
            raise CannotMeasure(f"it does not get healthy: {report}")
        return str(report["boot_id"])

    def do(self, method: str, path: str, **arguments: Any) -> None:
        """Call, and wait for the end of the operation."""
        operation = self.compute.call(method, path, **arguments)
        where = ZONE if "zone" in operation else "global"
        at = f"{where}/operations/{operation['name']}"
        wait_until(
            lambda: self.compute.call("GET", at)["status"] == "DONE", DEADLINE, at, every=LOOK_EVERY
        )
