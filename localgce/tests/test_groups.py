"""Managed instance groups over the API, with instant machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .gce import DEBIAN, ZONE, Gce

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Server

GROUPS = f"zones/{ZONE}/instanceGroupManagers"
TEMPLATES = "global/instanceTemplates"
VMS = f"zones/{ZONE}/instances"


def template(gce: Gce, name: str, **more: Any) -> str:
    """A template's link."""
    disk = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}
    nic = {"network": "global/networks/default"}
    properties = {
        "machineType": "e2-small",
        "disks": [disk],
        "networkInterfaces": [nic],
        "labels": {"of": name},
        **more,
    }
    gce.do("POST", TEMPLATES, {"name": name, "properties": properties})
    return f"{TEMPLATES}/{name}"


def group(gce: Gce, name: str, size: int, **more: Any) -> dict[str, Any]:
    """A stable group of a template of its own name."""
    if "instanceTemplate" not in more:
        more["instanceTemplate"] = template(gce, name)
    gce.do("POST", GROUPS, {"name": name, "targetSize": size, **more})
    return stable(gce, name)


def stable(gce: Gce, name: str, groups: str = GROUPS) -> dict[str, Any]:
    """The group when it is stable."""
    gce.until(lambda: gce.get(f"{groups}/{name}")["status"]["isStable"])
    return gce.get(f"{groups}/{name}")


def members(gce: Gce, name: str, groups: str = GROUPS) -> list[dict[str, Any]]:
    """Its managed instances."""
    path = f"{groups}/{name}/listManagedInstances"
    found: list[dict[str, Any]] = gce.start("POST", path).get("managedInstances", [])
    return found


def proactive(**more: Any) -> dict[str, Any]:
    """An update policy that acts by itself."""
    return {"type": "PROACTIVE", **more}


def test_a_group_is_created_resized_and_deleted(instant: Gce, name: str) -> None:
    made = group(instant, name, 3)
    assert made["currentActions"]["none"] == 3
    assert made["status"]["versionTarget"]["isReached"]
    assert made["updatePolicy"]["maxSurge"] == {"fixed": 1, "calculated": 1}
    found = members(instant, name)
    assert all(m["name"].startswith(f"{name}-") for m in found)
    assert {m["instanceStatus"] for m in found} == {"RUNNING"}
    vm = instant.instance(found[0]["name"])
    assert vm["id"] == found[0]["id"]
    metadata = {item["key"]: item["value"] for item in vm["metadata"]["items"]}
    assert metadata["created-by"].endswith(f"/instanceGroupManagers/{name}")
    message = instant.fails(400, "resourceInUseByAnotherResource", "DELETE", f"{TEMPLATES}/{name}")
    assert name in message
    instant.do("POST", f"{GROUPS}/{name}/resize", size=1)
    assert stable(instant, name)["targetSize"] == 1
    assert len(members(instant, name)) == 1
    listed = instant.items(f"zones/{ZONE}/instanceGroups", filter=f"name={name}")
    assert listed[0]["size"] == 1
    inside = instant.start("POST", f"zones/{ZONE}/instanceGroups/{name}/listInstances")
    assert inside["items"][0]["status"] == "RUNNING"
    assert instant.items(f"zones/{ZONE}/autoscalers") == []
    scopes = instant.get("aggregated/instanceGroupManagers", filter=f"name={name}")["items"]
    assert len(scopes[f"zones/{ZONE}"]["instanceGroupManagers"]) == 1
    instant.do("DELETE", f"{GROUPS}/{name}")
    assert instant.items(VMS, filter=f"labels.of={name}") == []
    instant.do("DELETE", f"{TEMPLATES}/{name}")


