"""Processes of the stack are killed in the middle of a swap, which goes on where it was."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from tests.flow.shop import NAMES, dag
from tests.support.deadlines import RUN

from devstack.airflow_api import TERMINAL_RUN, AirflowError
from devstack.programs import GCE
from devstack.topology import API
from devstack.waiting import wait_until

if TYPE_CHECKING:
    from tests.flow.fleet import Facts, Members

    from devstack.airflow_api import Run
    from devstack.testbed import Testbed

pytestmark = pytest.mark.chaos

ROLL_OUT = dag("shop")
REPLACE = "replace_instances.replace_1"


def begin(bed: Testbed, members: Members, images: tuple[str, str], names: list[str]) -> str:
    """Begin to replace the members; whoever detaches a disk waits some seconds."""
    old, new = images
    members.create(old, names)
    bed.compute.fault(kind="slow", method="compute.instances.detachDisk", seconds=8, times=99)
    return bed.airflow.trigger(ROLL_OUT, {"image": new, "members": names})


def end(bed: Testbed, run_id: str) -> Run:
    """Wait for the run's end; a server that does not answer is asked again."""

    def has_ended() -> bool:
        with suppress(AirflowError):
            return bed.airflow.run(ROLL_OUT, run_id).state in TERMINAL_RUN
        return False

    wait_until(has_ended, RUN, f"the run {run_id} to end", every=1.0)
    return bed.airflow.run(ROLL_OUT, run_id)


def is_replaced(
    bed: Testbed, members: Members, run: Run, before: Facts, images: tuple[str, str]
) -> None:
    """Each member has the new image, and nothing else has changed or is left."""
    assert run.state == "success", bed.explain(run)
    after = members.facts()
    assert after.images == after.health == dict.fromkeys(before.boot, images[1])
    assert after.identity == before.identity
    assert members.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in before.boot)])


def test_worker_and_triggerer(bed: Testbed, members: Members, two_images: tuple[str, str]) -> None:
    run_id = begin(bed, members, two_images, NAMES)
    before = members.facts()
    members.kill_task(ROLL_OUT, run_id, REPLACE)
    members.wait_for_call("compute.instances.detachDisk")
    members.kill_triggerer()
    members.wait_for_call("compute.instances.start")
    members.kill_worker(ROLL_OUT, run_id, REPLACE)
    is_replaced(bed, members, end(bed, run_id), before, two_images)
    assert members.stops() == dict.fromkeys(NAMES, 1)


def test_scheduler_and_then_compute_engine(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    run_id = begin(bed, members, two_images, NAMES[:1])
    before = members.facts()
    members.wait_for_call("compute.instances.stop", RUN)
    members.kill_program("scheduler")
    members.wait_for_call("compute.instances.detachDisk")
    stops = members.stops()
    members.kill_program(GCE)  # and with it the list of the requests until now
    is_replaced(bed, members, end(bed, run_id), before, two_images)
    assert (stops, members.stops()) == ({"shop-1": 1}, {})


def test_api_server_again_and_again(
    bed: Testbed, members: Members, two_images: tuple[str, str]
) -> None:
    run_id = begin(bed, members, two_images, NAMES[:1])
    before = members.facts()
    for method in ("compute.disks.insert", "compute.instances.stop", "compute.instances.start"):
        members.wait_for_call(method, RUN)
        members.kill_program(API)
    is_replaced(bed, members, end(bed, run_id), before, two_images)
    assert members.stops() == {"shop-1": 1}


def test_every_program_at_once(bed: Testbed, members: Members, two_images: tuple[str, str]) -> None:
    run_id = begin(bed, members, two_images, NAMES[:1])
    before = members.facts()
    members.wait_for_call("compute.instances.detachDisk", RUN)
    stops = members.stops()
    members.kill_program("scheduler", "triggerer", "dag-processor", API, GCE)
    is_replaced(bed, members, end(bed, run_id), before, two_images)
    assert (stops, members.stops()) == ({"shop-1": 1}, {})
