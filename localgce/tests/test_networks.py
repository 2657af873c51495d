"""Networks and subnetworks: two modes, ranges that do not overlap, and who still uses them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localgce.core.catalog import REGIONS
from localgce.machines.qemu.network import lan

from .gce import ZONE, instance

if TYPE_CHECKING:
    from pathlib import Path

    from .gce import Gce

NETWORKS = "global/networks"
SUBNETWORKS = "regions/us-central1/subnetworks"
VMS = f"zones/{ZONE}/instances"


def test_a_network_in_auto_mode_has_a_subnetwork_in_each_region(instant: Gce, name: str) -> None:
    instant.do("POST", NETWORKS, {"name": name, "autoCreateSubnetworks": True})
    shown = instant.get(f"{NETWORKS}/{name}")
    assert {link.split("/regions/")[1].split("/")[0] for link in shown["subnetworks"]} == set(
        REGIONS
    )
    own = instant.get(f"{SUBNETWORKS}/{name}")
    assert (own["network"], own["ipCidrRange"]) == (shown["selfLink"], "10.128.0.0/20")
    refused = {"name": f"{name}-2", "network": f"{NETWORKS}/{name}", "ipCidrRange": "10.7.0.0/24"}
    instant.fails(400, "invalid", "POST", SUBNETWORKS, refused)
    instant.fails(400, "invalidUsage", "DELETE", f"{SUBNETWORKS}/{name}")
    instant.do("DELETE", f"{NETWORKS}/{name}")
    instant.fails(404, "notFound", "GET", f"{SUBNETWORKS}/{name}")


def test_a_network_in_custom_mode_has_the_subnetworks_that_it_is_given(
    instant: Gce, name: str
) -> None:
    instant.do("POST", NETWORKS, {"name": name, "autoCreateSubnetworks": False})
    assert "subnetworks" not in instant.get(f"{NETWORKS}/{name}")
    body = {"name": name, "network": f"{NETWORKS}/{name}", "ipCidrRange": "10.7.0.0/24"}
    instant.do("POST", SUBNETWORKS, body)
    shown = instant.get(f"{SUBNETWORKS}/{name}")
    assert shown["gatewayAddress"] == "10.7.0.1"
    assert instant.get(f"{NETWORKS}/{name}")["subnetworks"] == [shown["selfLink"]]
    overlapping = {**body, "name": f"{name}-2", "ipCidrRange": "10.7.0.128/25"}
    assert "conflicts" in instant.fails(400, "invalid", "POST", SUBNETWORKS, overlapping)
    instant.fails(400, "resourceInUseByAnotherResource", "DELETE", f"{NETWORKS}/{name}")
    wider = {"ipCidrRange": "10.7.0.0/20"}
    instant.do("POST", f"{SUBNETWORKS}/{name}/expandIpCidrRange", wider)
    assert instant.get(f"{SUBNETWORKS}/{name}")["ipCidrRange"] == "10.7.0.0/20"
    access = {"privateIpGoogleAccess": True}
    instant.do("POST", f"{SUBNETWORKS}/{name}/setPrivateIpGoogleAccess", access)
    changed = instant.get(f"{SUBNETWORKS}/{name}")
    assert changed["privateIpGoogleAccess"] is True
    old = {"description": "x", "fingerprint": shown["fingerprint"]}
    instant.fails(412, "conditionNotMet", "PATCH", f"{SUBNETWORKS}/{name}", old)
    instant.do("DELETE", f"{SUBNETWORKS}/{name}")
    instant.do("DELETE", f"{NETWORKS}/{name}")


@pytest.mark.parametrize("cidr", ["10.7.0.0/31", "8.8.8.0/24", "10.7.0.1/24", "127.0.0.0/24", "x"])
def test_a_range_is_private_and_of_a_size(instant: Gce, name: str, cidr: str) -> None:
    instant.do("POST", NETWORKS, {"name": name, "autoCreateSubnetworks": False})
    body = {"name": name, "network": f"{NETWORKS}/{name}", "ipCidrRange": cidr}
    instant.fails(400, "invalid", "POST", SUBNETWORKS, body)
    instant.do("DELETE", f"{NETWORKS}/{name}")


def test_an_instance_is_in_the_subnetwork_of_its_network(instant: Gce, name: str) -> None:
    instant.do("POST", NETWORKS, {"name": name, "autoCreateSubnetworks": False})
    body = {"name": name, "network": f"{NETWORKS}/{name}", "ipCidrRange": "10.7.0.0/24"}
    instant.do("POST", SUBNETWORKS, body)
    of_another = {"network": "global/networks/default", "subnetwork": f"{SUBNETWORKS}/{name}"}
    message = instant.fails(
        400, "invalid", "POST", VMS, instance(name, networkInterfaces=[of_another])
    )
    assert "not of the network" in message
    alone = {"subnetwork": f"{SUBNETWORKS}/{name}"}
    vm = instant.create(name, networkInterfaces=[alone])
    (nic,) = vm["networkInterfaces"]
    assert nic["network"].endswith(f"/{NETWORKS}/{name}")
    assert nic["networkIP"] == "10.7.0.2"
    used = "resourceInUseByAnotherResource"
    instant.fails(400, used, "DELETE", f"{SUBNETWORKS}/{name}")
    instant.do("DELETE", f"{VMS}/{name}")
    instant.do("DELETE", f"{SUBNETWORKS}/{name}")
    instant.do("DELETE", f"{NETWORKS}/{name}")


def test_the_routing_mode_can_be_changed_and_the_mode_once(instant: Gce, name: str) -> None:
    instant.do("POST", NETWORKS, {"name": name})
    routing = {"routingMode": "GLOBAL"}
    operation = instant.do("PATCH", f"{NETWORKS}/{name}", {"routingConfig": routing})
    assert operation["operationType"] == "compute.networks.patch"
    changed = {**routing, "bgpBestPathSelectionMode": "LEGACY"}
    assert instant.get(f"{NETWORKS}/{name}")["routingConfig"] == changed
    instant.do("POST", f"{NETWORKS}/{name}/switchToCustomMode")
    assert instant.get(f"{NETWORKS}/{name}")["autoCreateSubnetworks"] is False
    for region in REGIONS:
        instant.do("DELETE", f"regions/{region}/subnetworks/{name}")
    instant.do("DELETE", f"{NETWORKS}/{name}")


def test_a_change_of_routing_leaves_what_it_does_not_name(instant: Gce, name: str) -> None:
    """`deleteBgpAlwaysCompareMed` is an order that Terraform's provider sends each time."""
    given = {"bgpBestPathSelectionMode": "STANDARD", "bgpAlwaysCompareMed": True}
    sent = {**given, "deleteBgpAlwaysCompareMed": False}
    instant.do("POST", NETWORKS, {"name": name, "routingConfig": sent})
    path, shown = f"{NETWORKS}/{name}", {"routingMode": "REGIONAL", **given}
    assert instant.get(path)["routingConfig"] == shown
    change = {"routingMode": "GLOBAL", "deleteBgpAlwaysCompareMed": True}
    instant.do("PATCH", path, {"routingConfig": change})
    kept = {"routingMode": "GLOBAL", "bgpBestPathSelectionMode": "STANDARD"}
    assert instant.get(path)["routingConfig"] == kept
    instant.do("DELETE", path)


def test_real_machines_of_different_networks_have_different_lans(tmp_path: Path) -> None:
    default = lan(tmp_path)
    if default is None:
        pytest.skip("the loopback of this host has no multicast")
    assert lan(tmp_path, "default") == default
    assert lan(tmp_path, "other") != default
    assert lan(tmp_path, "other") == lan(tmp_path, "other")