def test_a_rollout_and_its_rollback(instant: Gce, name: str) -> None:
    policy = proactive(maxSurge={"fixed": 1}, maxUnavailable={"fixed": 0})
    group(instant, name, 3, updatePolicy=policy)
    before = {m["name"] for m in members(instant, name)}
    new = template(instant, f"{name}-new")
    versions = [{"instanceTemplate": new, "targetSize": {"fixed": 1}, "name": "canary"}]
    versions.append({"instanceTemplate": f"{TEMPLATES}/{name}"})
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": versions})
    shown = stable(instant, name)
    assert shown["versions"][0]["targetSize"] == {"fixed": 1, "calculated": 1}
    canaries = [m for m in members(instant, name) if m["version"].get("name") == "canary"]
    assert len(canaries) == 1
    assert len(before & {m["name"] for m in members(instant, name)}) == 2

    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [{"instanceTemplate": new}]})
    stable(instant, name)
    assert {m["version"]["instanceTemplate"].rsplit("/", 1)[1] for m in members(instant, name)} == {
        f"{name}-new"
    }
    assert before.isdisjoint({m["name"] for m in members(instant, name)})
    body = {"instanceTemplate": f"{TEMPLATES}/{name}"}
    instant.do("POST", f"{GROUPS}/{name}/setInstanceTemplate", body)
    assert stable(instant, name)["instanceTemplate"].endswith(f"/{name}")
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_an_opportunistic_group_updates_on_request(instant: Gce, name: str) -> None:
    group(instant, name, 2)
    new = template(instant, f"{name}-new")
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [{"instanceTemplate": new}]})
    shown = stable(instant, name)
    assert not shown["status"]["versionTarget"]["isReached"]
    one, two = members(instant, name)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/applyUpdatesToInstances", {"instances": [one["instance"]]})
    stable(instant, name)
    instant.do("POST", f"{path}/recreateInstances", {"instances": [two["instance"]]})
    assert stable(instant, name)["status"]["versionTarget"]["isReached"]
    after = {m["name"]: m["id"] for m in members(instant, name)}
    assert after.keys() == {one["name"], two["name"]}
    # a template that differs in its labels takes a refresh: the same instance goes on
    assert after[one["name"]] == one["id"]
    assert after[two["name"]] != two["id"]
    assert instant.instance(one["name"])["labels"] == {"of": f"{name}-new"}
    stranger = {"instances": [f"zones/{ZONE}/instances/nobody"]}
    instant.fails(400, "invalid", "POST", f"{path}/recreateInstances", stranger)
    instant.do("DELETE", path)


def test_a_restart_changes_the_machine_type_of_the_same_instance(instant: Gce, name: str) -> None:
    policy = proactive(minimalAction="NONE", mostDisruptiveAllowedAction="RESTART")
    group(instant, name, 1, updatePolicy=policy)
    before = members(instant, name)[0]
    new = template(instant, f"{name}-new", machineType="e2-medium")
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [{"instanceTemplate": new}]})
    instant.until(lambda: stable(instant, name)["status"]["versionTarget"]["isReached"])
    after = instant.instance(before["name"])
    assert (after["id"], after["status"]) == (before["id"], "RUNNING")
    assert after["machineType"].endswith("/e2-medium")
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_state_outlives_a_replacement(instant: Gce, name: str) -> None:
    data = {"deviceName": "data", "autoDelete": True, "initializeParams": {"diskSizeGb": "1"}}
    boot = {"boot": True, "autoDelete": True, "initializeParams": {"sourceImage": DEBIAN}}
    nic = {"network": "global/networks/default", "accessConfigs": [{"type": "ONE_TO_ONE_NAT"}]}
    more = {"disks": [boot, data], "networkInterfaces": [nic]}
    kept = {
        "disks": {"data": {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}},
        "internalIPs": {"nic0": {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}},
        "externalIPs": {"nic0": {}},
    }
    policy = proactive(maxUnavailable={"fixed": 1})
    group(
        instant,
        name,
        2,
        instanceTemplate=template(instant, name, **more),
        statefulPolicy={"preservedState": kept},
        updatePolicy=policy,
    )
    before = {m["name"]: instant.instance(m["name"]) for m in members(instant, name)}
    disks = {n: instant.get(f"zones/{ZONE}/disks/{n}-1")["id"] for n in before}
    new = template(instant, f"{name}-new", **more)
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [{"instanceTemplate": new, "name": "2"}]})
    assert stable(instant, name)["status"]["stateful"]["hasStatefulConfig"]
    for each, old in before.items():
        now = instant.instance(each)
        assert now["id"] != old["id"]
        (was,), (nic_now,) = old["networkInterfaces"], now["networkInterfaces"]
        assert nic_now["networkIP"] == was["networkIP"]
        assert nic_now["accessConfigs"][0]["natIP"] == was["accessConfigs"][0]["natIP"]
        assert instant.get(f"zones/{ZONE}/disks/{each}-1")["id"] == disks[each]
    shown = members(instant, name)[0]["preservedStateFromPolicy"]
    assert shown["disks"]["data"]["source"].endswith("-1")
    surge = {"updatePolicy": {"replacementMethod": "SUBSTITUTE"}}
    instant.fails(400, "invalid", "PATCH", f"{GROUPS}/{name}", surge)
    instant.do("DELETE", f"{GROUPS}/{name}")
    assert instant.items(f"zones/{ZONE}/disks", filter=f"name:{name}") == []
    left = instant.items("regions/us-central1/addresses", filter=f"name:{name[:12]}")
    assert {a["addressType"] for a in left} == {"EXTERNAL"}


