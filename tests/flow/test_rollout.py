"""Rollouts on a real scheduler, on instant machines."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fsspec.implementations.local import LocalFileSystem  # type: ignore[import-untyped]
from tests.flow.fleet import Members
from tests.support.ledger import of_kind, read_ledger

from bakehouse.core.reasons import Reason
from bakehouse.history.events import (
    LedgerEvent,
    MemberReplacedEvent,
    MemberReplacedFailedEvent,
    MemberRolledBackEvent,
    RolloutEndedEvent,
)
from bakehouse.lease.lease import Lease, Owner
from devstack.airflow_api import Run
from devstack.testbed import Testbed

pytestmark = pytest.mark.timeout(600)  # the first one waits for the stack and two bakes

ROLL_OUT = "roll_out__web"
GROUP = "replace_instances"


# The new image shows a page that needs the attribute `color`: who lacks it does not get healthy.
RECIPE = """\
base: debian-cloud/debian-12
vars: {page: old}
services: [nginx]
smoke: {metadata: {greeting: hello, color: blue}}
"""
PAGE = "{% if vars.page == 'new' %}{{ color }}{% endif %}\n"


@pytest.fixture(scope="module")
def images(stack_of_session: Testbed) -> tuple[str, str]:
    """The names of an older and a newer image of the recipe `web`."""
    bed = stack_of_session
    bed.write("include/recipes/web.yaml", RECIPE)
    bed.write("include/startup_scripts/web/templates/var/www/html/color.html.j2", PAGE)
    bed.commit("Show a color")
    return bake(bed, "old"), bake(bed, "new")


def bake(bed: Testbed, page: str) -> str:
    run = bed.bake("bake__web", 240, vars={"page": page}, roll_out=False)
    assert run.state == "success", bed.explain(run)
    return str(bed.airflow.xcom(run.dag_id, run.run_id, "plan_bake")["image_name"])


@pytest.fixture(scope="module")
def old(images: tuple[str, str]) -> str:
    return images[0]


@pytest.fixture(scope="module")
def new(images: tuple[str, str]) -> str:
    return images[1]


@pytest.fixture
def members(bed: Testbed) -> Iterator[Members]:
    found = Members(bed)
    yield found
    found.delete()


def roll(bed: Testbed, image: str, deadline: float = 200, **conf: Any) -> Run:
    return bed.bake(ROLL_OUT, deadline, image=image, **conf)


def states(bed: Testbed, run: Run) -> dict[str, str | None]:
    found = bed.airflow.states(run.dag_id, run.run_id)
    return {task.removeprefix(f"{GROUP}."): state for task, state in found.items()}


def events(bed: Testbed, run: Run) -> list[LedgerEvent]:
    return read_ledger(bed.stack.layout.airflow_home / "ledger", run.run_id)


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_fleet_of_n_moves_onto_the_image(
    bed: Testbed, members: Members, old: str, new: str, count: int
) -> None:
    names = [f"web-{n + 1}" for n in range(count)]
    members.create(old, names)
    before = members.facts()
    run = roll(bed, new)
    assert run.state == "success", bed.explain(run)
    after = members.facts()
    assert after.images == dict.fromkeys(names, new)
    assert after.identity == before.identity  # id, address, metadata, data disks
    assert after.health == dict.fromkeys(names, new)
    assert members.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in names)])
    assert members.stops() == dict.fromkeys(names, 1)
    replaced = of_kind(MemberReplacedEvent, events(bed, run))
    assert sorted(event.detail.member for event in replaced) == names
    again = roll(bed, new)
    assert again.state == "success", bed.explain(again)
    assert members.stops() == dict.fromkeys(names, 1)  # everybody is on the image


def test_a_member_that_does_not_get_healthy_halts_the_line_and_all_go_back(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1", "web-2", "web-3"], plain="web-1")
    before = members.facts()
    run = roll(bed, new)
    found = states(bed, run)
    assert run.state == "failed", (found, bed.log(run, f"{GROUP}.plan"))
    assert (found["replace_1[0]"], found["undo[0]"], found["verdict"]) == (
        "failed",
        "success",
        "failed",
    )
    after = members.facts()
    assert (after.images, after.identity) == (before.images, before.identity)
    assert after.boot == before.boot  # the kept disk came back
    assert members.stops() == {"web-1": 2}
    assert members.disks() == sorted([*before.boot.values(), *(f"{n}-data" for n in before.boot)])
    written = events(bed, run)
    (failed,) = of_kind(MemberReplacedFailedEvent, written)
    assert failed.reason is Reason.NOT_HEALTHY
    (back,) = of_kind(MemberRolledBackEvent, written)
    assert back.detail.member == "web-1"
    (ended,) = of_kind(RolloutEndedEvent, written)
    assert ended.reason is Reason.STAGE_FAILED
    assert "color" in bed.log(run, f"{GROUP}.verdict")


def test_a_later_stage_takes_those_before_back_too_in_reverse_order(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1", "web-2", "web-3"], plain="web-3")
    before = members.facts()
    run = roll(bed, new)
    assert run.state == "failed"
    found = states(bed, run)
    assert (found["verify_stage_1"], found["replace_2[1]"]) == ("success", "failed")
    after = members.facts()
    assert (after.images, after.identity) == (before.images, before.identity)
    back = of_kind(MemberRolledBackEvent, events(bed, run))
    order = sorted(back, key=lambda event: str(event.at))
    assert [event.detail.member for event in order] == ["web-3", "web-2", "web-1"]
    assert after.boot["web-1"] != before.boot["web-1"]  # its disk was gone: one of the image's id
    assert after.boot["web-2"] == before.boot["web-2"]


def test_of_two_runs_of_different_dags_one_waits(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1", "web-2"])
    bed.compute.fault(kind="slow", method="compute.instances.start", seconds=8, times=2)
    first = bed.airflow.trigger(ROLL_OUT, {"image": new})
    bed.airflow.wait_for_task(ROLL_OUT, first, f"{GROUP}.hold", ["success"], 60)
    second = bed.bake("bake__web", 200, force=True)  # ends with a rollout of its own
    ended = bed.airflow.wait(ROLL_OUT, first, 200)
    assert (ended.state, second.state) == ("success", "success")
    hold = bed.log(second, f"{GROUP}.hold")
    assert f"{ROLL_OUT} {first} (running) has it" in hold
    tasks = {t.task_id: t for t in bed.airflow.tasks(ROLL_OUT, first)}
    held = next(t for t in bed.airflow.tasks(*_key(second)) if t.task_id == f"{GROUP}.plan")
    released = tasks[f"{GROUP}.release"]
    assert released.start is not None
    assert held.start is not None
    assert held.start >= released.start
    assert members.stops() == {"web-1": 2, "web-2": 2}


def test_an_owner_that_has_ended_or_is_forgotten_loses_the_fleet(
    bed: Testbed, members: Members, old: str
) -> None:
    members.create(old, [])
    ended = roll(bed, old)
    folder = bed.stack.layout.airflow_home / "ledger" / "leases" / "fleet-web"
    lease = Lease(LocalFileSystem(), str(folder))
    long_ago = datetime.now(UTC) - timedelta(days=1)
    for run_id, why in [(ended.run_id, "has ended: success"), ("none", "its time is over")]:
        owner = Owner(dag_id=ROLL_OUT, run_id=run_id)
        assert lease.take(owner, lease.newest(), long_ago, timedelta(hours=12))
        run = roll(bed, old)
        assert run.state == "success", bed.explain(run)
        assert why in bed.log(run, f"{GROUP}.hold")
        newest = lease.newest()
        assert newest is not None
        assert (newest.owner.run_id, newest.released) == (run.run_id, True)


def test_a_member_replaced_is_not_touched_when_its_task_is_cleared(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1"])
    run = roll(bed, new)
    bed.airflow.clear(ROLL_OUT, run.run_id, [f"{GROUP}.replace_1"])
    again = bed.airflow.wait(ROLL_OUT, run.run_id, 120)
    assert again.state == "success", bed.explain(again)
    assert members.stops() == {"web-1": 1}
    assert "holding the fleet" in bed.log(run, f"{GROUP}.hold")  # the lease was taken again


def _key(run: Run) -> tuple[str, str]:
    return run.dag_id, run.run_id


def test_worker_and_triggerer_are_killed_in_the_middle_of_a_swap(
    bed: Testbed, members: Members, old: str, new: str
) -> None:
    members.create(old, ["web-1", "web-2"])
    bed.compute.fault(kind="slow", method="compute.instances.detachDisk", seconds=10)
    run_id = bed.airflow.trigger(ROLL_OUT, {"image": new})
    replace = (ROLL_OUT, run_id, f"{GROUP}.replace_1")
    members.kill_task(*replace)
    members.wait_for_call("compute.instances.detachDisk")
    members.kill_triggerer()
    members.wait_for_call("compute.instances.start")
    members.kill_worker(*replace)
    run = bed.airflow.wait(ROLL_OUT, run_id, 280)
    assert run.state == "success", bed.explain(run)
    assert members.stops() == {"web-1": 1, "web-2": 1}
    assert members.facts().images == {"web-1": new, "web-2": new}
