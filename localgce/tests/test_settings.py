"""Settings of instances, templates, reserved addresses, run durations, maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from .gce import ZONE, Gce, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Server

VMS = f"zones/{ZONE}/instances"
ADDRESSES = "regions/us-central1/addresses"


def test_settings_that_need_a_stopped_instance(instant: Gce, name: str) -> None:
    instant.create(name)
    bigger = {"machineType": f"zones/{ZONE}/machineTypes/e2-standard-4"}
    path = f"{VMS}/{name}"
    instant.fails(400, "invalidResourceUsage", "POST", f"{path}/setMachineType", bigger)
    account = {"email": "default", "scopes": ["https://s"]}
    instant.fails(400, "invalidResourceUsage", "POST", f"{path}/setServiceAccount", account)
    instant.do("POST", f"{path}/stop")
    instant.do("POST", f"{path}/setMachineType", bigger)
    instant.do("POST", f"{path}/setServiceAccount", account)
    now = instant.instance(name)
    assert now["machineType"].endswith("e2-standard-4")
    assert now["serviceAccounts"][0]["email"].endswith("-compute@developer.gserviceaccount.com")
    instant.do("DELETE", path)


def test_settings_that_can_change_at_any_time(instant: Gce, name: str) -> None:
    made = instant.create(name)
    path = f"{VMS}/{name}"
    tags = {"items": ["web"], "fingerprint": made["tags"]["fingerprint"]}
    instant.do("POST", f"{path}/setTags", tags)
    instant.fails(412, "conditionNotMet", "POST", f"{path}/setTags", tags)
    instant.do("POST", f"{path}/setScheduling", {"automaticRestart": False})
    spot = {"provisioningModel": "SPOT"}
    instant.fails(400, "invalidResourceUsage", "POST", f"{path}/setScheduling", spot)
    instant.do("POST", f"{path}/setDeletionProtection", deletionProtection="true")
    instant.fails(400, "invalidResourceUsage", "DELETE", path)
    instant.do("POST", f"{path}/setDeletionProtection", deletionProtection="false")
    now = instant.instance(name)
    assert now["tags"]["items"] == ["web"]
    assert now["scheduling"]["automaticRestart"] is False
    instant.do("DELETE", path)


def test_a_null_clears_the_run_duration(instant: Gce, name: str) -> None:
    ends = {"maxRunDuration": {"seconds": "600"}, "instanceTerminationAction": "DELETE"}
    instant.create(name, scheduling=ends)
    path = f"{VMS}/{name}"
    instant.do("POST", f"{path}/setScheduling", {"automaticRestart": False})
    assert instant.instance(name)["scheduling"]["maxRunDuration"] == {"seconds": "600"}
    cleared = dict.fromkeys(ends)
    instant.do("POST", f"{path}/setScheduling", {"automaticRestart": True, **cleared})
    now = instant.instance(name)["scheduling"]
    assert not now.keys() & ends.keys()
    assert now["automaticRestart"] is True
    instant.do("DELETE", path)


def test_instances_are_created_from_templates(instant: Gce, name: str) -> None:
    properties = instance(name, labels={"of": "template"})
    del properties["name"]
    properties["machineType"] = "e2-small"
    properties["disks"][0]["initializeParams"]["diskType"] = "pd-ssd"
    instant.do("POST", "global/instanceTemplates", {"name": name, "properties": properties})
    template = f"global/instanceTemplates/{name}"
    assert instant.get(template)["properties"]["machineType"] == "e2-small"
    instant.do("POST", VMS, {"name": name}, sourceInstanceTemplate=template)
    made = instant.instance(name)
    assert made["labels"] == {"of": "template"}
    assert made["machineType"].endswith(f"{ZONE}/machineTypes/e2-small")
    assert instant.get(f"zones/{ZONE}/disks/{name}")["type"].endswith("pd-ssd")
    other = {"name": f"{name}-2", "machineType": f"zones/{ZONE}/machineTypes/e2-medium"}
    instant.do("POST", VMS, other, sourceInstanceTemplate=template)
    assert instant.instance(f"{name}-2")["machineType"].endswith("e2-medium")
    for each in (name, f"{name}-2"):
        instant.do("DELETE", f"{VMS}/{each}")
    instant.do("DELETE", template)
    instant.fails(404, "notFound", "GET", template)


@pytest.mark.parametrize("kind", ["INTERNAL", "EXTERNAL"])
def test_reserved_addresses_survive_a_replacement(instant: Gce, name: str, kind: str) -> None:
    instant.do("POST", ADDRESSES, {"name": name, "addressType": kind})
    reserved = instant.get(f"{ADDRESSES}/{name}")
    assert reserved["status"] == "RESERVED"
    nic: dict[str, object] = {"network": "global/networks/default"}
    if kind == "INTERNAL":
        nic["networkIP"] = reserved["address"]
    else:
        nic["accessConfigs"] = [{"natIP": reserved["address"]}]
    for _ in range(2):
        made = instant.create(name, networkInterfaces=[nic])
        shown = instant.get(f"{ADDRESSES}/{name}")
        assert (shown["status"], shown["users"]) == ("IN_USE", [made["selfLink"]])
        refused = instance(f"{name}-2", networkInterfaces=[nic])
        instant.fails(400, "badRequest", "POST", VMS, refused)
        instant.fails(400, "resourceInUseByAnotherResource", "DELETE", f"{ADDRESSES}/{name}")
        instant.do("DELETE", f"{VMS}/{name}")
    other = instant.create(f"{name}-3")
    assert other["networkInterfaces"][0]["networkIP"] != reserved["address"]
    instant.do("DELETE", f"{VMS}/{name}-3")
    instant.do("DELETE", f"{ADDRESSES}/{name}")


def test_ephemeral_addresses_are_released_at_stop(instant: Gce, name: str) -> None:
    nic = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    before = instant.create(name, networkInterfaces=[nic])["networkInterfaces"][0]
    instant.do("POST", f"{VMS}/{name}/stop")
    off = instant.instance(name)["networkInterfaces"][0]
    assert "natIP" not in off["accessConfigs"][0]
    assert off["networkIP"] == before["networkIP"]
    late = {"name": name, "address": before["accessConfigs"][0]["natIP"]}
    instant.fails(400, "invalid", "POST", ADDRESSES, late)  # nobody holds it any more
    instant.do("POST", f"{VMS}/{name}/start")
    after = instant.instance(name)["networkInterfaces"][0]
    assert after["accessConfigs"][0]["natIP"].startswith("127.")
    instant.do("POST", f"{VMS}/{name}/suspend")
    kept = instant.instance(name)["networkInterfaces"][0]
    assert kept["accessConfigs"] == after["accessConfigs"]
    instant.do("DELETE", f"{VMS}/{name}")


def test_invalid_addresses_are_rejected(instant: Gce, name: str) -> None:
    outside = {"name": name, "addressType": "INTERNAL", "address": "192.168.0.1"}
    instant.fails(400, "invalid", "POST", ADDRESSES, outside)
    instant.fails(400, "invalid", "POST", ADDRESSES, {"name": name, "address": "8.8.8.8"})
    nic = {"accessConfigs": [{"natIP": "8.8.8.8"}]}
    instant.fails(400, "invalid", "POST", VMS, instance(name, networkInterfaces=[nic]))
    assert name not in {made["name"] for path in (ADDRESSES, VMS) for made in instant.items(path)}


@pytest.mark.parametrize("action", ["STOP", "DELETE"])
def test_a_run_ends_at_its_deadline(make_server: Callable[..., Server], action: str) -> None:
    server = make_server("--clock", "manual")
    gce = server.start()
    end = {"maxRunDuration": {"seconds": "3600"}, "instanceTerminationAction": action}
    made = gce.create("short", scheduling=end)
    assert "terminationTimestamp" in made["resourceStatus"]["scheduling"]
    gce.admin("POST", "clock", {"advance": 3599})
    assert gce.instance("short")["status"] == "RUNNING"
    gce.admin("POST", "clock", {"advance": 1})
    if action == "STOP":
        assert gce.instance("short")["status"] == "TERMINATED"
    else:
        gce.fails(404, "notFound", "GET", f"{VMS}/short")


@pytest.mark.parametrize(("how", "grace"), [("preempt", 30), ("stop", 90)])
def test_an_unresponsive_guest_is_powered_off_after_the_grace_period(
    make_server: Callable[..., Server], how: str, grace: int
) -> None:
    gce = make_server("--clock", "manual").start()
    gce.create("deaf", scheduling={"provisioningModel": "SPOT"})
    gce.admin("POST", "faults", {"kind": "freeze", "instance": "deaf"})
    if how == "preempt":
        gce.admin("POST", "faults", {"kind": "preempt", "instance": "deaf"})
    else:
        gce.start("POST", f"{VMS}/deaf/stop")
    gce.until(lambda: gce.instance("deaf")["status"] == "STOPPING")
    gce.admin("POST", "clock", {"advance": grace - 1})
    assert gce.instance("deaf")["status"] == "STOPPING"
    gce.admin("POST", "clock", {"advance": 1})
    gce.until(lambda: gce.instance("deaf")["status"] == "TERMINATED")


def test_a_run_duration_needs_a_termination_action(instant: Gce, name: str) -> None:
    end = {"maxRunDuration": {"seconds": "3600"}}
    instant.fails(400, "required", "POST", VMS, instance(name, scheduling=end))
    assert name not in {made["name"] for made in instant.items(VMS)}


def test_a_maintenance_is_announced(make_server: Callable[..., Server]) -> None:
    gce = make_server("--clock", "manual").start()
    gce.create("moved")
    operation = gce.start("POST", f"{VMS}/moved/simulateMaintenanceEvent")
    gce.admin("POST", "clock", {"advance": 60})
    assert "error" not in gce.finish(operation)
    kinds = {op["operationType"] for op in gce.items(f"zones/{ZONE}/operations")}
    assert "compute.instances.migrateOnHostMaintenance" in kinds
    assert gce.instance("moved")["status"] == "RUNNING"


def test_quotas_are_counted_and_enforced(make_server: Callable[..., Server]) -> None:
    gce = make_server().start()
    gce.admin("POST", "quotas", {"region": "us-central1", "metric": "CPUS", "limit": 3})
    gce.create("one")
    message = gce.fails(403, "quotaExceeded", "POST", VMS, instance("two"))
    assert message == "Quota 'CPUS' exceeded.  Limit: 3.0 in region us-central1."
    shown = {q["metric"]: q for q in gce.get("regions/us-central1")["quotas"]}
    assert shown["CPUS"] == {"metric": "CPUS", "limit": 3.0, "usage": 2.0}
    gce.do("POST", f"{VMS}/one/stop")
    gce.create("two")
    nonsense = {"region": "mars", "metric": "CPUS", "limit": 3}
    assert gce.http.post("/_localgce/quotas", json=nonsense).status_code == 400
