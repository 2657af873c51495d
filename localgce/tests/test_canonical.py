"""What is answered is in the form that Compute Engine answers, whatever the client wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from localgce.core.links import canonical
from localgce.core.operation_types import operation_type

from .gce import DEBIAN, ZONE

if TYPE_CHECKING:
    from .gce import Gce

BASE = "https://www.googleapis.com/compute/v1/"
NETWORK = f"{BASE}projects/demo/global/networks/default"
TEMPLATES = "global/instanceTemplates"
BASES = [
    *("/compute/v1/", "compute/v1/", "https://compute.googleapis.com/compute/v1/", ""),
    *("//compute.googleapis.com/", "http://127.0.0.1:1/compute/v1/", "/", BASE),
]


def template(name: str, **more: Any) -> dict[str, Any]:
    """The least that a client writes."""
    disk = {"boot": True, "initializeParams": {"sourceImage": DEBIAN}}
    nic = {"network": "global/networks/default", "accessConfigs": [{}]}
    properties = {"machineType": "e2-small", "disks": [disk, {}], "networkInterfaces": [nic]}
    return {"name": name, "properties": {**properties, **more}}


@pytest.mark.parametrize("base", BASES)
def test_a_link_is_canonical_whatever_its_base(base: str) -> None:
    path = "projects/p/zones/z/disks/d"
    assert canonical(base + path, "demo") == BASE + path


@pytest.mark.parametrize(
    "text",
    [
        "",
        "e2-small",
        "10.0.0.1",
        "https://storage.googleapis.com/b/o",
        "projects/p/locations/l/k/v",
    ],
)
def test_what_is_no_link_stays(text: str) -> None:
    assert canonical(text, "demo") == text


def test_a_link_without_a_project_is_of_the_requests_project() -> None:
    assert canonical("global/networks/n", "demo") == f"{BASE}projects/demo/global/networks/n"


@pytest.mark.parametrize("base", BASES)
def test_links_are_stored_canonical_also_inside_a_template(
    instant: Gce, name: str, base: str
) -> None:
    nic = {"network": f"{base}projects/demo/global/networks/default"}
    policy = f"{base}projects/demo/regions/us-central1/resourcePolicies/p"
    more = {"networkInterfaces": [nic], "resourcePolicies": [policy]}
    instant.do("POST", TEMPLATES, template(name, **more))
    shown = instant.get(f"{TEMPLATES}/{name}")["properties"]
    instant.do("DELETE", f"{TEMPLATES}/{name}")
    assert shown["networkInterfaces"][0]["network"] == NETWORK
    assert shown["resourcePolicies"] == [
        f"{BASE}projects/demo/regions/us-central1/resourcePolicies/p"
    ]
    assert shown["disks"][0]["initializeParams"]["sourceImage"] == BASE + DEBIAN


def test_a_template_is_answered_as_compute_engine_completes_it(instant: Gce, name: str) -> None:
    instant.do("POST", TEMPLATES, template(name, tags={"items": ["web"]}))
    shown = instant.get(f"{TEMPLATES}/{name}")["properties"]
    first, second = shown["disks"]
    more = ("kind", "type", "mode", "index", "deviceName", "boot", "autoDelete")
    assert [first[key] for key in more] == [
        *("compute#attachedDisk", "PERSISTENT", "READ_WRITE", 0, "persistent-disk-0", True, False)
    ]
    assert (second["index"], second["deviceName"], second["boot"]) == (
        1,
        "persistent-disk-1",
        False,
    )
    (nic,) = shown["networkInterfaces"]
    assert (nic["kind"], nic["name"]) == ("compute#networkInterface", "nic0")
    assert nic["accessConfigs"][0]["type"] == "ONE_TO_ONE_NAT"
    assert shown["metadata"]["fingerprint"]
    assert shown["scheduling"] == {
        "automaticRestart": True,
        "onHostMaintenance": "MIGRATE",
        "preemptible": False,
        "provisioningModel": "STANDARD",
    }
    # what was answered can be sent again, as clients do that replace a template, and stays the same
    instant.do("POST", TEMPLATES, {"name": f"{name}-2", "properties": shown})
    assert instant.get(f"{TEMPLATES}/{name}-2")["properties"] == shown
    vm = instant.do(
        "POST",
        f"zones/{ZONE}/instances",
        {"name": name},
        sourceInstanceTemplate=f"{TEMPLATES}/{name}",
    )
    assert vm["status"] == "DONE"
    for path in (f"zones/{ZONE}/instances/{name}", f"{TEMPLATES}/{name}", f"{TEMPLATES}/{name}-2"):
        instant.do("DELETE", path)


@pytest.mark.parametrize(
    ("method", "shown"),
    [
        ("compute.instances.insert", "insert"),
        ("compute.disks.setLabels", "setLabels"),
        ("compute.firewalls.insert", "insert"),
        ("compute.firewalls.patch", "compute.firewalls.patch"),
        ("compute.networks.patch", "compute.networks.patch"),
        ("compute.instanceTemplates.insert", "compute.instanceTemplates.insert"),
        ("compute.instanceGroupManagers.resize", "compute.instanceGroupManagers.resize"),
    ],
)
def test_an_operations_type_is_as_compute_engine_writes_it(method: str, shown: str) -> None:
    assert operation_type(method) == shown


def test_an_operation_has_a_start_time_from_its_first_answer_on(instant: Gce, name: str) -> None:
    instant.admin("POST", "faults", {"kind": "stuck", "resource": name})
    begun = instant.start("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "10"})
    instant.admin("DELETE", "faults")
    assert begun["status"] == "PENDING"
    assert begun["startTime"]
    instant.finish(begun)
    instant.do("DELETE", f"zones/{ZONE}/disks/{name}")


@pytest.mark.parametrize("kind", [None, "STANDARD", "ARCHIVE"])
def test_a_snapshot_shows_the_type_that_was_asked_for(
    instant: Gce, name: str, kind: str | None
) -> None:
    instant.do("POST", f"zones/{ZONE}/disks", {"name": name, "sizeGb": "10"})
    asked = {"name": name, "snapshotType": kind} if kind else {"name": name}
    instant.do("POST", f"zones/{ZONE}/disks/{name}/createSnapshot", asked)
    assert instant.get(f"global/snapshots/{name}").get("snapshotType") == kind
    instant.do("DELETE", f"global/snapshots/{name}")
    instant.do("DELETE", f"zones/{ZONE}/disks/{name}")
