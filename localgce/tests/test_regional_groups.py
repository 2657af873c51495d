"""Managed instance groups of a region over the API, with instant machines."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from . import test_groups
from .gce import REGION, Gce
from .test_groups import TEMPLATES, proactive, template

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Server

GROUPS = f"regions/{REGION}/instanceGroupManagers"
ZONES = [f"{REGION}-{letter}" for letter in "abc"]
SPREAD = {"zones": [{"zone": f"zones/{zone}"} for zone in ZONES]}


def group(gce: Gce, name: str, size: int, **more: Any) -> dict[str, Any]:
    """A stable group of a template of its own name, in three zones."""
    if "instanceTemplate" not in more:
        more["instanceTemplate"] = template(gce, name)
    gce.do("POST", GROUPS, {"name": name, "targetSize": size, "distributionPolicy": SPREAD, **more})
    return stable(gce, name)


def stable(gce: Gce, name: str) -> dict[str, Any]:
    return test_groups.stable(gce, name, GROUPS)


def members(gce: Gce, name: str) -> list[dict[str, Any]]:
    return test_groups.members(gce, name, GROUPS)


def zone_of(member: dict[str, Any]) -> str:
    return str(member["instance"].split("/zones/")[1].split("/")[0])


def spread(gce: Gce, name: str) -> list[int]:
    """How many instances each zone has, the fewest first."""
    count = Counter(zone_of(member) for member in members(gce, name))
    return sorted(count[zone] for zone in ZONES)


def test_a_group_is_even_over_its_zones_whatever_its_size(instant: Gce, name: str) -> None:
    made = group(instant, name, 4)
    assert "zone" not in made
    assert made["region"].endswith(f"/regions/{REGION}")
    assert [z["zone"].rsplit("/", 1)[1] for z in made["distributionPolicy"]["zones"]] == ZONES
    assert made["distributionPolicy"]["targetShape"] == "EVEN"
    assert made["updatePolicy"]["maxUnavailable"] == {"fixed": 3, "calculated": 3}
    assert made["updatePolicy"]["instanceRedistributionType"] == "PROACTIVE"
    assert spread(instant, name) == [1, 1, 2]
    for size, expected in ((7, [2, 2, 3]), (3, [1, 1, 1])):
        instant.do("POST", f"{GROUPS}/{name}/resize", size=size)
        stable(instant, name)
        assert spread(instant, name) == expected
    found = members(instant, name)[0]
    vm = instant.get(f"zones/{zone_of(found)}/instances/{found['name']}")
    assert (vm["id"], vm["zone"].rsplit("/", 1)[1]) == (found["id"], zone_of(found))
    metadata = {item["key"]: item["value"] for item in vm["metadata"]["items"]}
    assert metadata["created-by"].endswith(f"/regions/{REGION}/instanceGroupManagers/{name}")
    instant.do("DELETE", f"{GROUPS}/{name}")
    for zone in ZONES:
        assert instant.items(f"zones/{zone}/instances", filter=f"labels.of={name}") == []


def test_it_is_listed_in_its_region_and_among_all(instant: Gce, name: str) -> None:
    group(instant, name, 3)
    assert [g["name"] for g in instant.items(GROUPS, filter=f"name={name}")] == [name]
    for kind in ("instanceGroupManagers", "instanceGroups"):
        scopes = instant.get(f"aggregated/{kind}", filter=f"name={name}")["items"]
        assert [g["name"] for g in scopes[f"regions/{REGION}"][kind]] == [name]
    own = instant.get(f"regions/{REGION}/instanceGroups/{name}")
    assert (own["size"], own["region"].endswith(REGION), "zone" in own) == (3, True, False)
    ports = [{"name": "http", "port": 8080}]
    own_path = f"regions/{REGION}/instanceGroups/{name}"
    done = instant.do("POST", f"{own_path}/setNamedPorts", {"namedPorts": ports})
    assert (done["targetLink"], done["targetId"]) == (own["selfLink"], own["id"])
    assert instant.get(own_path)["namedPorts"] == ports
    path = f"{own_path}/listInstances"
    inside = instant.start("POST", path)["items"]
    assert sorted(zone_of(item) for item in inside) == ZONES
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_an_update_moves_a_canary_and_then_all(instant: Gce, name: str) -> None:
    limits = {"maxSurge": {"fixed": 0}, "maxUnavailable": {"fixed": 3}}
    policy = proactive(replacementMethod="RECREATE", **limits)
    group(instant, name, 3, updatePolicy=policy)
    before = {member["name"]: zone_of(member) for member in members(instant, name)}
    new = template(instant, f"{name}-new", machineType="e2-medium", metadata={"items": []})
    old = {"instanceTemplate": f"{TEMPLATES}/{name}"}
    canary = {"instanceTemplate": new, "targetSize": {"fixed": 1}, "name": "canary"}
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [canary, old]})
    assert stable(instant, name)["status"]["versionTarget"]["isReached"]
    moved = [m for m in members(instant, name) if m["version"].get("name") == "canary"]
    assert len(moved) == 1
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [{"instanceTemplate": new}]})
    stable(instant, name)
    after = {member["name"]: zone_of(member) for member in members(instant, name)}
    assert after == before, "each is replaced where it is"
    for member, zone in after.items():
        vm = instant.get(f"zones/{zone}/instances/{member}")
        assert vm["machineType"].endswith(f"/zones/{zone}/machineTypes/e2-medium")
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_single_instances_are_recreated_deleted_abandoned_and_created(
    instant: Gce, name: str
) -> None:
    group(instant, name, 3)
    one, two, three = members(instant, name)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/recreateInstances", {"instances": [one["instance"]]})
    stable(instant, name)
    ids = {m["name"]: m["id"] for m in members(instant, name)}
    assert ids[one["name"]] != one["id"]
    assert ids[two["name"]] == two["id"]
    instant.do("POST", f"{path}/deleteInstances", {"instances": [two["instance"]]})
    assert stable(instant, name)["targetSize"] == 2
    instant.do("POST", f"{path}/abandonInstances", {"instances": [three["instance"]]})
    stable(instant, name)
    assert {m["name"] for m in members(instant, name)} == {one["name"]}
    left = f"zones/{zone_of(three)}/instances/{three['name']}"
    assert instant.get(left)["status"] == "RUNNING"
    taken = {"instances": [{"name": three["name"]}]}
    instant.fails(409, "alreadyExists", "POST", f"{path}/createInstances", taken)
    instant.do("POST", f"{path}/createInstances", {"instances": [{"name": f"{name}-own"}]})
    stable(instant, name)
    assert {m["name"] for m in members(instant, name)} == {one["name"], f"{name}-own"}
    wrong = next(zone for zone in ZONES if zone != zone_of(one))
    stranger = {"instances": [f"zones/{wrong}/instances/{one['name']}"]}
    instant.fails(400, "invalid", "POST", f"{path}/recreateInstances", stranger)
    instant.do("DELETE", path)
    instant.do("DELETE", left)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"updatePolicy": {"maxUnavailable": {"fixed": 1}}}, "at least equal to the number"),
        ({"updatePolicy": {"maxSurge": {"fixed": 2}}}, "at least equal to the number of zones"),
        ({"distributionPolicy": {"zones": [{"zone": "zones/europe-west1-b"}]}}, "Must be zones of"),
        ({"distributionPolicy": {"targetShape": "ANY"}}, "EVEN and BALANCED"),
        (
            {
                "statefulPolicy": {"preservedState": {"disks": {"data": {}}}},
                "updatePolicy": {"instanceRedistributionType": "PROACTIVE"},
            },
            "redistribution type NONE",
        ),
    ],
)
def test_invalid_groups_are_rejected(
    instant: Gce, name: str, body: dict[str, Any], expected: str
) -> None:
    given = {"name": name, "targetSize": 3, "instanceTemplate": template(instant, name), **body}
    assert expected in instant.fails(400, "invalid", "POST", GROUPS, given)


def test_the_zones_of_a_group_are_those_that_it_was_made_with(instant: Gce, name: str) -> None:
    made = group(instant, name, 0)
    fewer = {"distributionPolicy": {"zones": SPREAD["zones"][:2]}}
    assert "cannot be changed" in instant.fails(400, "invalid", "PATCH", f"{GROUPS}/{name}", fewer)
    instant.do("PATCH", f"{GROUPS}/{name}", {"targetSize": 2, "distributionPolicy": SPREAD})
    assert stable(instant, name)["distributionPolicy"] == made["distributionPolicy"]
    instant.do("DELETE", f"{GROUPS}/{name}")
    zonal = {"name": name, "targetSize": 0, "instanceTemplate": f"{TEMPLATES}/{name}"}
    path = f"zones/{ZONES[0]}/instanceGroupManagers"
    said = instant.fails(400, "invalid", "POST", path, {**zonal, "distributionPolicy": SPREAD})
    assert "Only a regional" in said


def test_a_regional_group_goes_on_after_a_kill(make_server: Callable[..., Server]) -> None:
    server = make_server()
    gce = server.start()
    limits = {"maxSurge": {"fixed": 3}, "maxUnavailable": {"fixed": 0}}
    group(gce, "web", 3, updatePolicy=proactive(**limits))
    new = template(gce, "web-new", metadata={"items": []}, machineType="e2-medium")
    gce.do("PATCH", f"{GROUPS}/web", {"versions": [{"instanceTemplate": new}]})
    server.stop(signal.SIGKILL)
    gce = server.start()
    assert stable(gce, "web")["status"]["versionTarget"]["isReached"]
    assert spread(gce, "web") == [1, 1, 1]
