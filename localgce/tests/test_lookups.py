"""What clients ask that nothing depends on: effective rules, usable subnetworks, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .gce import REGION, ZONE

if TYPE_CHECKING:
    from .gce import Gce

VMS = f"zones/{ZONE}/instances"


def test_the_rules_of_an_instance_are_those_for_its_tags(instant: Gce, name: str) -> None:
    instant.create(name, tags={"items": [f"{name}-web"]})
    allow = {"allowed": [{"IPProtocol": "tcp", "ports": ["80"]}]}
    for rule, more in (
        ("a", {"targetTags": [f"{name}-web"], "priority": 7}),
        ("b", {"targetTags": ["other"]}),
        ("c", {"disabled": True}),
    ):
        instant.do("POST", "global/firewalls", {"name": f"{name}-{rule}", **allow, **more})
    path = f"{VMS}/{name}/getEffectiveFirewalls"
    found = [rule["name"] for rule in instant.get(path, networkInterface="nic0")["firewalls"]]
    assert found[0] == f"{name}-a"
    assert {f"{name}-b", f"{name}-c"}.isdisjoint(found)
    assert "default-allow-ssh" in found
    instant.fails(400, "invalid", "GET", path, networkInterface="nic9")
    every = instant.get("global/networks/default/getEffectiveFirewalls")["firewalls"]
    assert {f"{name}-{each}" for each in "abc"} <= {rule["name"] for rule in every}
    for each in "abc":
        instant.do("DELETE", f"global/firewalls/{name}-{each}")
    instant.do("DELETE", f"{VMS}/{name}")


def test_usable_subnetworks_are_those_of_all_regions(instant: Gce) -> None:
    wanted = f"selfLink:regions/{REGION}/"
    found = instant.items("aggregated/subnetworks/listUsable", filter=wanted)
    own = [one for one in found if one["subnetwork"].endswith("/default")]
    assert [one["ipCidrRange"] for one in own] == ["10.128.0.0/20"]
    first = instant.get("aggregated/subnetworks/listUsable", maxResults=1)
    assert (len(first["items"]), "nextPageToken" in first) == (1, True)


def test_the_key_of_a_disk_and_the_project_s_tier_are_recorded(instant: Gce, name: str) -> None:
    keys = [f"projects/p/locations/l/keyRings/r/cryptoKeys/{key}" for key in "ab"]
    path = f"zones/{ZONE}/disks/{name}"
    made = {"name": name, "sizeGb": "1", "diskEncryptionKey": {"kmsKeyName": keys[0]}}
    instant.do("POST", f"zones/{ZONE}/disks", made)
    instant.do("POST", f"{path}/updateKmsKey", {"kmsKeyName": keys[1]})
    assert instant.get(path)["diskEncryptionKey"]["kmsKeyName"] == keys[1]
    instant.do("DELETE", path)
    instant.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "1"})
    instant.fails(400, "invalidUsage", "POST", f"{path}/updateKmsKey", {"kmsKeyName": keys[1]})
    instant.do("DELETE", path)
    for tier in ("STANDARD", "PREMIUM"):
        instant.do("POST", "setDefaultNetworkTier", {"networkTier": tier})
        assert instant.http.get(instant.root).json()["defaultNetworkTier"] == tier
    instant.create(name)
    instant.do("POST", f"{VMS}/{name}/stop")
    instant.do("POST", f"{VMS}/{name}/startWithEncryptionKey", {"disks": []})
    assert instant.instance(name)["status"] == "RUNNING"
    instant.do("DELETE", f"{VMS}/{name}")


def test_a_router_has_a_status_that_says_it_does_nothing(instant: Gce, name: str) -> None:
    path = f"regions/{REGION}/routers/{name}"
    nat = {
        "name": "nat",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
    }
    made = {"name": name, "network": "global/networks/default", "nats": [nat]}
    instant.do("POST", f"regions/{REGION}/routers", made)
    status = instant.get(f"{path}/getRouterStatus")["result"]
    assert status["network"].endswith("/global/networks/default")
    assert [one["numVmEndpointsWithNatMappings"] for one in status["natStatus"]] == [0]
    assert instant.get(f"{path}/getNatMappingInfo").get("result", []) == []
    instant.do("DELETE", path)


def test_a_reservation_has_no_blocks(instant: Gce, name: str) -> None:
    path = f"zones/{ZONE}/reservations"
    own = {"count": "1", "instanceProperties": {"machineType": "n1-standard-1"}}
    instant.do("POST", path, {"name": name, "specificReservation": own})
    assert instant.items(f"{path}/{name}/reservationBlocks") == []
    instant.do("DELETE", f"{path}/{name}")
    instant.fails(404, "notFound", "GET", f"{path}/{name}/reservationBlocks")
