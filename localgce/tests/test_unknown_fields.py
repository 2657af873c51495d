"""What localgce would drop is refused with the field's name, whatever is made or changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, REGION, ZONE

if TYPE_CHECKING:
    from .gce import Gce

VMS = f"zones/{ZONE}/instances"
GROUPS = f"zones/{ZONE}/instanceGroupManagers"
TEMPLATE = {"machineType": "e2-small", "disks": [{"boot": True}], "networkInterfaces": [{}]}


@pytest.mark.parametrize(
    ("path", "body", "field", "value"),
    [
        ("global/machineImages", {"sourceInstance": f"{VMS}/n"}, "sourceDiskEncryptionKeys", [{}]),
        (GROUPS, {"targetSize": 0}, "targetPools", [f"regions/{REGION}/targetPools/p"]),
        (GROUPS, {"targetSize": 0}, "targetSuspendedSize", 2),
        (
            f"{VMS}/bulkInsert",
            {"count": "1", "namePattern": "n-#"},
            "locationPolicy",
            {"targetShape": "ANY"},
        ),
    ],
)
def test_an_insert_refuses_what_it_does_not_keep(
    instant: Gce, name: str, path: str, body: dict[str, Any], field: str, value: object
) -> None:
    own = {} if "bulkInsert" in path else {"name": name}
    message = instant.fails(400, "invalid", "POST", path, {**own, **body, field: value})
    assert message.startswith(f"Invalid value for field 'resource.{field}'")


def test_the_keys_and_licence_codes_of_an_image_are_kept(instant: Gce, name: str) -> None:
    key = {"kmsKeyName": "projects/p/locations/l/keyRings/r/cryptoKeys/k"}
    more = {"sourceImageEncryptionKey": key, "licenseCodes": ["1000"]}
    instant.do("POST", "global/images", {"name": name, "sourceImage": DEBIAN, **more})
    path = f"global/images/{name}"
    shown = instant.get(path)
    assert {field: shown[field] for field in more} == more
    # a client may send back what it has read, and change three fields
    instant.do("PATCH", path, {**shown, "description": "new", "architecture": "ARM64"})
    assert [instant.get(path)[key] for key in ("description", "architecture")] == ["new", "ARM64"]
    message = instant.fails(400, "invalid", "PATCH", path, {"licenseCodes": ["7"]})
    assert "'resource.licenseCodes'" in message
    instant.do("DELETE", path)


def test_a_change_of_a_network_that_would_be_lost_is_refused(instant: Gce, name: str) -> None:
    path = f"global/networks/{name}"
    instant.do("POST", "global/networks", {"name": name, "autoCreateSubnetworks": False})
    instant.do("PATCH", path, {**instant.get(path), "mtu": 1500})
    assert instant.get(path)["mtu"] == 1500
    for body in ({"enableUlaInternalIpv6": True}, {"name": f"{name}-2"}):
        instant.fails(400, "invalid", "PATCH", path, body)
    instant.do("DELETE", path)


@pytest.mark.parametrize(
    ("verb", "query", "body", "field"),
    [
        ("attachDisk", {}, {"source": f"zones/{ZONE}/disks/none"}, "initializeParams"),
        ("addAccessConfig", {"networkInterface": "nic0"}, {"name": "ext"}, "securityPolicy"),
        ("updateAccessConfig", {"networkInterface": "nic0"}, {}, "externalIpv6"),
    ],
)
def test_a_change_of_an_instance_refuses_what_it_does_not_keep(
    instant: Gce, name: str, verb: str, query: dict[str, str], body: dict[str, Any], field: str
) -> None:
    instant.create(name)
    value: object = {"diskSizeGb": "10"} if field == "initializeParams" else "x"
    full = {**body, field: value}
    message = instant.fails(400, "invalid", "POST", f"{VMS}/{name}/{verb}", full, **query)
    assert message.startswith(f"Invalid value for field 'resource.{field}'")
    instant.do("DELETE", f"{VMS}/{name}")


def test_the_host_names_of_a_bulk_insert_are_those_of_the_instances(
    instant: Gce, name: str
) -> None:
    own = {f"{name}-1": {"hostname": "one.example.com"}, f"{name}-2": {}}
    disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}
    properties = {**TEMPLATE, "disks": [disk]}
    body = {"count": "2", "perInstanceProperties": own, "instanceProperties": properties}
    instant.do("POST", f"{VMS}/bulkInsert", body)
    assert instant.instance(f"{name}-1")["hostname"] == "one.example.com"
    assert "hostname" not in instant.instance(f"{name}-2")
    for each in own:
        instant.do("DELETE", f"{VMS}/{each}")