def test_a_per_instance_config_outlives_a_replacement(instant: Gce, name: str) -> None:
    """What it says of disks and metadata is of that one instance alone."""
    policy = proactive(replacementMethod="RECREATE", maxSurge={"fixed": 0})
    group(instant, name, 2, updatePolicy=policy)
    one, two = (m["name"] for m in members(instant, name))
    instant.do("POST", f"zones/{ZONE}/disks", {"name": f"{name}-own", "sizeGb": "1"})
    source = f"zones/{ZONE}/disks/{name}-own"
    state = {"disks": {"own": {"source": source}}, "metadata": {"rack": "a"}}
    path = f"{GROUPS}/{name}/updatePerInstanceConfigs"
    config = {"name": one, "preservedState": state}
    instant.do("POST", path, {"perInstanceConfigs": [config]})
    new = template(instant, f"{name}-new")
    instant.do("PATCH", f"{GROUPS}/{name}", {"versions": [{"instanceTemplate": new}]})
    assert stable(instant, name)["status"]["stateful"]["hasStatefulConfig"]
    (shown,) = instant.start("POST", f"{GROUPS}/{name}/listPerInstanceConfigs")["items"]
    assert (shown["name"], shown["preservedState"]["metadata"]) == (one, {"rack": "a"})
    disks = {n: [d["deviceName"] for d in instant.instance(n)["disks"]] for n in (one, two)}
    assert ("own" in disks[one], "own" in disks[two]) == (True, False)
    items = instant.instance(one)["metadata"]["items"]
    assert {"key": "rack", "value": "a"} in items
    shown = next(m for m in members(instant, name) if m["name"] == one)
    assert shown["preservedStateFromConfig"]["metadata"] == {"rack": "a"}
    # a patch leaves what it does not name, and removes what is null
    patch = f"{GROUPS}/{name}/patchPerInstanceConfigs"
    more: dict[str, Any] = {"metadata": {"row": "7", "rack": None}}
    instant.do("POST", patch, {"perInstanceConfigs": [{"name": one, "preservedState": more}]})
    (config,) = instant.start("POST", f"{GROUPS}/{name}/listPerInstanceConfigs")["items"]
    assert config["preservedState"]["metadata"] == {"row": "7"}
    assert list(config["preservedState"]["disks"]) == ["own"]
    old = {"name": one, "preservedState": more, "fingerprint": "AAAAAAAAAAA="}
    instant.fails(412, "conditionNotMet", "POST", patch, {"perInstanceConfigs": [old]})
    surge = {"updatePolicy": {"replacementMethod": "SUBSTITUTE"}}
    instant.fails(400, "invalid", "PATCH", f"{GROUPS}/{name}", surge)
    unknown = {"perInstanceConfigs": [{"name": "nobody", "preservedState": {}}]}
    instant.fails(400, "invalid", "POST", path, unknown)
    instant.do("POST", f"{GROUPS}/{name}/deletePerInstanceConfigs", {"names": [one]})
    assert not stable(instant, name)["status"]["stateful"]["hasStatefulConfig"]
    instant.do("DELETE", f"{GROUPS}/{name}")
    assert instant.get(source)["sizeGb"] == "1"


