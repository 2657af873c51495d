"""Disks of a region: two zones have a copy, and an instance of either can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, REGION, ZONE, Gce, instance

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = f"{REGION}-b"
ZONES = [f"zones/{ZONE}", f"https://www.googleapis.com/compute/v1/projects/demo/zones/{OTHER}"]
DISKS = f"regions/{REGION}/disks"


@pytest.fixture
def disk(gce: Gce, name: str) -> Iterator[dict[str, Any]]:
    """A regional disk of 10 GB."""
    kind = f"regions/{REGION}/diskTypes/pd-balanced"
    gce.do("POST", DISKS, {"name": name, "sizeGb": "10", "replicaZones": ZONES, "type": kind})
    yield gce.get(f"{DISKS}/{name}")
    gce.do("DELETE", f"{DISKS}/{name}")


def test_a_regional_disk_lives_as_a_zonal_one_does(gce: Gce, disk: dict[str, Any]) -> None:
    path = f"{DISKS}/{disk['name']}"
    assert (disk["status"], disk["sizeGb"]) == ("READY", "10")
    assert disk["region"].endswith(f"/regions/{REGION}")
    assert "zone" not in disk
    assert [zone.rsplit("/", 1)[1] for zone in disk["replicaZones"]] == [ZONE, OTHER]
    assert disk["type"].endswith(f"/regions/{REGION}/diskTypes/pd-balanced")
    labels = {"labels": {"of": "test"}, "labelFingerprint": disk["labelFingerprint"]}
    done = gce.do("POST", f"{path}/setLabels", labels)
    assert done["region"].endswith(f"/regions/{REGION}")
    gce.do("POST", f"{path}/resize", {"sizeGb": "12"})
    now = gce.get(path)
    assert (now["labels"], now["sizeGb"]) == ({"of": "test"}, "12")
    assert disk["name"] in {one["name"] for one in gce.items(DISKS)}
    listed = gce.get("aggregated/disks")["items"][f"regions/{REGION}"]["disks"]
    assert disk["name"] in {one["name"] for one in listed}
    gce.fails(404, "notFound", "GET", f"zones/{ZONE}/disks/{disk['name']}")


def test_a_regional_disk_is_written_in_one_zone_and_read_in_the_other(
    instant: Gce, name: str
) -> None:
    """Its content is one: what an instance of the first zone has written, one of the other has."""
    instant.do("POST", DISKS, {"name": name, "sizeGb": "10", "replicaZones": ZONES})
    source = f"regions/{REGION}/disks/{name}"
    write = {"instant-script": "write data mark hello", "enable-guest-attributes": "TRUE"}
    boot = instance(name)["disks"][0]
    data = {"source": source, "deviceName": "data"}
    body = instance(f"{name}-1", metadata=write, disks=[boot, data])
    instant.do("POST", f"zones/{ZONE}/instances", body)
    second = instance(f"{name}-2", disks=[boot], machineType=f"zones/{OTHER}/machineTypes/e2-small")
    instant.do("POST", f"zones/{OTHER}/instances", second)
    attach = f"zones/{OTHER}/instances/{name}-2/attachDisk"
    text = instant.fails(400, "resourceInUseByAnotherResource", "POST", attach, data)
    assert f"{source}' is already being used by" in text
    instant.fails(400, "resourceInUseByAnotherResource", "DELETE", f"{DISKS}/{name}")
    instant.do("POST", f"zones/{ZONE}/instances/{name}-1/detachDisk", deviceName="data")
    instant.do("POST", attach, data)
    shown = instant.get(f"zones/{OTHER}/instances/{name}-2")["disks"][1]
    assert shown["source"].endswith(f"projects/demo/{source}")
    third = f"{REGION}-c"
    far = instance(f"{name}-3", disks=[boot, data])
    far["machineType"] = f"zones/{third}/machineTypes/e2-small"
    instant.fails(400, "invalid", "POST", f"zones/{third}/instances", far)
    for zone, number in ((ZONE, 1), (OTHER, 2)):
        instant.do("DELETE", f"zones/{zone}/instances/{name}-{number}")
    instant.do("DELETE", f"{DISKS}/{name}")


def test_a_regional_disk_is_attached_by_force_where_another_instance_has_it(
    gce: Gce, disk: dict[str, Any]
) -> None:
    """As for the failover of a zone: the other instance has it no more."""
    name = disk["name"]
    data = {"source": f"{DISKS}/{name}", "deviceName": "data"}
    boot = instance(name)["disks"][0]
    here, there = f"zones/{ZONE}/instances", f"zones/{OTHER}/instances"
    machine_type = f"zones/{OTHER}/machineTypes/e2-small"
    gce.do("POST", here, instance(f"{name}-1", disks=[boot, data]))
    gce.do("POST", there, instance(f"{name}-2", disks=[boot], machineType=machine_type))
    attach = f"{there}/{name}-2/attachDisk"
    gce.fails(400, "resourceInUseByAnotherResource", "POST", attach, data)
    gce.do("POST", attach, data, forceAttach=True)
    first, second = gce.get(f"{here}/{name}-1"), gce.get(f"{there}/{name}-2")
    assert [entry["boot"] for entry in first["disks"]] == [True]
    assert [entry["source"] for entry in second["disks"][1:]] == [disk["selfLink"]]
    assert gce.get(f"{DISKS}/{name}")["users"] == [second["selfLink"]]
    by_force = instance(f"{name}-3", disks=[boot, {**data, "forceAttach": True}])
    gce.do("POST", here, by_force)
    third = gce.get(f"{here}/{name}-3")
    assert gce.get(f"{DISKS}/{name}")["users"] == [third["selfLink"]]
    assert len(gce.get(f"{there}/{name}-2")["disks"]) == 1
    zonal = {"source": third["disks"][0]["source"]}
    text = gce.fails(400, "invalid", "POST", f"{here}/{name}-1/attachDisk", zonal, forceAttach=True)
    assert "Only a regional disk" in text
    for path in (f"{here}/{name}-1", f"{there}/{name}-2", f"{here}/{name}-3"):
        gce.do("DELETE", path)


def test_a_machine_that_runs_from_a_regional_disk_taken_by_force_is_off(
    instant: Gce, name: str
) -> None:
    made = {"name": name, "sizeGb": "10", "replicaZones": ZONES, "sourceImage": DEBIAN}
    instant.do("POST", DISKS, made)
    boot = {"source": f"{DISKS}/{name}", "boot": True, "autoDelete": False}
    here, there = f"zones/{ZONE}/instances", f"zones/{OTHER}/instances"
    instant.do("POST", here, instance(f"{name}-1", disks=[boot]))
    machine_type = f"zones/{OTHER}/machineTypes/e2-small"
    taking = instance(f"{name}-2", disks=[{**boot, "forceAttach": True}], machineType=machine_type)
    instant.do("POST", there, taking)
    instant.until(lambda: instant.get(f"{here}/{name}-1")["status"] == "TERMINATED")
    assert instant.get(f"{here}/{name}-1").get("disks", []) == []
    assert instant.get(f"{there}/{name}-2")["status"] == "RUNNING"
    for path in (f"{here}/{name}-1", f"{there}/{name}-2", f"{DISKS}/{name}"):
        instant.do("DELETE", path)


def test_a_snapshot_and_clones_of_a_regional_disk(gce: Gce, disk: dict[str, Any]) -> None:
    name = disk["name"]
    gce.do("POST", f"{DISKS}/{name}/createSnapshot", {"name": f"{name}-s"})
    snapshot = gce.get(f"global/snapshots/{name}-s")
    assert snapshot["sourceDisk"] == disk["selfLink"]
    made = {"sourceSnapshot": f"global/snapshots/{name}-s", "replicaZones": ZONES}
    gce.do("POST", DISKS, {"name": f"{name}-a", **made})
    gce.do(
        "POST",
        DISKS,
        {"name": f"{name}-b", "sourceDisk": f"{DISKS}/{name}", **made} | {"sourceSnapshot": ""},
    )
    gce.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-z", "sizeGb": "10"})
    zonal = {"sourceDisk": f"zones/{ZONE}/disks/{name}-z", "replicaZones": ZONES}
    gce.do("POST", DISKS, {"name": f"{name}-c", **zonal})
    for end in "abc":
        assert gce.get(f"{DISKS}/{name}-{end}")["status"] == "READY"
        gce.do("DELETE", f"{DISKS}/{name}-{end}")
    gce.do("DELETE", f"zones/{ZONE}/disks/{name}-z")
    gce.do("DELETE", f"global/snapshots/{name}-s")


@pytest.mark.parametrize(
    "zones",
    [
        None,
        [f"zones/{ZONE}"],
        [f"zones/{ZONE}", f"zones/{ZONE}"],
        [f"zones/{ZONE}", "zones/europe-west1-b"],
        [f"zones/{ZONE}", f"zones/{OTHER}", f"zones/{REGION}-c"],
    ],
)
def test_a_regional_disk_has_two_zones_of_its_region(
    instant: Gce, name: str, zones: list[str] | None
) -> None:
    body = {"name": name, "sizeGb": "10", **({"replicaZones": zones} if zones else {})}
    text = instant.fails(400, "invalid", "POST", DISKS, body)
    assert "replicaZones" in text
    zonal = {"name": name, "replicaZones": ZONES}
    instant.fails(400, "invalid", "POST", f"zones/{ZONE}/disks", zonal)


def test_the_disk_types_of_a_region(instant: Gce) -> None:
    path = f"regions/{REGION}/diskTypes"
    assert [kind["name"] for kind in instant.items(path)] == [
        "pd-balanced",
        "pd-ssd",
        "pd-standard",
    ]
    assert instant.get(f"{path}/pd-ssd")["region"].endswith(f"/regions/{REGION}")
    instant.fails(404, "notFound", "GET", f"{path}/pd-extreme")
    found = instant.get("aggregated/diskTypes", filter="name=pd-ssd")["items"]
    for scope in (f"regions/{REGION}", f"zones/{ZONE}"):
        assert [kind["name"] for kind in found[scope]["diskTypes"]] == ["pd-ssd"]


def test_policies_and_permissions_of_regional_disks(instant: Gce, name: str) -> None:
    instant.do("POST", DISKS, {"name": name, "sizeGb": "10", "replicaZones": ZONES})
    schedule = {"dailySchedule": {"daysInCycle": 1, "startTime": "04:00"}}
    policy = {"name": name, "snapshotSchedulePolicy": {"schedule": schedule}}
    instant.do("POST", f"regions/{REGION}/resourcePolicies", policy)
    link = f"regions/{REGION}/resourcePolicies/{name}"
    instant.do("POST", f"{DISKS}/{name}/addResourcePolicies", {"resourcePolicies": [link]})
    (kept,) = instant.get(f"{DISKS}/{name}")["resourcePolicies"]
    assert kept.endswith(link)
    instant.do("POST", f"{DISKS}/{name}/removeResourcePolicies", {"resourcePolicies": [link]})
    assert "resourcePolicies" not in instant.get(f"{DISKS}/{name}")
    asked = {"permissions": ["compute.disks.get"]}
    assert instant.start("POST", f"{DISKS}/{name}/testIamPermissions", asked) == asked
    page = instant.http.get(f"/_localgce/console/projects/demo/{DISKS}/{name}")
    assert page.status_code == 200
    instant.do("DELETE", f"{DISKS}/{name}")
    instant.do("DELETE", f"regions/{REGION}/resourcePolicies/{name}")
