"""Regions, zones and machine types are those of Compute Engine."""

from __future__ import annotations

import ipaddress
from itertools import combinations
from typing import TYPE_CHECKING

import pytest

from localgce.core import catalog

if TYPE_CHECKING:
    from .gce import Gce


def test_each_region_has_its_zones(instant: Gce) -> None:
    found = {region["name"]: region for region in instant.items("regions")}
    assert len(found) == len(catalog.REGIONS) == 42
    letters = [link.rsplit("-", 1)[1] for link in found["us-east1"]["zones"]]
    assert letters == ["b", "c", "d"]
    zones = {zone["name"]: zone["region"] for zone in instant.items("zones")}
    assert len(zones) == 127
    assert zones["asia-southeast1-c"].endswith("/regions/asia-southeast1")


def test_no_two_regions_have_the_same_range_in_an_auto_mode_network() -> None:
    ranges = {region: ipaddress.IPv4Network(cidr) for region, cidr in catalog.SUBNETS.items()}
    assert not [pair for pair in combinations(ranges, 2) if ranges[pair[0]] == ranges[pair[1]]]
    automatic = ipaddress.IPv4Network("10.128.0.0/9")
    assert all(found.subnet_of(automatic) for found in ranges.values())


@pytest.mark.parametrize(
    ("name", "vcpus", "memory_mb"),
    [
        ("e2-small", 2, 2048),
        ("n1-highcpu-96", 96, 88473),
        ("n2-standard-128", 128, 524288),
        ("c4-standard-8", 8, 30720),
        ("c3-standard-176", 176, 720896),
        ("n4-custom-6-12288", 6, 12288),
        ("n2-custom-4-65536-ext", 4, 65536),
        ("custom-2-4096", 2, 4096),
    ],
)
def test_a_machine_type_has_its_cpus_and_memory(
    instant: Gce, name: str, vcpus: int, memory_mb: int
) -> None:
    found = instant.get(f"zones/us-east4-a/machineTypes/{name}")
    assert (found["guestCpus"], found["memoryMb"]) == (vcpus, memory_mb)


@pytest.mark.parametrize(
    ("name", "emulated"), [("e2-micro", 1), ("e2-small", 2), ("custom-4-8192", 4)]
)
def test_without_kvm_a_small_share_of_a_core_is_one_processor(name: str, emulated: int) -> None:
    found = catalog.machine_type(name)
    assert found is not None
    assert found.emulated_cpus == emulated
    assert found.cpus == max(2, emulated)


def test_a_list_of_all_machine_types_goes_on_page_by_page(instant: Gce) -> None:
    query = {"maxResults": 500, "filter": "name=e2-medium"}
    found = instant.get("aggregated/machineTypes", **query)
    there = [scope for scope, one in found["items"].items() if one.get("machineTypes")]
    assert len(there) == 127