def test_the_config_of_an_instance_keeps_a_reserved_address(instant: Gce, name: str) -> None:
    """And deletes it with the instance, where its rule says so."""
    policy = proactive(replacementMethod="RECREATE", maxSurge={"fixed": 0})
    group(instant, name, 1, updatePolicy=policy)
    ((one,),) = ([m["name"] for m in members(instant, name)],)
    region = ZONE.rpartition("-")[0]
    reserved = f"regions/{region}/addresses/{name}"
    made = {"name": name, "addressType": "INTERNAL"}
    instant.do("POST", f"regions/{region}/addresses", made)
    path = f"{GROUPS}/{name}/patchPerInstanceConfigs"

    def config(**address: str) -> dict[str, Any]:
        rule = {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION", "ipAddress": address}
        return {
            "perInstanceConfigs": [{"name": one, "preservedState": {"internalIPs": {"nic0": rule}}}]
        }

    text = instant.fails(400, "invalid", "POST", path, config(literal="10.128.9.9"))
    assert "reserve it first" in text
    instant.do("POST", path, config(address=reserved))
    instances = [f"zones/{ZONE}/instances/{one}"]
    instant.do("POST", f"{GROUPS}/{name}/recreateInstances", {"instances": instances})
    stable(instant, name)
    (nic,) = instant.instance(one)["networkInterfaces"]
    assert nic["networkIP"] == instant.get(reserved)["address"]
    instant.do("DELETE", f"{GROUPS}/{name}")
    instant.fails(404, "notFound", "GET", reserved)


def test_an_instance_that_is_created_by_name_has_the_state_that_it_is_given(
    instant: Gce, name: str
) -> None:
    group(instant, name, 1, updatePolicy=proactive(replacementMethod="RECREATE"))
    path, own, disk = f"{GROUPS}/{name}", f"{name}-own", f"{name}-data"
    state: dict[str, Any] = {"disks": {"data": {"source": f"zones/{ZONE}/disks/{disk}"}}}
    given = {"instances": [{"name": own, "preservedState": state}]}
    told = instant.fails(404, "notFound", "POST", f"{path}/createInstances", given)
    assert f"/disks/{disk}" in told
    instant.do("POST", f"zones/{ZONE}/disks", {"name": disk, "sizeGb": "1"})
    state["metadata"] = {"rack": "a"}
    instant.do("POST", f"{path}/createInstances", given)
    assert stable(instant, name)["status"]["stateful"]["hasStatefulConfig"]
    (config,) = instant.start("POST", f"{path}/listPerInstanceConfigs")["items"]
    assert (config["name"], config["preservedState"]["metadata"]) == (own, {"rack": "a"})
    made = instant.instance(own)
    assert [each["deviceName"] for each in made["disks"]] == ["persistent-disk-0", "data"]
    assert {"key": "rack", "value": "a"} in made["metadata"]["items"]
    instant.do("DELETE", path)
    instant.do("DELETE", f"zones/{ZONE}/disks/{disk}")


def test_versions_are_shown_in_the_order_that_they_were_given_in(instant: Gce, name: str) -> None:
    old, new = template(instant, f"{name}-old"), template(instant, f"{name}-new")
    canary = {"instanceTemplate": new, "name": "canary", "targetSize": {"fixed": 1}}
    versions = [{"instanceTemplate": old}, canary]
    group(instant, name, 3, instanceTemplate=None, versions=versions)
    shown = instant.get(f"{GROUPS}/{name}")
    assert [version.get("name") for version in shown["versions"]] == [None, "canary"]
    assert shown["instanceTemplate"].endswith(f"/{name}-old")
    names = [member["version"].get("name") for member in members(instant, name)]
    assert sorted(names, key=str) == [None, None, "canary"]
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_a_patch_of_a_stateful_policy_leaves_what_it_does_not_name(instant: Gce, name: str) -> None:
    never, permanent = {"autoDelete": "NEVER"}, {"autoDelete": "ON_PERMANENT_INSTANCE_DELETION"}
    before = {"internalIPs": {"nic0": never}, "externalIPs": {"nic0": never}}
    policy = proactive(replacementMethod="RECREATE", maxSurge={"fixed": 0})
    group(instant, name, 0, statefulPolicy={"preservedState": before}, updatePolicy=policy)
    path = f"{GROUPS}/{name}"

    def patched(state: dict[str, Any] | None) -> Any:
        instant.do("PATCH", path, {"statefulPolicy": {"preservedState": state}})
        return instant.get(path).get("statefulPolicy")

    after = {**before, "internalIPs": {"nic0": permanent}}
    assert patched({"internalIPs": {"nic0": permanent}}) == {"preservedState": after}
    left = {"internalIPs": {"nic0": permanent}}
    assert patched({"externalIPs": {"nic0": None}}) == {"preservedState": left}
    assert patched({}) == {"preservedState": left}
    assert patched(None) is None
    instant.do("DELETE", path)


def test_named_ports_are_set_at_the_group_too(instant: Gce, name: str) -> None:
    group(instant, name, 0, namedPorts=[{"name": "http", "port": 80}])
    path = f"zones/{ZONE}/instanceGroups/{name}"
    shown = instant.get(path)
    assert shown["network"].endswith("/projects/demo/global/networks/default")
    ports = [{"name": "http", "port": 8080}]
    body = {"namedPorts": ports, "fingerprint": shown["fingerprint"]}
    instant.do("POST", f"{path}/setNamedPorts", body)
    instant.fails(412, "conditionNotMet", "POST", f"{path}/setNamedPorts", body)
    assert instant.get(path)["namedPorts"] == ports
    assert instant.get(f"{GROUPS}/{name}")["namedPorts"] == ports
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_deleted_members_are_created_again(instant: Gce, name: str) -> None:
    group(instant, name, 2)
    one, two = members(instant, name)
    instant.do("DELETE", f"{VMS}/{one['name']}")
    instant.admin("POST", "faults", {"kind": "kill", "instance": two["name"]})
    instant.until(
        lambda: {one["id"], two["id"]}.isdisjoint({m.get("id") for m in members(instant, name)})
    )
    stable(instant, name)
    assert {m["name"] for m in members(instant, name)} == {one["name"], two["name"]}
    instant.do("DELETE", f"{GROUPS}/{name}")


def test_members_are_removed_and_created_by_name(instant: Gce, name: str) -> None:
    group(instant, name, 2)
    one, two = members(instant, name)
    path = f"{GROUPS}/{name}"
    instant.do("POST", f"{path}/abandonInstances", {"instances": [one["instance"]]})
    instant.do("POST", f"{path}/deleteInstances", {"instances": [two["instance"]]})
    instant.do("POST", f"{path}/createInstances", {"instances": [{"name": f"{name}-own"}]})
    assert stable(instant, name)["targetSize"] == 1
    assert [m["name"] for m in members(instant, name)] == [f"{name}-own"]
    (config,) = instant.start("POST", f"{path}/listPerInstanceConfigs")["items"]
    assert (config["name"], config["preservedState"]) == (f"{name}-own", {})
    instant.fails(404, "notFound", "GET", f"{VMS}/{two['name']}")
    instant.do("DELETE", path)
    assert instant.instance(one["name"])["status"] == "RUNNING"
    instant.do("DELETE", f"{VMS}/{one['name']}")


def test_a_stock_out_is_listed_and_retried(make_server: Callable[..., Server]) -> None:
    gce = make_server("--clock", "manual").start()
    rule = {"kind": "operation", "method": "compute.instances.insert", "times": 1}
    code = "ZONE_RESOURCE_POOL_EXHAUSTED"
    gce.admin("POST", "faults", {**rule, "code": code, "status": 503})
    template(gce, "out")
    body = {"name": "out", "targetSize": 1, "instanceTemplate": f"{TEMPLATES}/out"}
    gce.do("POST", GROUPS, body)
    gce.until(lambda: gce.get(f"{GROUPS}/out/listErrors").get("items"))
    error = gce.get(f"{GROUPS}/out/listErrors")["items"][0]
    assert error["error"]["code"] == code
    assert error["instanceActionDetails"]["action"] == "CREATING"
    (member,) = members(gce, "out")
    assert member["lastAttempt"]["errors"]["errors"][0]["code"] == code
    assert "instanceStatus" not in member
    gce.admin("POST", "clock", {"advance": 10})
    stable(gce, "out")
    assert "lastAttempt" not in members(gce, "out")[0]


def test_a_new_instance_is_available_after_min_ready_sec(
    make_server: Callable[..., Server],
) -> None:
    gce = make_server("--clock", "manual").start()
    policy = proactive(maxSurge={"fixed": 1}, maxUnavailable={"fixed": 0}, minReadySec=60)
    template(gce, "slow")
    body = {"name": "slow", "targetSize": 1, "instanceTemplate": f"{TEMPLATES}/slow"}
    gce.do("POST", GROUPS, {**body, "updatePolicy": policy})
    gce.until(lambda: members(gce, "slow")[0]["currentAction"] == "VERIFYING")
    gce.admin("POST", "clock", {"advance": 60})
    stable(gce, "slow")
    versions = [{"instanceTemplate": f"{TEMPLATES}/slow", "name": "again"}]
    gce.do("PATCH", f"{GROUPS}/slow", {"versions": versions})
    gce.until(lambda: {m["currentAction"] for m in members(gce, "slow")} == {"NONE", "VERIFYING"})
    gce.admin("POST", "clock", {"advance": 59})
    assert len(members(gce, "slow")) == 2
    gce.admin("POST", "clock", {"advance": 1})
    stable(gce, "slow")
    assert [m["version"]["name"] for m in members(gce, "slow")] == ["again"]


def test_a_group_continues_after_a_kill(make_server: Callable[..., Server]) -> None:
    server = make_server()
    gce = server.start()
    group(gce, "lasting", 3, updatePolicy=proactive())
    gce.admin("POST", "faults", {"kind": "stuck", "method": "compute.instances.insert"})
    versions = [{"instanceTemplate": f"{TEMPLATES}/lasting", "name": "2"}]
    gce.do("PATCH", f"{GROUPS}/lasting", {"versions": versions})
    gce.until(lambda: gce.get(f"{GROUPS}/lasting")["currentActions"]["creating"] == 1)
    server.stop(9)
    gce = server.start()
    gce.admin("DELETE", "faults")  # what was stuck is stuck again, until now
    shown = stable(gce, "lasting")
    assert shown["status"]["versionTarget"]["isReached"]
    assert len(gce.items(VMS)) == 3
    assert server.stop() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"instanceTemplate": None}, "Required field 'resource.instanceTemplate'"),
        ({"targetSize": -1}, "resource.targetSize"),
        ({"targetSize": None}, "Required field 'resource.targetSize'"),
        ({"instanceTemplate": "global/images/x"}, "The URL is malformed"),
        ({"updatePolicy": {"maxSurge": {"fixed": 0}, "maxUnavailable": {"fixed": 0}}}, "both"),
        ({"updatePolicy": {"maxSurge": {"fixed": 1, "percent": 5}}}, "maxSurge"),
        ({"updatePolicy": {"replacementMethod": "RECREATE", "maxSurge": {"fixed": 1}}}, "RECREATE"),
        ({"baseInstanceName": "Big"}, "resource.baseInstanceName"),
        ({"statefulPolicy": {"preservedState": {"externalIPs": {"nic1": {}}}}}, "externalIPs"),
    ],
)
def test_invalid_groups_are_rejected(
    instant: Gce, name: str, change: dict[str, Any], message: str
) -> None:
    link = template(instant, name)
    body = {"name": name, "targetSize": 1, "instanceTemplate": link, **change}
    response = instant.call("POST", GROUPS, body)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
    two = [{"instanceTemplate": link}, {"instanceTemplate": link, "name": "b"}]
    instant.fails(400, "invalid", "POST", GROUPS, {"name": name, "targetSize": 1, "versions": two})
    instant.fails(404, "notFound", "GET", f"{GROUPS}/{name}")
    instant.fails(404, "notFound", "GET", f"zones/{ZONE}/instanceGroups/{name}")


def test_a_group_is_complete_again_after_a_restart_of_the_server(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    gce = server.start()
    group(gce, "again", 2)
    names = {m["name"] for m in members(gce, "again")}
    assert server.stop() == 0
    gce = server.start()
    gce.until(lambda: {vm["status"] for vm in gce.items(VMS)} == {"RUNNING"})
    stable(gce, "again")
    assert {m["name"] for m in members(gce, "again")} == names
    assert {m["instanceStatus"] for m in members(gce, "again")} == {"RUNNING"}
    assert server.stop() == 0
