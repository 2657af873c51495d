"""Creating, recreating and removing a member: killed at any call, nothing is made twice or left."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.support.fake_compute import NEW_IMAGE, OLD_DISK

from bakehouse.cloud.request_id import RequestIds
from bakehouse.core.errors import PermanentError
from bakehouse.fleet.members import Instance
from bakehouse.fleet.template import Template
from bakehouse.images import labels
from bakehouse.images.links import resource_name
from bakehouse.rollout import replace
from bakehouse.rollout.machine import Owner, of_template, pinned, recreated
from bakehouse.rollout.moves import move
from bakehouse.rollout.observation import read
from bakehouse.rollout.plan import BootDisk, Change, RolloutPlan
from bakehouse.rollout.rollout_disks import second_disk_name
from bakehouse.rollout.states import ACTIONS, FINAL, Action, Consent, Resumed, State, Strategy
from bakehouse.rollout.strategies.swap import Swap, back, forward

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook

ZONE, REGION, RUN = "us-central1-a", "us-central1", "run1"
BASE = "https://www.googleapis.com/compute/v1/projects/p"
NOW = datetime(2026, 11, 20, tzinfo=UTC)
OWNER = Owner(recipe="web", run=RUN, fleet="web", member="web-1")
TEMPLATE = Template.model_validate(
    {
        "machine_type": "e2-small",
        "disks": [{"name": "data", "size_gb": 1}, {"name": "logs", "size_gb": 2}],
    }
)
ONE = Instance(name="web-1", zone=ZONE, address="ip-1")
DISK, SECOND = "web-1-12345678", second_disk_name("web-1", RUN, NEW_IMAGE.id)
NO_DISK = BootDisk(
    name="", image_id="", image="", device_name="boot", auto_delete=True, type="t", size_gb=10
)


class Killed(BaseException):
    """The process was killed here."""


class Hook:
    """Compute Engine with a project of its own; each change is done when its call returns."""

    project = "p"

    def __init__(self) -> None:
        self.all_disks: dict[str, dict[str, Any]] = {}
        self.all_addresses: dict[str, dict[str, Any]] = {}
        self.machine: dict[str, Any] | None = None
        self.changes: list[str] = []
        self.kill_at: int | None = None  # this change is the last of the process
        self.before = False  # ... and is not done any more
        self.healthy = True

    def _change(self, what: str) -> dict[str, Any]:
        killed = self.kill_at is not None and len(self.changes) == self.kill_at
        if killed and self.before:
            self.kill_at = None
            raise Killed
        self.changes.append(what)
        return {"name": "op", "status": "DONE"}

    def _done(self) -> None:
        if self.kill_at is not None and len(self.changes) == self.kill_at + 1:
            self.kill_at = None
            raise Killed

    def disk(self, zone: str, name: str) -> dict[str, Any] | None:
        assert name, "every disk has a name"
        found = self.all_disks.get(name)
        if found is None:
            return None
        used = [d["source"] for d in (self.machine or {}).get("disks", [])]
        users = [f"{BASE}/zones/{ZONE}/instances/web-1"] if found["selfLink"] in used else []
        return {**found, "users": users}

    def insert_disk(self, zone: str, body: Any, request_id: str) -> dict[str, Any]:
        said = self._change(f"insert {body['name']}")
        assert body["name"] not in self.all_disks, "made twice"
        self.add_disk(**body)
        self._done()
        return said

    def add_disk(self, **body: Any) -> None:
        link = f"{BASE}/zones/{ZONE}/disks/{body['name']}"
        made = {"id": body["name"], "status": "READY", "selfLink": link, "labelFingerprint": "f"}
        image = {"sourceImageId": NEW_IMAGE.id} if body.get("sourceImage") else {}
        self.all_disks[body["name"]] = {**made, **image, **body}

    def label_disk(self, zone: str, disk: Any, changes: Any) -> None:
        known = self.all_disks[disk["name"]].setdefault("labels", {})
        known.update({k: v for k, v in changes.items() if v is not None})

    def delete_disk(self, zone: str, name: str, request_id: str) -> dict[str, Any]:
        said = self._change(f"delete {name}")
        del self.all_disks[name]
        self._done()
        return said

    def address(self, region: str, name: str) -> dict[str, Any] | None:
        return self.all_addresses.get(name)

    def insert_address(self, region: str, body: Any, request_id: str) -> dict[str, Any]:
        said = self._change(f"reserve {body['name']}")
        assert body["name"] not in self.all_addresses, "reserved twice"
        self.all_addresses[body["name"]] = {**body, "address": "10.0.0.9", "status": "RESERVED"}
        self._done()
        return said

    def delete_address(self, region: str, name: str, request_id: str) -> dict[str, Any]:
        said = self._change(f"release {name}")
        del self.all_addresses[name]
        self._done()
        return said

    def instance(self, zone: str, name: str) -> dict[str, Any] | None:
        return self.machine

    def insert_instance(self, zone: str, body: Any, request_id: str) -> dict[str, Any]:
        said = self._change("insert instance")
        assert self.machine is None, "made twice"
        disks = [
            {**d, "source": f"{BASE}/zones/{ZONE}/disks/{resource_name(d['source'])}"}
            for d in body["disks"]
        ]
        assert all(resource_name(d["source"]) in self.all_disks for d in disks)
        number = str(100 + len(self.changes))
        self.machine = {
            **body,
            "id": number,
            "status": "RUNNING",
            "selfLink": f"{BASE}/zones/{ZONE}/instances/web-1",
            "zone": f"{BASE}/zones/{ZONE}",
            "disks": disks,
        }
        self._done()
        return said

    def stop_instance(self, zone: str, name: str, request_id: str) -> dict[str, Any]:
        said = self._change("stop")
        assert self.machine is not None
        self.machine["status"] = "TERMINATED"
        self._done()
        return said

    def start_instance(self, zone: str, name: str, request_id: str) -> dict[str, Any]:
        said = self._change("start")
        assert self.machine is not None
        self.machine["status"] = "RUNNING"
        self._done()
        return said

    def set_disk_auto_delete(
        self, zone: str, name: str, device: str, *, auto_delete: bool, request_id: str
    ) -> dict[str, Any]:
        said = self._change(f"{'take' if auto_delete else 'keep'} {device}")
        assert self.machine is not None
        disk = next(d for d in self.machine["disks"] if d["deviceName"] == device)
        disk["autoDelete"] = auto_delete
        self._done()
        return said

    def delete_instance(self, zone: str, name: str, request_id: str) -> dict[str, Any]:
        said = self._change("delete instance")
        assert self.machine is not None
        for disk in self.machine["disks"]:
            if disk.get("autoDelete"):
                del self.all_disks[resource_name(disk["source"])]
        self.machine = None
        self._done()
        return said

    def guest_attributes(self, zone: str, name: str) -> dict[str, str]:
        state = "healthy" if self.healthy else "unhealthy"
        assert self.machine is not None
        said = f'"state": "{state}", "image": "{NEW_IMAGE.name}", "boot_id": "{self.machine["id"]}"'
        return {"health": f"{{{said}}}"}


ASKED = {Action.ASK: Consent.GATES_OPEN, Action.DRAIN: Consent.GIVEN}


def walk(hook: Hook, swap: Swap) -> State:
    """What the trigger does, without Airflow; every guest agrees to its stop."""
    goal, state, consent = swap.goal(timedelta(minutes=5)), None, Consent.UNKNOWN
    for turn in range(60):
        looked = replace.look(cast("ComputeHook", hook), swap)
        seen = dataclasses.replace(looked, consent=consent, resumed=Resumed.DONE)
        state = move(state, read(seen, goal, NOW))
        step = ACTIONS[state]
        if state in FINAL:
            return state
        if step in ASKED:
            consent = ASKED[step]
        elif step is not Action.WAIT:
            ids = RequestIds(swap.run, swap.member, str(turn))
            replace.perform(cast("ComputeHook", hook), step, swap, ids)
    raise AssertionError(f"no end: {state}")


def survive(hook: Hook, swap: Swap, kill_at: int, *, before: bool) -> State:
    """Walk, be killed at one change, and walk again."""
    hook.kill_at, hook.before = kill_at, before
    try:
        return walk(hook, swap)
    except Killed:
        return walk(hook, swap)


def creation() -> Swap:
    machine = of_template(TEMPLATE, ONE, OWNER, NOW)
    change = Change(
        name="web-1",
        zone=ZONE,
        id="",
        disk=DISK,
        second_disk=SECOND,
        old=NO_DISK,
        strategy=Strategy.CREATE,
        machine=machine,
    )
    plan = RolloutPlan(fleet="web", run=RUN, image=NEW_IMAGE, stages=((change,),))
    return forward(plan, change, None)


def recreation(hook: Hook) -> Swap:
    """Of an instance that somebody else has made, whose data goes with it unless it is told not."""
    for name in ("web-1", "its-data"):
        hook.add_disk(name=name)
    hook.all_disks["web-1"]["sourceImageId"] = OLD_DISK.image_id
    hook.machine = {
        "id": "7",
        "name": "web-1",
        "status": "RUNNING",
        "selfLink": f"{BASE}/zones/{ZONE}/instances/web-1",
        "zone": f"{BASE}/zones/{ZONE}",
        "machineType": f"{BASE}/zones/{ZONE}/machineTypes/e2-micro",
        "labels": {"team": "a"},
        "metadata": {"items": [{"key": "color", "value": "red"}]},
        "networkInterfaces": [{"network": f"{BASE}/global/networks/default"}],
        "disks": [
            {
                "boot": True,
                "source": f"{BASE}/zones/{ZONE}/disks/web-1",
                "deviceName": "persistent-disk-0",
                "autoDelete": True,
            },
            {
                "source": f"{BASE}/zones/{ZONE}/disks/its-data",
                "deviceName": "data",
                "autoDelete": True,
            },
        ],
    }
    was = pinned(hook.machine, OWNER, ())
    change = Change(
        name="web-1",
        zone=ZONE,
        id="7",
        disk=DISK,
        old=OLD_DISK,
        strategy=Strategy.RECREATE,
        machine=recreated(TEMPLATE, ONE, OWNER, NOW, hook.machine, ()),
        pinned=was,
    )
    plan = RolloutPlan(fleet="web", run=RUN, image=NEW_IMAGE, stages=((change,),))
    return forward(plan, change, None)


CREATED = ["insert web-1-12345678", "insert web-1-data", "insert web-1-logs", "reserve ip-1"]
CREATED += ["insert instance"]


def test_a_member_is_created_disk_by_disk_and_its_instance_last() -> None:
    hook = Hook()
    assert walk(hook, creation()) is State.REPLACED
    assert hook.changes == CREATED
    assert hook.machine is not None
    assert hook.machine["networkInterfaces"][0]["networkIP"] == "10.0.0.9"
    made = [*hook.all_disks.values(), hook.machine, *hook.all_addresses.values()]
    assert all(one["labels"].items() >= OWNER.labels.items() for one in made)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kill_at", range(len(CREATED)))
def test_whoever_is_killed_while_it_creates_makes_nothing_twice(kill_at: int, before: bool) -> None:
    hook = Hook()
    assert survive(hook, creation(), kill_at, before=before) is State.REPLACED
    assert hook.changes == CREATED


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("begun", range(len(CREATED) + 1))
@pytest.mark.parametrize("kill_at", range(5))
def test_the_way_back_of_a_creation_leaves_nothing_wherever_that_had_ended(
    begun: int, kill_at: int, before: bool
) -> None:
    hook = Hook()
    swap = creation()
    if begun < len(CREATED):
        hook.kill_at, hook.before = begun, True
        with pytest.raises(Killed):
            walk(hook, swap)
    else:
        walk(hook, swap)
    way = back(swap, None, kept=False, health=None)
    hook.changes.clear()
    assert survive(hook, way, kill_at, before=before) is State.REMOVED
    assert (hook.machine, hook.all_disks, hook.all_addresses) == (None, {}, {})


def test_the_way_back_of_a_creation_keeps_what_was_there_before() -> None:
    hook = Hook()
    hook.add_disk(name="web-1-data", labels={"bakehouse-run": "an earlier one"})
    hook.all_addresses["ip-1"] = {"name": "ip-1", "address": "10.0.0.7", "addressType": "INTERNAL"}
    swap = creation()
    assert walk(hook, swap) is State.REPLACED
    assert walk(hook, back(swap, None, kept=False, health=None)) is State.REMOVED
    assert (list(hook.all_disks), list(hook.all_addresses)) == (["web-1-data"], ["ip-1"])


def test_a_second_try_of_a_creation_is_on_a_fresh_disk_and_goes_back_without_a_trace() -> None:
    hook = Hook()
    hook.healthy = False
    swap = creation()
    assert walk(hook, swap) is State.UNHEALTHY
    again = swap.again("silent", None)
    hook.changes.clear()
    with pytest.raises(AttributeError, match="detach_disk"):  # from here on it is a swap
        walk(hook, again)
    assert hook.changes == [f"insert {SECOND}", "stop"]
    assert walk(hook, back(swap, None, kept=False, health=None)) is State.REMOVED
    assert (hook.machine, hook.all_disks, hook.all_addresses) == (None, {}, {})


def test_an_instance_of_that_name_that_somebody_else_has_made_is_not_touched() -> None:
    hook = Hook()
    swap = creation()
    hook.machine = {"id": "3", "status": "RUNNING", "selfLink": "x", "labels": {}, "disks": []}
    assert walk(hook, swap) is State.LOST
    assert walk(hook, back(swap, None, kept=False, health=None)) is State.LOST
    assert hook.changes == []


def test_an_address_that_another_instance_uses_is_told() -> None:
    hook = Hook()
    users = [f"{BASE}/zones/{ZONE}/instances/other"]
    hook.all_addresses["ip-1"] = {"name": "ip-1", "addressType": "INTERNAL", "users": users}
    with pytest.raises(PermanentError, match="address ip-1 of web-1 is used by other"):
        walk(hook, creation())
    hook.all_addresses["ip-1"] = {"name": "ip-1", "addressType": "EXTERNAL"}
    with pytest.raises(PermanentError, match="ip-1 of web-1 is not internal: it is external"):
        walk(hook, creation())


RECREATED = ["insert web-1-12345678", "stop", "keep persistent-disk-0", "keep data"]
RECREATED += ["delete instance", "insert web-1-logs", "reserve ip-1", "insert instance"]


def test_an_instance_is_deleted_only_when_each_of_its_disks_stays() -> None:
    hook = Hook()
    assert walk(hook, recreation(hook)) is State.REPLACED
    assert hook.changes == RECREATED
    assert hook.machine is not None
    attached = {d["deviceName"]: resource_name(d["source"]) for d in hook.machine["disks"]}
    assert attached == {"persistent-disk-0": DISK, "data": "its-data", "logs": "web-1-logs"}
    assert hook.machine["machineType"].endswith("/e2-small")
    found = hook.all_disks["its-data"]["labels"]
    assert (found[labels.MEMBER], found[labels.DEVICE]) == ("web-1", "data")
    assert labels.RUN not in found, "the way back of no run may take it for its own"


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("kill_at", range(len(RECREATED)))
def test_whoever_is_killed_while_it_recreates_stops_and_deletes_once(
    kill_at: int, before: bool
) -> None:
    hook = Hook()
    assert survive(hook, recreation(hook), kill_at, before=before) is State.REPLACED
    assert hook.changes == RECREATED


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("begun", range(3, len(RECREATED) + 1))
@pytest.mark.parametrize("kill_at", range(5))
def test_the_way_back_recreates_what_was_from_wherever_the_way_there_had_ended(
    begun: int, kill_at: int, before: bool
) -> None:
    hook = Hook()
    swap = recreation(hook)
    if begun < len(RECREATED):
        hook.kill_at, hook.before = begun, True
        with pytest.raises(Killed):
            walk(hook, swap)
    else:
        walk(hook, swap)
    way = back(swap, None, kept=True, health=None)
    now = hook.machine
    if now is not None:
        way = way.model_copy(update={"id": now["id"]})
    assert survive(hook, way, kill_at, before=before) is State.REPLACED
    assert hook.machine is not None
    attached = {d["deviceName"]: resource_name(d["source"]) for d in hook.machine["disks"]}
    assert attached["persistent-disk-0"] == "web-1"
    assert attached["data"] == "its-data"
    assert hook.machine["machineType"].endswith("/e2-micro")
    assert hook.machine["metadata"]["items"] == [{"key": "color", "value": "red"}]
    assert {"web-1", "its-data"} <= hook.all_disks.keys()
    assert [d["autoDelete"] for d in hook.machine["disks"]] == [True, True]
    assert hook.machine["status"] == "RUNNING"
