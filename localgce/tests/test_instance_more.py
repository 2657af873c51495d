"""Settings of instances that are kept and answered again, many instances at once, referrers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import REGION, ZONE, instance

if TYPE_CHECKING:
    from .gce import Gce

VMS = f"zones/{ZONE}/instances"
DISKS = f"zones/{ZONE}/disks"
POLICIES = "regions/us-central1/resourcePolicies"


def test_an_external_address_comes_and_goes(instant: Gce, name: str) -> None:
    instant.create(name)
    add, nic = f"{VMS}/{name}/addAccessConfig", {"networkInterface": "nic0"}
    instant.do("POST", add, {"name": "ext"}, **nic)
    (config,) = instant.instance(name)["networkInterfaces"][0]["accessConfigs"]
    assert (config["name"], config["type"]) == ("ext", "ONE_TO_ONE_NAT")
    assert config["natIP"].startswith("127.")
    instant.fails(400, "invalid", "POST", add, {}, **nic)
    instant.fails(400, "invalid", "POST", add, {}, networkInterface="nic7")
    change = {"name": "ext", "networkTier": "STANDARD"}
    instant.do("POST", f"{VMS}/{name}/updateAccessConfig", change, **nic)
    (changed,) = instant.instance(name)["networkInterfaces"][0]["accessConfigs"]
    assert changed == {**config, "networkTier": "STANDARD"}
    gone = f"{VMS}/{name}/deleteAccessConfig"
    instant.fails(404, "notFound", "POST", gone, accessConfig="other", **nic)
    instant.do("POST", gone, accessConfig="ext", **nic)
    assert "accessConfigs" not in instant.instance(name)["networkInterfaces"][0]
    instant.do("DELETE", f"{VMS}/{name}")


def test_an_interface_keeps_its_alias_ranges_and_its_place(instant: Gce, name: str) -> None:
    ranges = [{"ipCidrRange": "10.128.15.0/28"}]
    vm = instant.create(name, networkInterfaces=[{"aliasIpRanges": ranges}])
    (nic,) = vm["networkInterfaces"]
    assert nic["aliasIpRanges"] == ranges
    path, query = f"{VMS}/{name}/updateNetworkInterface", {"networkInterface": "nic0"}
    body: dict[str, Any] = {"aliasIpRanges": [], "fingerprint": nic["fingerprint"]}
    instant.do("PATCH", path, body, **query)
    assert instant.instance(name)["networkInterfaces"][0]["aliasIpRanges"] == []
    instant.fails(412, "conditionNotMet", "PATCH", path, body, **query)
    moved = {"networkIP": "10.128.0.99"}
    instant.fails(400, "invalidResourceUsage", "PATCH", path, moved, **query)
    instant.fails(400, "invalid", "PATCH", path, {"stackType": "IPV4_IPV6"}, **query)
    instant.do("DELETE", f"{VMS}/{name}")


def test_an_interface_of_a_stopped_instance_moves_to_another_network(
    instant: Gce, name: str
) -> None:
    instant.do("POST", "global/networks", {"name": name, "autoCreateSubnetworks": False})
    network = f"global/networks/{name}"
    subnetwork = {"name": name, "network": network, "ipCidrRange": "10.9.0.0/24"}
    instant.do("POST", f"regions/{REGION}/subnetworks", subnetwork)
    instant.create(name, networkInterfaces=[{"accessConfigs": [{"natIP": ""}]}])
    instant.do("POST", f"{VMS}/{name}/stop")
    (before,) = instant.instance(name)["networkInterfaces"]
    path, query = f"{VMS}/{name}/updateNetworkInterface", {"networkInterface": "nic0"}
    outside = {"network": network, "networkIP": "10.8.0.9"}
    instant.fails(400, "invalid", "PATCH", path, outside, **query)
    of_another = {"network": network, "subnetwork": before["subnetwork"]}
    instant.fails(400, "invalid", "PATCH", path, of_another, **query)
    instant.do("PATCH", path, {"network": network, "fingerprint": before["fingerprint"]}, **query)
    (moved,) = instant.instance(name)["networkInterfaces"]
    assert moved["network"].endswith(network)
    assert moved["subnetwork"].endswith(f"regions/{REGION}/subnetworks/{name}")
    assert moved["networkIP"] == "10.9.0.2"
    assert moved["accessConfigs"] == before["accessConfigs"]
    instant.do("PATCH", path, {"networkIP": "10.9.0.77"}, **query)
    (moved,) = instant.instance(name)["networkInterfaces"]
    assert (moved["networkIP"], moved["subnetwork"].endswith(name)) == ("10.9.0.77", True)
    instant.do("POST", f"{VMS}/{name}/start")
    # what it had before is free for others
    other = instant.create(f"{name}-2", networkInterfaces=[{"networkIP": before["networkIP"]}])
    assert other["networkInterfaces"][0]["networkIP"] == before["networkIP"]
    for each in (name, f"{name}-2"):
        instant.do("DELETE", f"{VMS}/{each}")
    instant.do("DELETE", f"regions/{REGION}/subnetworks/{name}")
    instant.do("DELETE", network)


def test_settings_without_effect_are_kept(instant: Gce, name: str) -> None:
    instant.create(name)
    path = f"{VMS}/{name}"
    policy = {"updateAutoLearnPolicy": True}
    instant.do("PATCH", f"{path}/setShieldedInstanceIntegrityPolicy", policy)
    secure = {"enableSecureBoot": True}
    instant.fails(
        400, "invalidResourceUsage", "PATCH", f"{path}/updateShieldedInstanceConfig", secure
    )
    instant.do("POST", f"{path}/stop")
    instant.do("PATCH", f"{path}/updateShieldedInstanceConfig", secure)
    instant.do("PATCH", f"{path}/updateDisplayDevice", {"enableDisplay": True})
    instant.do("POST", f"{path}/setMinCpuPlatform", {"minCpuPlatform": "Intel Skylake"})
    shown = instant.instance(name)
    config = shown["shieldedInstanceConfig"]
    assert (config["enableSecureBoot"], config["enableVtpm"]) == (True, True)
    assert shown["displayDevice"] == {"enableDisplay": True}
    assert shown["minCpuPlatform"] == "Intel Skylake"
    instant.do("DELETE", path)


def test_an_update_changes_what_the_body_has(instant: Gce, name: str) -> None:
    before = instant.create(name)
    body = {**before, "labels": {"a": "b"}, "deletionProtection": True, "tags": {"items": ["web"]}}
    instant.do("PUT", f"{VMS}/{name}", body)
    after = instant.instance(name)
    assert (after["labels"], after["tags"]["items"]) == ({"a": "b"}, ["web"])
    assert after["deletionProtection"] is True
    instant.fails(412, "conditionNotMet", "PUT", f"{VMS}/{name}", {**after, "fingerprint": "AAAA"})
    moved = {**after, "networkInterfaces": []}
    message = instant.fails(400, "invalid", "PUT", f"{VMS}/{name}", moved)
    assert "resource.networkInterfaces" in message
    instant.do("PUT", f"{VMS}/{name}", {**after, "deletionProtection": False})
    instant.do("DELETE", f"{VMS}/{name}")


def test_policies_are_attached_when_they_exist(instant: Gce, name: str) -> None:
    instant.create(name)
    for path in (f"{VMS}/{name}", f"{DISKS}/{name}"):
        body = {"resourcePolicies": [f"{POLICIES}/{name}"]}
        instant.fails(404, "notFound", "POST", f"{path}/addResourcePolicies", body)
        schedule = {"hourlySchedule": {"hoursInCycle": 4, "startTime": "00:00"}}
        policy = {"name": name, "snapshotSchedulePolicy": {"schedule": schedule}}
        instant.do("POST", POLICIES, policy)
        instant.do("POST", f"{path}/addResourcePolicies", body)
        link = f"https://www.googleapis.com/compute/v1/projects/demo/{POLICIES}/{name}"
        assert instant.get(path)["resourcePolicies"] == [link]
        instant.do("POST", f"{path}/removeResourcePolicies", body)
        assert "resourcePolicies" not in instant.get(path)
        instant.fails(400, "invalid", "POST", f"{path}/removeResourcePolicies", body)
        instant.do("DELETE", f"{POLICIES}/{name}")
    instant.do("DELETE", f"{VMS}/{name}")


def test_a_disk_is_changed_field_by_field(instant: Gce, name: str) -> None:
    body = {"name": name, "sizeGb": "10", "provisionedIops": "3000"}
    instant.do("POST", DISKS, body)
    assert instant.get(f"{DISKS}/{name}")["provisionedIops"] == "3000"
    change = {"provisionedIops": "5000", "sizeGb": "12", "labels": {"a": "b"}}
    instant.do("PATCH", f"{DISKS}/{name}", change, paths="provisionedIops")
    shown = instant.get(f"{DISKS}/{name}")
    assert (shown["provisionedIops"], shown["sizeGb"]) == ("5000", "10")
    instant.do("PATCH", f"{DISKS}/{name}", change)
    shown = instant.get(f"{DISKS}/{name}")
    assert (shown["sizeGb"], shown["labels"]) == ("12", {"a": "b"})
    instant.fails(400, "invalid", "PATCH", f"{DISKS}/{name}", {"description": "x"})
    instant.do("DELETE", f"{DISKS}/{name}")


def test_a_clone_has_the_content_of_its_source(instant: Gce, name: str) -> None:
    """Also of a disk that a running machine writes to; the two are apart from then on."""
    write = {"instant-script": "write boot /etc/proof cloned"}
    instant.create(name, metadata=write)
    body = {"name": f"{name}-2", "sourceDisk": f"{DISKS}/{name}"}
    instant.do("POST", DISKS, body)
    clone, source = instant.get(f"{DISKS}/{name}-2"), instant.get(f"{DISKS}/{name}")
    assert (clone["sourceDisk"], clone["sourceDiskId"]) == (source["selfLink"], source["id"])
    assert clone["sizeGb"] == source["sizeGb"]
    instant.fails(400, "invalid", "POST", DISKS, {**body, "name": f"{name}-3", "sizeGb": "1"})
    two = {**body, "name": f"{name}-3", "sourceImage": "global/images/x"}
    instant.fails(400, "invalid", "POST", DISKS, two)
    instant.do("DELETE", f"{VMS}/{name}")
    disk = {"boot": True, "autoDelete": True, "source": f"{DISKS}/{name}-2"}
    show = {"instant-script": "show boot /etc/proof"}
    instant.create(f"{name}-2", metadata=show, disks=[disk])
    path = f"{VMS}/{name}-2/serialPort"
    instant.until(lambda: "/etc/proof: cloned" in instant.get(path)["contents"])
    instant.do("DELETE", f"{VMS}/{name}-2")


@pytest.mark.parametrize(
    "more",
    [
        {"networkInterfaces": [{"ipv6AccessConfigs": [{}]}]},
        {"networkInterfaces": [{"networkAttachment": "projects/p/regions/r/networkAttachments/n"}]},
        {"networkInterfaces": [{"stackType": "IPV4_IPV6"}]},
        {"networkInterfaces": [{"accessConfigs": [{"securityPolicy": "global/x/y"}]}]},
        {"localSsdEncryptionMode": "EPHEMERAL_KEY_ENCRYPTION"},
        {"resourcePolicies": ["regions/us-central1/resourcePolicies/none"]},
    ],
)
def test_nothing_is_dropped_in_silence(instant: Gce, name: str, more: dict[str, Any]) -> None:
    refused = instant.call("POST", VMS, instance(name, **more))
    assert refused.status_code in {400, 404}, refused.text
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}")


def test_many_instances_are_made_with_one_request(instant: Gce, name: str) -> None:
    properties = {k: v for k, v in instance("x").items() if k != "name"}
    properties["machineType"] = "e2-small"
    body = {"count": "3", "namePattern": f"{name}-##", "instanceProperties": properties}
    done = instant.do("POST", f"{VMS}/bulkInsert", body)
    of = f"operationGroupId={done['operationGroupId']}"
    found = instant.items(f"zones/{ZONE}/operations", filter=of)
    assert sorted(one["operationType"] for one in found) == [
        "bulkInsert",
        *["insert"] * 3,
    ]
    names = [f"{name}-0{number}" for number in (1, 2, 3)]
    assert [instant.instance(each)["status"] for each in names] == ["RUNNING"] * 3
    instant.do("POST", f"{VMS}/bulkInsert", {**body, "count": "1"})
    assert instant.instance(f"{name}-04")["status"] == "RUNNING"
    named: dict[str, Any] = {f"{name}-x": {}, names[0]: {}}  # one of them is taken: none is made
    own = {"perInstanceProperties": named, "instanceProperties": properties, "count": "2"}
    instant.fails(409, "alreadyExists", "POST", f"{VMS}/bulkInsert", own)
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}-x")
    for bad in (
        {"count": "0"},
        {"count": "3", "namePattern": "no"},
        {"count": "1", "minCount": "2"},
    ):
        instant.fails(400, "invalid", "POST", f"{VMS}/bulkInsert", {**body, **bad})
    for each in [*names, f"{name}-04"]:
        instant.do("DELETE", f"{VMS}/{each}")


def test_the_referrer_of_an_instance_is_its_group(instant: Gce, name: str) -> None:
    instant.create(name)
    assert "items" not in instant.get(f"{VMS}/{name}/referrers")
    properties = {k: v for k, v in instance("x").items() if k != "name"}
    properties["machineType"] = "e2-small"
    template = {"name": name, "properties": properties}
    instant.do("POST", "global/instanceTemplates", template)
    managers = f"zones/{ZONE}/instanceGroupManagers"
    group = {
        "name": name,
        "instanceTemplate": f"global/instanceTemplates/{name}",
        "targetSize": 1,
        "baseInstanceName": f"{name}-g",
    }
    instant.do("POST", managers, group)
    instant.until(lambda: instant.get(f"{managers}/{name}")["status"]["isStable"])
    referrers = instant.items(f"{VMS}/-/referrers")
    own = [r for r in referrers if r["referrer"].endswith(f"/{managers}/{name}")]
    assert [r["referenceType"] for r in own] == ["MEMBER_OF"]
    instant.do("DELETE", f"{managers}/{name}")
    instant.do("DELETE", f"global/instanceTemplates/{name}")
    instant.do("DELETE", f"{VMS}/{name}")


def test_a_stopped_instance_gets_another_name(instant: Gce, name: str) -> None:
    new = f"{name}-new"
    machine = instant.create(name)
    body = {"name": new, "currentName": name}
    message = instant.fails(400, "invalidResourceUsage", "POST", f"{VMS}/{name}/setName", body)
    assert "must be stopped" in message
    instant.do("POST", f"{VMS}/{name}/stop")
    wrong = {"name": new, "currentName": "other"}
    instant.fails(400, "invalid", "POST", f"{VMS}/{name}/setName", wrong)
    instant.do("POST", f"{VMS}/{name}/setName", body)
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}")
    renamed = instant.instance(new)
    assert (renamed["id"], renamed["name"]) == (machine["id"], new)
    assert renamed["selfLink"].endswith(f"/{VMS}/{new}")
    disk = instant.get(f"zones/{ZONE}/disks/{name}")
    assert disk["users"] == [renamed["selfLink"]]
    instant.do("POST", f"{VMS}/{new}/start")
    assert instant.instance(new)["status"] == "RUNNING"
    other = instance(name)
    other["disks"][0]["initializeParams"]["diskName"] = f"{name}-2"
    instant.do("POST", VMS, other)
    instant.do("POST", f"{VMS}/{name}/stop")
    instant.fails(409, "alreadyExists", "POST", f"{VMS}/{name}/setName", {"name": new})
    for one in (name, new):
        instant.do("DELETE", f"{VMS}/{one}")
