"""Instances that a managed group stops or suspends, and starts again, over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import REGION
from .test_groups import GROUPS, VMS, group, members, proactive, stable, template

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Server
    from .gce import Gce

REGIONAL = f"regions/{REGION}/instanceGroupManagers"
WAYS = [
    ("stop", "start", "targetStoppedSize", "TERMINATED"),
    ("suspend", "resume", "targetSuspendedSize", "SUSPENDED"),
]
each_way = pytest.mark.parametrize(("enter", "leave", "pool", "status"), WAYS)


def links(found: list[dict[str, Any]], *more: str) -> dict[str, Any]:
    """The body of a request for these members."""
    return {"instances": [m["instance"] for m in found] + list(more)}


def sizes(gce: Gce, name: str, pool: str, groups: str = GROUPS) -> tuple[int, int]:
    """How many the group runs, and how many are in the pool."""
    shown = gce.get(f"{groups}/{name}")
    return shown["targetSize"], shown.get(pool, 0)


@pytest.mark.parametrize("groups", [GROUPS, REGIONAL])
@each_way
def test_instances_are_on_standby_and_come_back(
    instant: Gce, name: str, groups: str, enter: str, leave: str, pool: str, status: str
) -> None:
    body = {"name": name, "targetSize": 3, "instanceTemplate": template(instant, name)}
    instant.do("POST", groups, body)
    stable(instant, name, groups)
    first, *others = members(instant, name, groups)
    path = f"{groups}/{name}"
    instant.do("POST", f"{path}/{enter}Instances", links([first]))
    shown = stable(instant, name, groups)
    assert sizes(instant, name, pool, groups) == (2, 1)
    assert shown["currentActions"]["none"] == 3
    there = {m["name"]: m for m in members(instant, name, groups)}
    assert there[first["name"]]["instanceStatus"] == status
    assert {there[m["name"]]["instanceStatus"] for m in others} == {"RUNNING"}

    message = instant.fails(400, "invalid", "POST", f"{path}/{enter}Instances", links([first]))
    assert "is not running" in message
    message = instant.fails(400, "invalid", "POST", f"{path}/{leave}Instances", links(others))
    assert "resource.instances[0]" in message
    message = instant.fails(400, "invalid", "POST", f"{path}/recreateInstances", links([first]))
    assert "standby" in message
    assert sizes(instant, name, pool, groups) == (2, 1)

    instant.do("POST", f"{path}/{leave}Instances", links([first]))
    stable(instant, name, groups)
    assert sizes(instant, name, pool, groups) == (3, 0)
    again = {m["name"]: m for m in members(instant, name, groups)}[first["name"]]
    assert (again["instanceStatus"], again["id"]) == ("RUNNING", first["id"])
    instant.do("DELETE", path)


@each_way
def test_who_is_on_standby_is_updated_when_it_comes_back(
    instant: Gce, name: str, enter: str, leave: str, pool: str, status: str
) -> None:
    del pool
    group(instant, name, 2, updatePolicy=proactive(minimalAction="REPLACE"))
    first, _ = members(instant, name)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/{enter}Instances", links([first]))
    stable(instant, name)
    new = template(instant, f"{name}-new")
    instant.do("PATCH", path, {"versions": [{"instanceTemplate": new}]})
    shown = stable(instant, name)
    assert shown["status"]["versionTarget"]["isReached"]
    there = {m["name"]: m for m in members(instant, name)}
    assert there[first["name"]]["id"] == first["id"]
    assert there[first["name"]]["instanceStatus"] == status
    instant.do("POST", f"{path}/{leave}Instances", links([first]))
    stable(instant, name)
    found = {m["version"]["instanceTemplate"].rsplit("/", 1)[1] for m in members(instant, name)}
    assert found == {f"{name}-new"}
    instant.do("DELETE", path)


@each_way
def test_who_is_removed_from_the_pool_shrinks_the_pool(
    instant: Gce, name: str, enter: str, leave: str, pool: str, status: str
) -> None:
    del leave, status
    group(instant, name, 3)
    first, second, third = members(instant, name)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/{enter}Instances", links([first, second]))
    stable(instant, name)
    instant.do("POST", f"{path}/deleteInstances", links([first]))
    stable(instant, name)
    assert sizes(instant, name, pool) == (1, 1)
    instant.do("POST", f"{path}/abandonInstances", links([second, third]))
    stable(instant, name)
    assert sizes(instant, name, pool) == (0, 0)
    assert members(instant, name) == []
    for left in (second, third):
        instant.do("DELETE", f"{VMS}/{left['name']}")
    instant.do("DELETE", path)


@each_way
def test_who_is_being_deleted_is_not_started_again(
    make_server: Callable[..., Server], name: str, enter: str, leave: str, pool: str, status: str
) -> None:
    del status
    gce = make_server().start()
    group(gce, name, 2)
    first, _ = members(gce, name)
    path = f"{GROUPS}/{name}"
    gce.do("POST", f"{path}/{enter}Instances", links([first]))
    stable(gce, name)
    slow = {"kind": "slow", "method": "compute.instances.delete", "seconds": 3}
    gce.admin("POST", "faults", slow)
    gce.start("POST", f"{path}/deleteInstances", links([first]))
    message = gce.fails(400, "invalid", "POST", f"{path}/{leave}Instances", links([first]))
    assert "resource.instances[0]" in message
    stable(gce, name)
    assert sizes(gce, name, pool) == (1, 0)
    assert len(members(gce, name)) == 1


def test_an_instance_has_its_initial_delay_unless_it_is_forced(instant: Gce, name: str) -> None:
    group(instant, name, 2, standbyPolicy={"initialDelaySec": 3600})
    first, second = members(instant, name)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/stopInstances", links([first]))
    instant.do("POST", f"{path}/stopInstances", {**links([second]), "forceStop": True})

    def status(one: dict[str, Any]) -> str:
        return str(instant.instance(one["name"])["status"])

    instant.until(lambda: status(second) == "TERMINATED")
    waiting = {m["name"]: m for m in members(instant, name)}[first["name"]]
    assert (waiting["currentAction"], waiting["instanceStatus"]) == ("STOPPING", "RUNNING")
    assert instant.get(path)["currentActions"]["stopping"] == 1
    instant.do("POST", f"{path}/startInstances", links([first, second]))  # and it goes on as it was
    stable(instant, name)
    assert sizes(instant, name, "targetStoppedSize") == (2, 0)
    assert status(first) == status(second) == "RUNNING"
    instant.do("DELETE", path)


def test_a_size_of_the_pool_cannot_be_written(instant: Gce, name: str) -> None:
    group(instant, name, 1)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/stopInstances", links(members(instant, name)))
    stable(instant, name)
    instant.do("PATCH", path, {**instant.get(path), "description": "read and sent back"})
    message = instant.fails(400, "invalid", "PATCH", path, {"targetStoppedSize": 0})
    assert "resource.targetStoppedSize" in message
    stranger = {"instances": [f"{VMS}/nobody"]}
    instant.fails(400, "invalid", "POST", f"{path}/startInstances", stranger)
    instant.do("DELETE", path)


@each_way
def test_a_kill_does_not_bring_anybody_back(
    make_server: Callable[..., Server], name: str, enter: str, leave: str, pool: str, status: str
) -> None:
    server = make_server()
    gce = server.start()
    group(gce, name, 2)
    first, _ = members(gce, name)
    gce.start("POST", f"{GROUPS}/{name}/{enter}Instances", links([first]))
    server.stop(9)
    gce = server.start()
    stable(gce, name)
    gce.until(lambda: gce.instance(first["name"])["status"] == status)
    assert sizes(gce, name, pool) == (1, 1)
    gce.start("POST", f"{GROUPS}/{name}/{leave}Instances", links([first]))
    server.stop(9)
    gce = server.start()
    stable(gce, name)
    gce.until(lambda: gce.instance(first["name"])["status"] == "RUNNING")
    assert sizes(gce, name, pool) == (2, 0)
