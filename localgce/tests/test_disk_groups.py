"""Disks of a consistency group are cloned together; disks are replicated to another region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, REGION, ZONE, instance
from .guests import SLOW, script

if TYPE_CHECKING:
    from .gce import Gce

DISKS = f"zones/{ZONE}/disks"
VMS = f"zones/{ZONE}/instances"
FAR = "europe-west1"
FAR_DISKS = f"zones/{FAR}-b/disks"
FAR_VMS = f"zones/{FAR}-b/instances"


def consistency_group(gce: Gce, name: str, region: str = REGION) -> str:
    """The link of a new policy."""
    body = {"name": name, "diskConsistencyGroupPolicy": {}}
    gce.do("POST", f"regions/{region}/resourcePolicies", body)
    return f"regions/{region}/resourcePolicies/{name}"


def says(gce: Gce, path: str, text: str) -> bool:
    """Whether the guest's first serial port shows it."""
    return text in str(gce.get(f"{path}/serialPort")["contents"])


def states(disk: dict[str, Any]) -> list[str]:
    """The states of its replications, in both directions."""
    status = disk.get("resourceStatus", {})
    found = [*status.get("asyncSecondaryDisks", {}).values(), status.get("asyncPrimaryDisk")]
    return [each["state"] for each in found if each]


def test_the_disks_of_a_consistency_group_are_cloned(instant: Gce, name: str) -> None:
    policy = consistency_group(instant, name)
    for number in (1, 2):
        body = {"name": f"{name}-{number}", "sizeGb": str(10 * number)}
        instant.do("POST", DISKS, {**body, "resourcePolicies": [policy]})
    instant.do("POST", DISKS, {"name": f"{name}-3", "sizeGb": "1"})
    body = {"sourceConsistencyGroupPolicy": policy}
    done = instant.do("POST", f"{DISKS}/bulkInsert", body)
    group = f"operationGroupId={done['operationGroupId']}"
    assert len(instant.items(f"zones/{ZONE}/operations", filter=group)) == 3
    clones = [d for d in instant.items(DISKS) if "sourceConsistencyGroupPolicy" in d]
    own = [d for d in clones if name in d["name"]]
    assert sorted((d["sourceDisk"].rsplit("/", 1)[1], d["sizeGb"], d["status"]) for d in own) == [
        (f"{name}-1", "10", "READY"),
        (f"{name}-2", "20", "READY"),
    ]
    assert len({d["name"].rpartition("-")[2] for d in own}) == 1
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "sourceConsistencyGroupPolicy"),
        ({"snapshotGroupParameters": {"sourceSnapshotGroup": "x"}}, "snapshotGroupParameters"),
    )
    for given, field in refused:
        response = instant.call("POST", f"{DISKS}/bulkInsert", given)
        assert (response.status_code, f"'resource.{field}'" in response.text) == (400, True)
    empty = consistency_group(instant, f"{name}-e")
    body = {"sourceConsistencyGroupPolicy": empty}
    instant.fails(400, "invalid", "POST", f"{DISKS}/bulkInsert", body)
    for each in instant.items(DISKS):
        if name in each["name"]:
            instant.do("DELETE", f"{DISKS}/{each['name']}")


