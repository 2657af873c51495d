"""The tasks of a rollout against a real localgce: every member has its way back until the end."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.flow.fleet import HERE, ZONE
from tests.support.deadlines import SOON
from tests.support.ledger import of_kind, read_ledger

from bakehouse.cloud.compute_hook import hook_of
from bakehouse.core.errors import PermanentError
from bakehouse.core.reasons import Reason
from bakehouse.fleet.load import load_fleet
from bakehouse.history.location import ledger_url
from bakehouse.history.rollout_events import (
    MemberRolledBackEvent,
    MemberRolledBackFailedEvent,
    MemberSkippedEvent,
    RolloutEndedEvent,
    RolloutPlannedEvent,
)
from bakehouse.housekeeping import sweep
from bakehouse.inventory.listing import read_own_inventory
from bakehouse.rollout import leftovers, members
from devstack.waiting import wait_until

from .walk import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.flow.fleet import Members

    from bakehouse.history.events import LedgerEvent
    from devstack.gce_api import Compute

    from .conftest import Images

NAMES = ["web-1", "web-2", "web-3"]
FLEET = f"""\
recipe: web
members: {{instances: [web-1, web-2, web-3], zones: [{ZONE}]}}
stages: [1, 100%]
health_deadline: 20s
"""
RUNS = count(1)
OURS = {"bakehouse-run", "bakehouse-role", "bakehouse-member", "expires"}


class Killed(BaseException):
    """The process of the task was killed here."""


def rollout(image: str, text: str = FLEET, members: Sequence[str] = ()) -> Rollout:
    run = Rollout(load_fleet(text, "fleets/web.yaml"), f"manual__walk{next(RUNS)}", image)
    run.members = list(members)
    return run


def events(run: Rollout) -> list[LedgerEvent]:
    return read_ledger(ledger_url(), run.run_id)


def disk(compute: Compute, name: str) -> dict[str, Any]:
    found: dict[str, Any] = compute.call("GET", f"{HERE}/disks/{name}")
    return found


def delete_disk(compute: Compute, name: str) -> None:
    compute.call("DELETE", f"{HERE}/disks/{name}")
    wait_until(lambda: name not in [d["name"] for d in compute.disks()], SOON, name, every=0.05)


def swept(after: timedelta = timedelta(0)) -> dict[str, tuple[bool, Reason]]:
    """What a sweep decides so much later about the disks of rollouts that nothing uses."""
    facts = sweep.SweepFacts(datetime.now(UTC) + after)
    inventory = read_own_inventory(hook_of("google_cloud_default"))
    return {f.name: (f.sweep, f.reason) for f in sweep.plan(inventory, facts) if f.kind == "disk"}


@pytest.mark.long
def test_members_restored_from_a_snapshot_go_back_to_that_very_disk(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    """No image can make it again; the first stage has passed when the second one fails."""
    fleet_of.create(images.old, NAMES, plain="web-2")
    for name in ("web-1", "web-2"):
        fleet_of.restore(name)
    before = fleet_of.facts()
    ids = {name: disk(compute, boot)["id"] for name, boot in before.boot.items()}
    run = rollout(images.new)
    assert run.through() == "failed"
    assert (run.states["verify_stage_1"], run.states["roll_back_1"]) == ("success", "success")
    after = fleet_of.facts()
    assert (after.boot, after.identity) == (before.boot, before.identity)
    assert {name: disk(compute, boot)["id"] for name, boot in after.boot.items()} == ids
    assert after.health == dict.fromkeys(NAMES, images.old)
    assert fleet_of.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])
    for boot in after.boot.values():
        assert not OURS & disk(compute, boot).get("labels", {}).keys(), "it is the member's again"
    written = events(run)
    back = of_kind(MemberRolledBackEvent, written)
    assert {event.detail.member for event in back} == {"web-1", "web-2"}
    assert [event.reason for event in of_kind(RolloutEndedEvent, written)] == [Reason.STAGE_FAILED]
    (planned,) = of_kind(RolloutPlannedEvent, written)
    assert planned.detail.only_disk.keys() == {"web-1", "web-2"}
    assert planned.detail.only_disk["web-1"].startswith("it was made of the snapshot web-1-")


@pytest.mark.long
def test_where_the_only_way_back_is_gone_the_others_go_back_and_the_run_says_who_could_not(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-2")
    restored = fleet_of.restore("web-1")
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    delete_disk(compute, restored)
    run.stage(2)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().images == {
        "web-1": images.new,
        "web-2": images.old,
        "web-3": images.old,
    }
    why = (
        f": stuck, its old disk {restored} does not exist any more, and it was made of the snapshot"
    )
    assert re.search(rf"web-1 is not back on \S+{why}", str(run.errors["verdict"]))
    (failed,) = of_kind(MemberRolledBackFailedEvent, events(run))
    assert (failed.detail.member, failed.reason) == ("web-1", Reason.NOT_ROLLED_BACK)
    (ended,) = of_kind(RolloutEndedEvent, events(run))
    assert {(o.member, o.way) for o in ended.detail.outcomes} >= {("web-1", "back")}


@pytest.mark.long
def test_an_old_disk_stays_until_the_rollout_has_ended_well_and_the_sweep_knows_it(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, NAMES)
    restored = fleet_of.restore("web-1")
    before = fleet_of.facts().boot
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    run.stage(2)
    assert set(before.values()) <= set(fleet_of.disks())
    week = timedelta(days=8)
    assert swept() == {
        boot: (False, Reason.ONLY_WAY_BACK if boot == restored else Reason.UNUSED_NOT_LONG)
        for boot in before.values()
    }
    assert swept(week)[restored] == (False, Reason.ONLY_WAY_BACK), "its rollout has no end yet"
    assert swept(week)[before["web-2"]] == (True, Reason.EXPIRED)
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "success"
    after = fleet_of.facts()
    assert after.health == dict.fromkeys(NAMES, images.new)
    assert fleet_of.disks() == sorted([*after.boot.values(), *(f"{n}-data" for n in NAMES)])


FAULTS: list[dict[str, Any]] = [
    {"kind": "http", "status": 403, "times": 99},
    {"kind": "http", "status": 503, "times": 99},
    {"kind": "operation", "times": 99},
    {"kind": "operation", "code": "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", "times": 99},
]


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_an_old_disk_that_cannot_be_deleted_changes_no_outcome_and_is_left_to_the_sweep(
    compute: Compute, fleet_of: Members, images: Images, fault: dict[str, Any]
) -> None:
    fleet_of.create(images.old, ["web-1", "web-2"])
    restored = fleet_of.restore("web-1")
    before = fleet_of.facts().boot
    run = rollout(images.new, members=["web-1", "web-2"])
    compute.fault(method="compute.disks.delete", **fault)
    assert run.through() == "success"
    after = fleet_of.facts()
    assert after.health == dict.fromkeys(["web-1", "web-2"], images.new)
    assert set(before.values()) <= set(fleet_of.disks())
    (ended,) = of_kind(RolloutEndedEvent, events(run))
    assert ended.reason is Reason.NEW_IMAGE
    assert swept(timedelta(days=8)) == dict.fromkeys(before.values(), (True, Reason.EXPIRED))
    assert "expires" in disk(compute, restored)["labels"], "the rollout has ended well"


def test_a_deletion_whose_operation_fails_is_asked_for_again(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1"])
    compute.fault(method="compute.disks.delete", kind="operation")
    assert rollout(images.new, members=["web-1"]).through() == "success"
    assert fleet_of.disks() == sorted([fleet_of.facts().boot["web-1"], "web-1-data"])


@pytest.mark.long
def test_the_record_is_written_before_anything_is_deleted(
    fleet_of: Members, images: Images
) -> None:
    """Whoever kills the verdict while it deletes finds the record."""
    fleet_of.create(images.old, ["web-1"])
    run = rollout(images.new, members=["web-1"])
    seen: list[bool] = []
    with pytest.MonkeyPatch.context() as patch:

        def dies(*_: Any, **__: Any) -> None:
            seen.append(bool(of_kind(RolloutEndedEvent, events(run))))
            raise Killed

        patch.setattr(leftovers, "delete_old", dies)
        with pytest.raises(Killed):
            run.through()
    assert seen == [True]
    assert run.verdict() == "success"


def _type_error(*_: Any) -> None:
    raise TypeError('Parameter "image" value "" does not match the pattern')


@pytest.mark.long
@pytest.mark.parametrize("fault", [403, 404, 500, TypeError], ids=str)
def test_an_error_about_one_member_keeps_no_other_on_the_bad_image(
    compute: Compute,
    fleet_of: Members,
    images: Images,
    fault: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-3")
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    run.stage(2)
    assert run.states["replace_2_1"] == "failed"
    if fault is TypeError:
        health = members.health
        monkeypatch.setattr(
            members, "health", lambda *a: _type_error() if a[2] == "web-1" else health(*a)
        )
    else:
        rule = {"kind": "http", "status": fault, "times": 99}
        compute.fault(method="compute.instances.get", resource="web-1", **rule)
    run.plan_rollback()
    compute.forget()
    monkeypatch.undo()
    run.roll_back()
    assert run.verdict() == "failed"
    found = fleet_of.facts().images
    assert (found["web-2"], found["web-3"]) == (images.old, images.old)
    assert f"web-1 is not back on {images.old}: stuck, " in str(run.errors["verdict"])


@pytest.mark.long
@pytest.mark.parametrize("step", ["compute.instances.detachDisk", "compute.instances.attachDisk"])
def test_a_roll_back_that_is_refused_stops_no_other_and_is_named(
    compute: Compute, fleet_of: Members, images: Images, step: str
) -> None:
    fleet_of.create(images.old, NAMES, plain="web-3")
    run = rollout(images.new)
    run.begin()
    run.stage(1)
    run.stage(2)
    run.plan_rollback()
    compute.fault(kind="http", status=403, times=99, method=step, resource="web-2")
    run.roll_back()
    compute.forget()
    assert run.verdict() == "failed"
    assert [run.states[f"roll_back_{n}"] for n in range(3)] == ["success", "failed", "success"]
    found = fleet_of.facts().images
    assert (found["web-1"], found["web-3"]) == (images.old, images.old)
    assert f"web-2 is not back on {images.old}: stuck, " in str(run.errors["verdict"])
    again = rollout(images.old)
    assert again.through() == "success", again.errors
    assert fleet_of.facts().images == dict.fromkeys(NAMES, images.old)


@pytest.mark.long
def test_a_disk_that_an_earlier_rollout_has_made_is_the_way_back_too(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.new, ["web-1", "web-2"])
    assert rollout(images.old, members=["web-1", "web-2"]).through() == "success"
    before = fleet_of.facts().boot
    compute.fault(kind="http", status=403, times=99, method="compute.instances.start", nth=2)
    run = rollout(images.new, members=["web-1", "web-2"])
    run.begin()
    run.stage(1)
    run.stage(2)
    compute.forget()
    run.plan_rollback()
    run.roll_back()
    assert run.verdict() == "failed"
    assert fleet_of.facts().boot == before
    roles = {disk(compute, boot)["labels"]["bakehouse-role"] for boot in before.values()}
    assert roles == {"member"}


def test_a_disk_that_cannot_be_labelled_is_not_taken_out(
    compute: Compute, fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1"])
    before = fleet_of.facts()
    compute.fault(kind="http", status=403, times=99, method="compute.disks.setLabels")
    assert rollout(images.new, members=["web-1"]).through() == "failed"
    assert fleet_of.facts() == before
    assert fleet_of.stops() == {}


@pytest.mark.long
def test_a_rollout_that_halts_leaves_old_disks_that_the_sweep_knows(
    fleet_of: Members, images: Images
) -> None:
    fleet_of.create(images.old, ["web-1"], plain="web-1")
    restored = fleet_of.restore("web-1")
    assert rollout(images.new, FLEET + "on_failure: halt\n", ["web-1"]).through() == "failed"
    assert fleet_of.facts().images == {"web-1": images.new}
    assert swept(timedelta(days=30)) == {restored: (False, Reason.ONLY_WAY_BACK)}


@pytest.fixture
def group(compute: Compute, images: Images) -> Iterator[str]:
    """A managed instance group of two instances with the label app; its name."""
    items = [{"key": "enable-guest-attributes", "value": "TRUE"}]
    disks = [
        {
            "boot": True,
            "autoDelete": True,
            "initializeParams": {"sourceImage": f"global/images/{images.old}"},
        }
    ]
    properties = {
        "machineType": "e2-small",
        "labels": {"app": "shop"},
        "metadata": {"items": items},
        "networkInterfaces": [{"network": "global/networks/default"}],
        "disks": disks,
    }
    template = {"name": "shop", "properties": properties}
    group = {"name": "shop", "targetSize": 2, "baseInstanceName": "shop"}
    group["instanceTemplate"] = "global/instanceTemplates/shop"
    compute.call("POST", "global/instanceTemplates", json=template)
    wait_until(lambda: bool(compute.listed("global/instanceTemplates")), SOON, "the template")
    compute.call("POST", f"{HERE}/instanceGroupManagers", json=group)
    path = f"{HERE}/instanceGroupManagers/shop"
    wait_until(lambda: compute.call("GET", path)["status"]["isStable"], SOON, "the group")
    yield "shop"
    compute.call("DELETE", path)
    wait_until(lambda: not compute.instances(), SOON, "the group's end")
    compute.call("DELETE", "global/instanceTemplates/shop")


def test_members_of_a_managed_group_are_refused_before_anything_is_stopped(
    compute: Compute, group: str, fleet_of: Members, images: Images
) -> None:
    compute.forget()
    text = FLEET.replace("instances: [web-1, web-2, web-3]", f"labels: {{app: {group}}}")
    run = rollout(images.new, text)
    assert run.through() == "skipped"
    assert isinstance(run.errors["plan"], PermanentError)
    assert "a managed instance group has created it" in str(run.errors["plan"])
    assert f"if {group} has abandoned it" in str(run.errors["plan"])
    assert fleet_of.stops() == {}
    skipped = of_kind(MemberSkippedEvent, events(run))
    assert [event.reason for event in skipped] == [Reason.MEMBER_OF_GROUP] * 2
