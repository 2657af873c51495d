"""Resources that are recorded: what a client writes is what it reads, after each kind of change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localgce.core.permissions import needed

from .gce import DEBIAN, ZONE, instance

if TYPE_CHECKING:
    from .gce import Gce

REGION = "regions/us-central1"
VMS = f"zones/{ZONE}/instances"
GROUPS = f"zones/{ZONE}/instanceGroups"
SCHEDULE = {"hourlySchedule": {"hoursInCycle": 4, "startTime": "00:00"}}
RECORDED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "global/healthChecks",
        {"type": "TCP", "tcpHealthCheck": {"port": 80}},
        {"checkIntervalSec": 9, "tcpHealthCheck": {"port": 81}},
    ),
    (
        f"{REGION}/healthChecks",
        {"type": "HTTP", "httpHealthCheck": {"port": 80}},
        {"timeoutSec": 3, "httpHealthCheck": {"port": 80, "requestPath": "/up"}},
    ),
    (
        f"{REGION}/resourcePolicies",
        {"snapshotSchedulePolicy": {"schedule": SCHEDULE}},
        {"description": "each night"},
    ),
]


@pytest.mark.parametrize(("path", "body", "change"), RECORDED, ids=lambda value: str(value)[:30])
def test_what_is_written_is_read_again(
    instant: Gce, name: str, path: str, body: dict[str, Any], change: dict[str, Any]
) -> None:
    instant.do("POST", path, {"name": name, **body})
    own = f"{path}/{name}"
    first = instant.get(own)
    assert {**first, **body} == first
    assert first["selfLink"].endswith(own)
    assert first in instant.items(path)
    instant.do("PATCH", own, change)
    patched = instant.get(own)
    assert {**first, **change} == patched
    assert instant.get(own) == patched  # a second plan finds no difference
    instant.fails(409, "alreadyExists", "POST", path, {"name": name, **body})
    instant.do("DELETE", own)
    instant.fails(404, "notFound", "GET", own)


def test_a_patch_clears_what_it_sets_to_null(instant: Gce, name: str) -> None:
    path = "global/healthChecks"
    check = {"port": 80, "request": "hi", "response": "there"}
    instant.do("POST", path, {"name": name, "type": "TCP", "tcpHealthCheck": check})
    own = f"{path}/{name}"
    instant.do("PATCH", own, {"tcpHealthCheck": {"request": None, "port": 81}})
    assert instant.get(own)["tcpHealthCheck"] == {"port": 81, "response": "there"}
    instant.do("PATCH", own, {"tcpHealthCheck": None})
    assert "tcpHealthCheck" not in instant.get(own)
    instant.do("DELETE", own)


def test_keys_are_kept_a_raw_one_by_its_hash_only(instant: Gce, name: str) -> None:
    managed = {"kmsKeyName": "projects/demo/locations/us/keyRings/r/cryptoKeys/k"}
    body = instance(name)
    body["disks"][0]["diskEncryptionKey"] = managed
    instant.do("POST", VMS, body)
    assert instant.instance(name)["disks"][0]["diskEncryptionKey"] == managed
    assert instant.get(f"zones/{ZONE}/disks/{name}")["diskEncryptionKey"] == managed
    raw = {"rawKey": "SGVsbG8gZnJvbSBHb29nbGUgQ2xvdWQgUGxhdGZvcm0="}  # of Google's documentation
    instant.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-d", "diskEncryptionKey": raw})
    shown = instant.get(f"zones/{ZONE}/disks/{name}-d")["diskEncryptionKey"]
    assert shown == {"sha256": "esTuF7d4eatX4cnc4JsiEiaI+Rff78JgPhA/v1zxX9E="}
    for wrong in ("short", "é", "SGVsbG8="):
        body = {"name": f"{name}-e", "diskEncryptionKey": {"rawKey": wrong}}
        told = instant.fails(400, "invalid", "POST", f"zones/{ZONE}/disks", body)
        assert "diskEncryptionKey.rawKey" in told
    instant.do("DELETE", f"{VMS}/{name}")
    instant.do("DELETE", f"zones/{ZONE}/disks/{name}-d")


def test_a_snapshot_keeps_its_chain_and_drops_nothing_in_silence(instant: Gce, name: str) -> None:
    disk = f"zones/{ZONE}/disks/{name}"
    instant.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "1"})
    instant.do("POST", "global/snapshots", {"name": name, "sourceDisk": disk, "chainName": "c"})
    assert instant.get(f"global/snapshots/{name}")["chainName"] == "c"
    of_instant = {"name": f"{name}-2", "sourceDisk": disk, "sourceInstantSnapshot": "x"}
    told = instant.fails(400, "invalid", "POST", "global/snapshots", of_instant)
    assert "resource.sourceInstantSnapshot" in told
    instant.do("DELETE", f"global/snapshots/{name}")
    instant.do("DELETE", disk)


def test_an_update_gives_back_the_defaults_of_what_it_does_not_name(
    instant: Gce, name: str
) -> None:
    path = "global/healthChecks"
    body = {"name": name, "type": "TCP", "checkIntervalSec": 30, "description": "old"}
    instant.do("POST", path, body)
    instant.do("PUT", f"{path}/{name}", {"name": name, "type": "TCP"})
    shown = instant.get(f"{path}/{name}")
    assert shown["checkIntervalSec"] == 5
    assert "description" not in shown
    instant.do("DELETE", f"{path}/{name}")


def test_a_firewall_is_replaced_by_an_update(instant: Gce, name: str) -> None:
    path = "global/firewalls"
    allowed = [{"IPProtocol": "tcp", "ports": ["80"]}]
    instant.do("POST", path, {"name": name, "allowed": allowed, "targetTags": ["web"]})
    operation = instant.do("PUT", f"{path}/{name}", {"name": name, "denied": allowed})
    assert operation["operationType"] == "compute.firewalls.update"
    shown = instant.get(f"{path}/{name}")
    assert (shown["denied"], shown["priority"]) == (allowed, 1000)
    assert not {"allowed", "targetTags"} & set(shown)
    instant.fails(400, "invalid", "PUT", f"{path}/{name}", {"name": name})
    instant.do("DELETE", f"{path}/{name}")


def test_an_autoscaler_is_of_a_group_that_exists(instant: Gce, name: str) -> None:
    path = f"zones/{ZONE}/autoscalers"
    body = {"name": name, "target": f"zones/{ZONE}/instanceGroupManagers/none"}
    instant.fails(404, "notFound", "POST", path, body)
    instant.fails(400, "required", "POST", path, {"name": name})


def test_an_autoscaler_of_a_region_is_kept_and_listed_among_all(instant: Gce, name: str) -> None:
    disk = {"boot": True, "initializeParams": {"sourceImage": DEBIAN}}
    properties = {"machineType": "e2-small", "disks": [disk]}
    properties["networkInterfaces"] = [{"network": "global/networks/default"}]
    templates, groups = "global/instanceTemplates", f"{REGION}/instanceGroupManagers"
    instant.do("POST", templates, {"name": name, "properties": properties})
    group = {"name": name, "targetSize": 0, "instanceTemplate": f"{templates}/{name}"}
    instant.do("POST", groups, group)
    path = f"{REGION}/autoscalers"
    policy = {"minNumReplicas": 1, "maxNumReplicas": 4}
    target = f"{groups}/{name}"
    instant.do("POST", path, {"name": name, "target": target, "autoscalingPolicy": policy})
    change = {"name": name, "autoscalingPolicy": {"maxNumReplicas": 5}}
    instant.do("PATCH", path, change, autoscaler=name)
    shown = instant.get(f"{path}/{name}")
    assert shown["autoscalingPolicy"] == {**policy, "maxNumReplicas": 5}
    assert (shown["region"].endswith("us-central1"), "zone" in shown) == (True, False)
    scopes = instant.get("aggregated/autoscalers")["items"]
    assert [one["name"] for one in scopes[REGION]["autoscalers"]] == [name]
    instant.do("DELETE", f"{path}/{name}")
    instant.do("DELETE", target)
    instant.do("DELETE", f"{templates}/{name}")


def test_a_reservation_is_resized(instant: Gce, name: str) -> None:
    path = f"zones/{ZONE}/reservations"
    own = {"count": "2", "instanceProperties": {"machineType": "n1-standard-1"}}
    instant.do("POST", path, {"name": name, "specificReservation": own})
    instant.do("POST", f"{path}/{name}/resize", {"specificSkuCount": "5"})
    assert instant.get(f"{path}/{name}")["specificReservation"] == {**own, "count": "5"}
    instant.do("DELETE", f"{path}/{name}")


def test_a_route_is_of_a_network_that_exists(instant: Gce, name: str) -> None:
    body = {"name": name, "destRange": "10.9.0.0/16", "priority": 1000, "nextHopIp": "10.128.0.9"}
    path = "global/routes"
    missing = {**body, "network": "global/networks/none"}
    instant.fails(404, "notFound", "POST", path, missing)
    instant.do("POST", path, {**body, "network": "global/networks/default"})
    shown = instant.get(f"{path}/{name}")
    assert shown["network"].endswith("/projects/demo/global/networks/default")
    instant.do("DELETE", f"{path}/{name}")


def test_an_unmanaged_group_has_the_instances_that_it_is_given(instant: Gce, name: str) -> None:
    instant.create(name)
    instant.do("POST", GROUPS, {"name": name})
    one = {"instances": [{"instance": f"{VMS}/{name}"}]}
    instant.do("POST", f"{GROUPS}/{name}/addInstances", one)
    instant.fails(400, "invalid", "POST", f"{GROUPS}/{name}/addInstances", one)
    group = instant.get(f"{GROUPS}/{name}")
    assert (group["size"], group["network"].rsplit("/", 1)[-1]) == (1, "default")
    listed = instant.start("POST", f"{GROUPS}/{name}/listInstances", {})["items"]
    assert [item["instance"].rsplit("/", 1)[-1] for item in listed] == [name]
    ports = [{"name": "http", "port": 8080}]
    body = {"namedPorts": ports, "fingerprint": group["fingerprint"]}
    instant.do("POST", f"{GROUPS}/{name}/setNamedPorts", body)
    instant.fails(412, "conditionNotMet", "POST", f"{GROUPS}/{name}/setNamedPorts", body)
    assert instant.get(f"{GROUPS}/{name}")["namedPorts"] == ports
    instant.do("POST", f"{GROUPS}/{name}/removeInstances", one)
    assert instant.get(f"{GROUPS}/{name}")["size"] == 0
    instant.do("POST", f"{GROUPS}/{name}/addInstances", one)
    instant.do("DELETE", f"{VMS}/{name}")
    assert instant.get(f"{GROUPS}/{name}")["size"] == 0  # a deleted instance is no member
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_accelerator_types_and_licenses_can_be_looked_up(instant: Gce, name: str) -> None:
    kinds = {item["name"] for item in instant.items(f"zones/{ZONE}/acceleratorTypes")}
    assert "nvidia-tesla-t4" in kinds
    assert instant.get(f"zones/{ZONE}/acceleratorTypes/nvidia-l4")["maximumCardsPerInstance"] == 8
    instant.fails(404, "notFound", "GET", f"zones/{ZONE}/acceleratorTypes/none")
    public = "/compute/v1/projects/debian-cloud/global/licenses/debian-12-bookworm"
    assert instant.http.get(public).json()["name"] == "debian-12-bookworm"
    wanted = [{"acceleratorType": f"zones/{ZONE}/acceleratorTypes/none", "acceleratorCount": 1}]
    body = instance(name, guestAccelerators=wanted)
    assert "acceleratorType" in instant.fails(400, "invalid", "POST", VMS, body)


def test_a_policy_is_kept_and_guarded_by_its_etag(instant: Gce, name: str) -> None:
    path = f"zones/{ZONE}/disks"
    instant.do("POST", path, {"name": name, "sizeGb": "10"})
    empty = instant.get(f"{path}/{name}/getIamPolicy")
    assert not empty.get("bindings")
    bindings = [{"role": "roles/compute.viewer", "members": ["user:jo@example.org"]}]
    body = {"policy": {"bindings": bindings, "etag": empty["etag"]}}
    changed = instant.start("POST", f"{path}/{name}/setIamPolicy", body)
    assert changed["bindings"] == bindings
    assert instant.get(f"{path}/{name}/getIamPolicy") == changed
    instant.fails(409, "aborted", "POST", f"{path}/{name}/setIamPolicy", body)
    instant.do("DELETE", f"{path}/{name}")


def test_a_denied_permission_is_missing_everywhere(instant: Gce, name: str) -> None:
    instant.create(name)
    asked = ["compute.instances.get", "compute.instances.delete"]
    tested = f"{VMS}/{name}/testIamPermissions"
    assert instant.start("POST", tested, {"permissions": asked})["permissions"] == asked
    rule = {"kind": "deny_permission", "permission": "compute.instances.delete"}
    instant.admin("POST", "faults", rule)
    try:
        assert instant.start("POST", tested, {"permissions": asked})["permissions"] == asked[:1]
        message = instant.fails(403, "forbidden", "DELETE", f"{VMS}/{name}")
        where = f"projects/demo/{VMS}/{name}"
        assert message == f"Required 'compute.instances.delete' permission for '{where}'"
        assert instant.instance(name)["status"] == "RUNNING"
    finally:
        instant.admin("DELETE", "faults")
    instant.do("DELETE", f"{VMS}/{name}")


@pytest.mark.parametrize(
    ("permission", "more"),
    [
        ("compute.instances.create", {}),
        ("compute.disks.create", {}),
        ("compute.subnetworks.use", {}),
        ("compute.subnetworks.useExternalIp", {"networkInterfaces": [{"accessConfigs": [{}]}]}),
        ("compute.instances.setLabels", {"labels": {"a": "b"}}),
        ("iam.serviceAccounts.actAs", {"serviceAccounts": [{"email": "default"}]}),
        ("compute.instances.setServiceAccount", {"serviceAccounts": [{"email": "default"}]}),
        ("compute.*", {}),
    ],
)
def test_an_insert_needs_the_permissions_of_all_that_it_makes(
    instant: Gce, name: str, permission: str, more: dict[str, Any]
) -> None:
    instant.admin("POST", "faults", {"kind": "deny_permission", "permission": permission})
    try:
        message = instant.fails(403, "forbidden", "POST", VMS, instance(name, **more))
    finally:
        instant.admin("DELETE", "faults")
    assert message.startswith("Required '")
    assert message.endswith(f"permission for 'projects/demo/{VMS}/{name}'")
    instant.fails(404, "notFound", "GET", f"{VMS}/{name}")


def test_the_log_of_requests_says_who_asked_and_which_permissions_it_takes(
    instant: Gce, name: str
) -> None:
    instant.create(name, labels={"a": "b"}, tags={"items": ["web"]})
    device = instant.instance(name)["disks"][0]["deviceName"]
    path = f"{VMS}/{name}/setDiskAutoDelete"
    instant.do("POST", path, autoDelete="false", deviceName=device)
    logged = instant.admin("GET", "requests")["requests"]
    mine = [one for one in logged if one.get("resource") == name]
    asked = {permission for one in mine for permission in one["permissions"]}
    assert asked >= {
        *("compute.instances.create", "compute.disks.create", "compute.images.useReadOnly"),
        *("compute.subnetworks.use", "compute.instances.setLabels", "compute.instances.setTags"),
        *("compute.instances.setDiskAutoDelete", "compute.disks.update"),
    }
    assert "iam.serviceAccounts.actAs" not in asked
    assert all(one["agent"].startswith("python-httpx/") for one in mine)


@pytest.mark.parametrize(
    ("method", "body", "expected"),
    [
        (
            "compute.disks.insert",
            {"sourceImage": "i", "labels": {"a": "b"}, "resourcePolicies": ["p"]},
            "disks.create images.useReadOnly resourcePolicies.use disks.setLabels",
        ),
        ("compute.images.insert", {"sourceDisk": "d"}, "images.create disks.useReadOnly"),
        ("compute.images.patch", {"family": "f"}, "images.update images.get"),
        (
            "compute.addresses.insert",
            {"addressType": "INTERNAL"},
            "addresses.create addresses.createInternal subnetworks.use",
        ),
        ("compute.instances.attachDisk", {"source": "d"}, "instances.attachDisk disks.use"),
        (
            "compute.instances.attachDisk",
            {"source": "d", "mode": "READ_ONLY"},
            "instances.attachDisk disks.useReadOnly",
        ),
        (
            "compute.machineImages.insert",
            {"sourceInstance": "i"},
            "machineImages.create disks.createSnapshot instances.useReadOnly",
        ),
        (
            "compute.instanceGroupManagers.aggregatedList",
            {},
            "instanceGroupManagers.list",
        ),
        ("compute.regionInstanceTemplates.get", {}, "instanceTemplates.get"),
        ("compute.firewalls.insert", {}, "firewalls.create networks.updatePolicy"),
    ],
)
def test_a_request_needs_what_google_documents_for_its_body(
    method: str, body: dict[str, Any], expected: str
) -> None:
    assert needed(method, body) == [f"compute.{name}" for name in expected.split()]