@pytest.mark.timeout(1500)
def test_the_secondary_disk_has_the_primary_s_content_once_replication_is_stopped(
    gce: Gce, name: str
) -> None:
    """Until then nobody can use it; a machine may write to the primary disk meanwhile."""
    write = "echo hello >/mark && sync && echo written >/dev/ttyS0"
    told = "write boot /mark hello\nserial written"
    gce.create(name, metadata={"instant-script": told, **script(write)})
    gce.until(lambda: says(gce, f"{VMS}/{name}", "written"), SLOW)
    primary, secondary = f"{DISKS}/{name}", f"{FAR_DISKS}/{name}-2"
    body = {"name": f"{name}-2", "asyncPrimaryDisk": {"disk": primary}}
    gce.fails(400, "invalid", "POST", DISKS, body)  # of the same region
    gce.fails(400, "invalid", "POST", FAR_DISKS, {**body, "sizeGb": "500"})
    gce.fails(400, "invalid", "POST", FAR_DISKS, {**body, "sourceImage": DEBIAN})
    gce.do("POST", FAR_DISKS, body)
    assert gce.get(secondary)["asyncPrimaryDisk"]["disk"] == gce.get(primary)["selfLink"]
    assert states(gce.get(secondary)) == ["CREATED"]
    gce.fails(400, "invalidUsage", "POST", f"{primary}/stopAsyncReplication")
    begin = {"asyncSecondaryDisk": secondary}
    own = {"asyncSecondaryDisk": primary}
    gce.fails(400, "invalid", "POST", f"{primary}/startAsyncReplication", own)
    gce.do("POST", f"{primary}/startAsyncReplication", begin)
    assert states(gce.get(primary)) == states(gce.get(secondary)) == ["ACTIVE"]
    shown = gce.get(primary)["asyncSecondaryDisks"]
    assert list(shown) == [f"projects/demo/{secondary}"]  # as Terraform's provider looks for it
    far = {"machineType": f"zones/{FAR}-b/machineTypes/e2-small"}
    boot = {"boot": True, "source": secondary}
    show = {"instant-script": "show boot /mark", **script('echo "/mark: $(cat /mark)" >/dev/ttyS0')}
    booted = instance(f"{name}-2", disks=[boot], metadata=show, **far)
    gce.fails(400, "invalidUsage", "POST", FAR_VMS, booted)
    gce.fails(400, "invalidUsage", "DELETE", secondary)
    gce.fails(400, "invalidUsage", "POST", f"{primary}/resize", {"sizeGb": "40"})

    gce.do("POST", f"{secondary}/stopAsyncReplication")  # from either side
    assert states(gce.get(primary)) == states(gce.get(secondary)) == ["STOPPED"]
    gce.do("POST", FAR_VMS, booted)
    assert gce.get(f"{FAR_VMS}/{name}-2")["status"] == "RUNNING"
    gce.until(lambda: says(gce, f"{FAR_VMS}/{name}-2", "/mark: hello"), SLOW)
    gce.do("DELETE", f"{FAR_VMS}/{name}-2")
    gce.do("DELETE", f"{VMS}/{name}")
    gce.do("DELETE", secondary)


def test_the_replication_of_a_consistency_group_is_stopped_at_once(instant: Gce, name: str) -> None:
    policy = consistency_group(instant, name)
    for number in (1, 2):
        own = f"{name}-{number}"
        instant.do("POST", DISKS, {"name": own, "sizeGb": "1", "resourcePolicies": [policy]})
        body = {"name": f"{own}-far", "asyncPrimaryDisk": {"disk": f"{DISKS}/{own}"}}
        instant.do("POST", FAR_DISKS, body)
        begin = {"asyncSecondaryDisk": f"{FAR_DISKS}/{own}-far"}
        instant.do("POST", f"{DISKS}/{own}/startAsyncReplication", begin)
    stop = f"{DISKS}/stopGroupAsyncReplication"
    instant.do("POST", stop, {"resourcePolicy": policy})
    for number in (1, 2):
        assert states(instant.get(f"{DISKS}/{name}-{number}")) == ["STOPPED"]
        assert states(instant.get(f"{FAR_DISKS}/{name}-{number}-far")) == ["STOPPED"]
    instant.fails(400, "invalid", "POST", stop, {"resourcePolicy": policy})
    far = consistency_group(instant, name, FAR)
    instant.fails(400, "invalid", "POST", stop, {"resourcePolicy": far})
    for number in (1, 2):
        instant.do("DELETE", f"{DISKS}/{name}-{number}")
        instant.do("DELETE", f"{FAR_DISKS}/{name}-{number}-far")
