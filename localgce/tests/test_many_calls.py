"""More than 120 methods by google-cloud-compute: resources from creation to deletion."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import google.auth.credentials
import pytest
from google.cloud import compute_v1

from localgce.core import links
from localgce.http.discovery import Discovery

from .gce import ZONE, instance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .conftest import Server

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
REGION = "us-central1"
LEAST = 120
SCHEDULE = {"schedule": {"dailySchedule": {"daysInCycle": 1, "startTime": "04:00"}}}
TEST = {"permissions": ["compute.instances.get"]}


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class Cloud:
    """Calls methods by their ids, with bodies as the API writes them."""

    def __init__(self, base: str) -> None:
        credentials = google.auth.credentials.AnonymousCredentials()  # type: ignore[no-untyped-call]
        self._options = {"client_options": {"api_endpoint": base}, "credentials": credentials}
        self._clients: dict[str, Any] = {}
        self._methods = Discovery.load().methods
        self.called: set[str] = set()

    def __call__(
        self, method_id: str, body: Mapping[str, Any] | None = None, /, **given: Any
    ) -> Any:
        """The answer: of a change the finished operation, of a list its items."""
        method = self._methods[f"compute.{method_id}"]
        resource, verb = method_id.split(".")
        where = {"project": "demo", "zone": ZONE, "region": REGION}
        request = {k: v for k, v in where.items() if k in method.path_parameters} | given
        if body is not None:
            kind = method.request
            assert kind is not None
            made = getattr(compute_v1, kind).from_json(json.dumps(body))
            request[f"{snake(kind)}_resource"] = made
        client = self._client(resource)
        call = getattr(client, f"{snake(verb)}_unary", None) or getattr(client, snake(verb))
        answer = call(request=request)
        self.called.add(method_id)
        if isinstance(answer, compute_v1.Operation) and "Operations" not in resource:
            return self._finished(answer)
        return list(answer) if verb in {"list", "aggregatedList"} else answer

    def close(self) -> None:
        for client in self._clients.values():
            client.transport.close()

    def _client(self, resource: str) -> Any:
        name = f"{resource[0].upper()}{resource[1:]}Client"
        if name not in self._clients:
            self._clients[name] = getattr(compute_v1, name)(**self._options)
        return self._clients[name]

    def _finished(self, operation: Any) -> Any:
        scope = "zone" if operation.zone else "region" if operation.region else "global"
        while operation.status != compute_v1.Operation.Status.DONE:
            place = {scope: links.last(getattr(operation, scope))} if scope != "global" else {}
            operation = self(f"{scope}Operations.wait", operation=operation.name, **place)
        assert not operation.error.errors, operation.error
        return operation


@pytest.fixture
def cloud(make_server: Callable[..., Server]) -> Any:
    """The calls, on a server of their own."""
    return Cloud(make_server().start().base)


def test_google_cloud_compute_calls_more_than_120_methods(cloud: Cloud) -> None:
    catalogue(cloud)
    disks_and_images(cloud)
    networks(cloud)
    instances(cloud)
    disk_groups(cloud)
    groups(cloud)
    records(cloud)
    operations(cloud)
    cloud.close()
    assert len(cloud.called) >= LEAST, len(cloud.called)


def catalogue(cloud: Cloud) -> None:
    for resource, name in (
        ("zones", {"zone": ZONE}),
        ("regions", {"region": REGION}),
        ("machineTypes", {"machine_type": "e2-small"}),
        ("diskTypes", {"disk_type": "pd-ssd"}),
        ("acceleratorTypes", {"accelerator_type": "nvidia-tesla-t4"}),
    ):
        assert cloud(f"{resource}.list")
        assert cloud(f"{resource}.get", **name).name == next(iter(name.values()))
    for resource in ("machineTypes", "diskTypes", "acceleratorTypes"):
        assert cloud(f"{resource}.aggregatedList")
    assert cloud("projects.get").name == "demo"
    items = {"items": [{"key": "a", "value": "b"}]}
    cloud("projects.setCommonInstanceMetadata", items)
    assert cloud("projects.get").common_instance_metadata.items[0].value == "b"
    licences = cloud("licenses.list", project="debian-cloud")
    assert cloud("licenses.get", project="debian-cloud", license=licences[0].name)
    found = cloud("images.getFromFamily", project="debian-cloud", family="debian-12")
    view = cloud("imageFamilyViews.get", project="debian-cloud", family="debian-12")
    assert view.image.name == found.name


def policies(cloud: Cloud, resource: str, name: str) -> None:
    """The methods of IAM that many resources have."""
    policy = cloud(f"{resource}.getIamPolicy", resource=name)
    body = {"policy": {"etag": policy.etag, "bindings": []}}
    cloud(f"{resource}.setIamPolicy", body, resource=name)
    found = cloud(f"{resource}.testIamPermissions", TEST, resource=name)
    assert list(found.permissions) == TEST["permissions"]


def label(cloud: Cloud, method_id: str, fingerprint: str, **name: str) -> None:
    body = {"labels": {"a": "b"}, "labelFingerprint": fingerprint}
    cloud(method_id, body, **name)


def disks_and_images(cloud: Cloud) -> None:
    cloud("disks.insert", {"name": "d", "sizeGb": "10", "labels": {"a": "c"}})
    disk = cloud("disks.get", disk="d")
    label(cloud, "disks.setLabels", disk.label_fingerprint, resource="d")
    cloud("disks.resize", {"sizeGb": "12"}, disk="d")
    cloud("disks.update", {"name": "d", "sizeGb": "14"}, disk="d", paths="sizeGb")
    assert cloud("disks.get", disk="d").size_gb == 14
    cloud("resourcePolicies.insert", {"name": "p", "snapshotSchedulePolicy": SCHEDULE})
    link = {"resourcePolicies": [f"regions/{REGION}/resourcePolicies/p"]}
    cloud("disks.addResourcePolicies", link, disk="d")
    assert len(cloud("disks.get", disk="d").resource_policies) == 1
    cloud("disks.removeResourcePolicies", link, disk="d")
    assert [one.name for one in cloud("disks.list")] == ["d"]
    assert cloud("disks.aggregatedList")
    policies(cloud, "disks", "d")
    cloud("disks.createSnapshot", {"name": "s"}, disk="d")
    cloud("snapshots.insert", {"name": "s2", "sourceDisk": f"zones/{ZONE}/disks/d"})
    snapshot = cloud("snapshots.get", snapshot="s")
    label(cloud, "snapshots.setLabels", snapshot.label_fingerprint, resource="s")
    assert len(cloud("snapshots.list")) == 2
    policies(cloud, "snapshots", "s")
    cloud("images.insert", {"name": "i", "sourceDisk": f"zones/{ZONE}/disks/d", "family": "f"})
    image = cloud("images.get", image="i")
    label(cloud, "images.setLabels", image.label_fingerprint, resource="i")
    cloud("images.patch", {"description": "new"}, image="i")
    cloud("images.deprecate", {"state": "DEPRECATED"}, image="i")
    shown = cloud("images.get", image="i")
    assert (shown.description, shown.deprecated.state) == ("new", "DEPRECATED")
    assert [one.name for one in cloud("images.list")] == ["i"]
    policies(cloud, "images", "i")
    cloud("images.delete", image="i")
    for name in ("s", "s2"):
        cloud("snapshots.delete", snapshot=name)
    cloud("disks.delete", disk="d")
    cloud("resourcePolicies.patch", {"description": "x"}, resource_policy="p")
    assert cloud("resourcePolicies.get", resource_policy="p").description == "x"
    assert cloud("resourcePolicies.list")
    assert cloud("resourcePolicies.aggregatedList")
    policies(cloud, "resourcePolicies", "p")
    cloud("resourcePolicies.delete", resource_policy="p")


def networks(cloud: Cloud) -> None:
    cloud("networks.insert", {"name": "n", "autoCreateSubnetworks": True})
    cloud("networks.patch", {"routingConfig": {"routingMode": "GLOBAL"}}, network="n")
    assert cloud("networks.get", network="n").routing_config.routing_mode == "GLOBAL"
    cloud("networks.switchToCustomMode", network="n")
    assert len(cloud("networks.list")) == 2
    body = {"name": "sub", "network": "global/networks/n", "ipCidrRange": "10.9.0.0/24"}
    cloud("subnetworks.insert", body)
    cloud("subnetworks.expandIpCidrRange", {"ipCidrRange": "10.9.0.0/23"}, subnetwork="sub")
    access = {"privateIpGoogleAccess": True}
    cloud("subnetworks.setPrivateIpGoogleAccess", access, subnetwork="sub")
    found = cloud("subnetworks.get", subnetwork="sub")
    assert (found.ip_cidr_range, found.private_ip_google_access) == ("10.9.0.0/23", True)
    change = {"fingerprint": found.fingerprint, "enableFlowLogs": True}
    cloud("subnetworks.patch", change, subnetwork="sub")
    assert cloud("subnetworks.list")
    assert cloud("subnetworks.aggregatedList")
    policies(cloud, "subnetworks", "sub")
    rule = {"name": "r", "network": "global/networks/n", "allowed": [{"IPProtocol": "tcp"}]}
    cloud("firewalls.insert", rule)
    cloud("firewalls.patch", {"priority": 7}, firewall="r")
    cloud("firewalls.update", {**rule, "priority": 8}, firewall="r")
    assert cloud("firewalls.get", firewall="r").priority == 8
    assert cloud("firewalls.list")
    cloud("firewalls.testIamPermissions", TEST, resource="r")
    cloud("firewalls.delete", firewall="r")
    route = {
        "name": "r",
        "network": "global/networks/n",
        "destRange": "10.8.0.0/24",
        "priority": 900,
    }
    gateway = "global/gateways/default-internet-gateway"
    cloud("routes.insert", {**route, "nextHopGateway": gateway})
    assert cloud("routes.get", route="r").dest_range == "10.8.0.0/24"
    assert cloud("routes.list")
    cloud("routes.delete", route="r")
    cloud("routers.insert", {"name": "r", "network": "global/networks/n"})
    cloud("routers.patch", {"description": "x"}, router="r")
    assert cloud("routers.get", router="r").description == "x"
    cloud("routers.update", {"name": "r", "network": "global/networks/n"}, router="r")
    assert cloud("routers.list")
    assert cloud("routers.aggregatedList")
    cloud("routers.delete", router="r")
    cloud("addresses.insert", {"name": "a"})
    address = cloud("addresses.get", address="a")
    label(cloud, "addresses.setLabels", address.label_fingerprint, resource="a")
    assert cloud("addresses.list")
    assert cloud("addresses.aggregatedList")
    cloud("addresses.testIamPermissions", TEST, resource="a")
    cloud("addresses.delete", address="a")
    cloud("globalAddresses.insert", {"name": "a"})
    assert cloud("globalAddresses.get", address="a").name == "a"
    assert cloud("globalAddresses.list")
    cloud("globalAddresses.delete", address="a")
    for sub in cloud("subnetworks.list"):
        if sub.network.endswith("/n"):
            cloud("subnetworks.delete", subnetwork=sub.name)


def instances(cloud: Cloud) -> None:
    cloud("instances.insert", instance("vm", metadata={"enable-guest-attributes": "TRUE"}))
    own = {"instance": "vm"}
    vm = cloud("instances.get", **own)
    assert vm.status == "RUNNING"
    mark = {"fingerprint": vm.metadata.fingerprint, "items": [{"key": "k", "value": "v"}]}
    cloud("instances.setMetadata", mark, **own)
    label(cloud, "instances.setLabels", vm.label_fingerprint, **own)
    cloud("instances.setTags", {"items": ["web"], "fingerprint": vm.tags.fingerprint}, **own)
    nic = {"network_interface": "nic0", **own}
    cloud("instances.addAccessConfig", {"name": "ext", "type": "ONE_TO_ONE_NAT"}, **nic)
    cloud("instances.updateAccessConfig", {"name": "ext"}, **nic)
    cloud("instances.deleteAccessConfig", access_config="ext", **nic)
    mark = {"fingerprint": vm.network_interfaces[0].fingerprint}
    cloud("instances.updateNetworkInterface", mark, **nic)
    cloud("disks.insert", {"name": "more", "sizeGb": "1"})
    disk = {"source": f"zones/{ZONE}/disks/more", "deviceName": "more"}
    cloud("instances.attachDisk", disk, **own)
    cloud("instances.setDiskAutoDelete", auto_delete=True, device_name="more", **own)
    assert len(cloud("instances.get", **own).disks) == 2
    cloud("instances.detachDisk", device_name="more", **own)
    cloud("disks.delete", disk="more")
    cloud("instances.setScheduling", {"onHostMaintenance": "TERMINATE"}, **own)
    cloud("instances.setDeletionProtection", resource="vm", deletion_protection=True)
    cloud("instances.setDeletionProtection", resource="vm", deletion_protection=False)
    policy = {"updateAutoLearnPolicy": True}
    cloud("instances.setShieldedInstanceIntegrityPolicy", policy, **own)
    cloud("instances.simulateMaintenanceEvent", **own)
    cloud("instances.reset", **own)
    cloud("instances.suspend", **own)
    cloud("instances.resume", **own)
    assert cloud("instances.getSerialPortOutput", **own).contents is not None
    assert list(cloud("instances.listReferrers", **own)) == []
    assert cloud("instances.list")
    assert cloud("instances.aggregatedList")
    policies(cloud, "instances", "vm")
    cloud("instances.stop", **own)
    cloud("instances.setMachineType", {"machineType": f"zones/{ZONE}/machineTypes/e2-medium"},
          **own)  # fmt: skip
    cloud("instances.setServiceAccount", {"email": "default", "scopes": []}, **own)
    cloud("instances.setMinCpuPlatform", {"minCpuPlatform": "Intel Skylake"}, **own)
    cloud("instances.updateDisplayDevice", {"enableDisplay": True}, **own)
    cloud("instances.updateShieldedInstanceConfig", {"enableVtpm": True}, **own)
    cloud("instances.setName", {"name": "vm2", "currentName": "vm"}, **own)
    own = {"instance": "vm2"}
    cloud("instances.start", **own)
    image = {"name": "mi", "sourceInstance": f"zones/{ZONE}/instances/vm2"}
    cloud("machineImages.insert", image)
    shown = cloud("machineImages.get", machine_image="mi")
    label(cloud, "machineImages.setLabels", shown.label_fingerprint, resource="mi")
    assert cloud("machineImages.list")
    policies(cloud, "machineImages", "mi")
    cloud("machineImages.delete", machine_image="mi")
    properties = {key: value for key, value in instance("x").items() if key != "name"}
    properties["machineType"] = "e2-small"
    bulk = {"count": "2", "namePattern": "many-#", "instanceProperties": properties}
    cloud("instances.bulkInsert", bulk)
    for name in ("many-1", "many-2", "vm2"):
        cloud("instances.delete", instance=name)
    assert cloud("instances.list") == []


def disk_groups(cloud: Cloud) -> None:
    """Consistency groups, replication, force, and local SSDs."""
    group = {"name": "cg", "diskConsistencyGroupPolicy": {}}
    cloud("resourcePolicies.insert", group)
    policy = f"regions/{REGION}/resourcePolicies/cg"
    own, far = {"disk": "one"}, {"disk": "far", "zone": "europe-west1-b"}
    cloud("disks.insert", {"name": "one", "sizeGb": "1", "resourcePolicies": [policy]})
    cloud("disks.bulkInsert", {"sourceConsistencyGroupPolicy": policy})
    (clone,) = [disk for disk in cloud("disks.list") if disk.source_consistency_group_policy]
    assert clone.name.startswith("one-")
    primary = {"disk": f"zones/{ZONE}/disks/one"}
    cloud("disks.insert", {"name": "far", "asyncPrimaryDisk": primary}, zone="europe-west1-b")
    begin = {"asyncSecondaryDisk": "zones/europe-west1-b/disks/far"}
    cloud("disks.startAsyncReplication", begin, **own)
    assert cloud("disks.get", **far).resource_status.async_primary_disk.state == "ACTIVE"
    cloud("disks.stopAsyncReplication", **own)
    cloud("disks.startAsyncReplication", begin, **own)
    cloud("disks.stopGroupAsyncReplication", {"resourcePolicy": policy})
    assert cloud("disks.get", **far).resource_status.async_primary_disk.state == "STOPPED"
    zones = [f"zones/{REGION}-{each}" for each in "ab"]
    cloud("regionDisks.insert", {"name": "two", "sizeGb": "10", "replicaZones": zones})
    cloud("regionDisks.addResourcePolicies", {"resourcePolicies": [policy]}, disk="two")
    cloud("regionDisks.bulkInsert", {"sourceConsistencyGroupPolicy": policy})
    for disk in cloud("regionDisks.list"):
        if disk.name != "two":
            cloud("regionDisks.delete", disk=disk.name)
    ssd = {"initializeParams": {"diskType": f"zones/{ZONE}/diskTypes/local-ssd"}}
    body = instance("ssd", machineType=f"zones/{ZONE}/machineTypes/n1-standard-1")
    body["disks"].append({"type": "SCRATCH", "interface": "NVME", **ssd})
    body["disks"].append({"source": f"regions/{REGION}/disks/two"})
    cloud("instances.insert", body)
    assert [disk.type_ for disk in cloud("instances.get", instance="ssd").disks][1] == "SCRATCH"
    cloud("instances.insert", instance("taker"))
    taken = {"source": f"regions/{REGION}/disks/two"}
    cloud("instances.attachDisk", taken, instance="taker", force_attach=True)
    assert len(cloud("instances.get", instance="ssd").disks) == 2
    cloud("instances.stop", instance="ssd", discard_local_ssd=True)
    for name in ("ssd", "taker"):
        cloud("instances.delete", instance=name)
    cloud("regionDisks.delete", disk="two")
    for gone in (own, far, {"disk": clone.name}):
        cloud("disks.delete", **gone)
    cloud("resourcePolicies.delete", resource_policy="cg")


def configs(cloud: Cloud, resource: str, zones: Mapping[str, Any]) -> None:
    """Per-instance configs of a zonal or a regional group."""
    made = {"name": "c", "targetSize": 0, "instanceTemplate": "global/instanceTemplates/t"}
    steady = {"type": "PROACTIVE", "replacementMethod": "RECREATE", "maxSurge": {"fixed": 0}}
    redistribution = {"instanceRedistributionType": "NONE"} if zones else {}
    cloud(f"{resource}.insert", {**made, **zones, "updatePolicy": {**steady, **redistribution}})
    own = {"instance_group_manager": "c"}
    state = {"metadata": {"rack": "a"}}
    given = {"instances": [{"name": "c-one", "preservedState": state}]}
    cloud(f"{resource}.createInstances", given, **own)
    one = {"name": "c-one", "preservedState": {"metadata": {"row": "7"}}}
    cloud(f"{resource}.patchPerInstanceConfigs", {"perInstanceConfigs": [one]}, **own)
    (shown,) = cloud(f"{resource}.listPerInstanceConfigs", **own)
    assert dict(shown.preserved_state.metadata) == {"rack": "a", "row": "7"}
    cloud(f"{resource}.updatePerInstanceConfigs", {"perInstanceConfigs": [one]}, **own)
    (shown,) = cloud(f"{resource}.listPerInstanceConfigs", **own)
    assert dict(shown.preserved_state.metadata) == {"row": "7"}
    cloud(f"{resource}.deletePerInstanceConfigs", {"names": ["c-one"]}, **own)
    assert list(cloud(f"{resource}.listPerInstanceConfigs", **own)) == []
    (member,) = cloud(f"{resource}.listManagedInstances", **own)
    assert member.name == "c-one"
    cloud(f"{resource}.recreateInstances", {"instances": [member.instance]}, **own)
    cloud(f"{resource}.deleteInstances", {"instances": [member.instance]}, **own)
    cloud(f"{resource}.delete", **own)


def template(name: str) -> dict[str, Any]:
    properties = {key: value for key, value in instance(name).items() if key != "name"}
    return {"name": name, "properties": {**properties, "machineType": "e2-small"}}


def groups(cloud: Cloud) -> None:
    cloud("instanceTemplates.insert", template("t"))
    cloud("regionInstanceTemplates.insert", template("rt"))
    assert cloud("instanceTemplates.get", instance_template="t").name == "t"
    assert cloud("regionInstanceTemplates.get", instance_template="rt").name == "rt"
    assert cloud("instanceTemplates.list")
    assert cloud("regionInstanceTemplates.list")
    assert cloud("instanceTemplates.aggregatedList")
    policies(cloud, "instanceTemplates", "t")
    configs(cloud, "instanceGroupManagers", {})
    zone = {"distributionPolicy": {"zones": [{"zone": f"zones/{ZONE}"}]}}
    configs(cloud, "regionInstanceGroupManagers", zone)
    body = {"name": "g", "targetSize": 1, "instanceTemplate": "global/instanceTemplates/t"}
    cloud("instanceGroupManagers.insert", body)
    own = {"instance_group_manager": "g"}
    assert cloud("instanceGroupManagers.get", **own).target_size == 1
    cloud("instanceGroupManagers.resize", size=2, **own)
    link = f"regions/{REGION}/instanceTemplates/rt"
    cloud("instanceGroupManagers.setInstanceTemplate", {"instanceTemplate": link}, **own)
    cloud("instanceGroupManagers.patch", {"targetSize": 1}, **own)
    assert list(cloud("instanceGroupManagers.listManagedInstances", **own))
    list(cloud("instanceGroupManagers.listErrors", **own))
    list(cloud("instanceGroupManagers.listPerInstanceConfigs", **own))
    assert cloud("instanceGroupManagers.list")
    assert cloud("instanceGroupManagers.aggregatedList")
    scaler = {
        "name": "as",
        "target": f"zones/{ZONE}/instanceGroupManagers/g",
        "autoscalingPolicy": {"minNumReplicas": 1, "maxNumReplicas": 2},
    }
    cloud("autoscalers.insert", scaler)
    assert cloud("autoscalers.get", autoscaler="as").name == "as"
    cloud("autoscalers.patch", {"description": "x"}, autoscaler="as")
    cloud("autoscalers.update", scaler, autoscaler="as")
    assert cloud("autoscalers.list")
    assert cloud("autoscalers.aggregatedList")
    cloud("autoscalers.delete", autoscaler="as")
    cloud("instanceGroupManagers.delete", **own)
    cloud("instanceTemplates.delete", instance_template="t")
    cloud("regionInstanceTemplates.delete", instance_template="rt")
    cloud("instances.insert", instance("member"))
    cloud("instanceGroups.insert", {"name": "u"})
    group = {"instance_group": "u"}
    members = {"instances": [{"instance": f"zones/{ZONE}/instances/member"}]}
    cloud("instanceGroups.addInstances", members, **group)
    assert len(list(cloud("instanceGroups.listInstances", {}, **group))) == 1
    ports = {"namedPorts": [{"name": "http", "port": 80}]}
    cloud("instanceGroups.setNamedPorts", ports, **group)
    cloud("instanceGroups.removeInstances", members, **group)
    assert cloud("instanceGroups.get", **group).named_ports[0].port == 80
    assert cloud("instanceGroups.list")
    assert cloud("instanceGroups.aggregatedList")
    cloud("instanceGroups.delete", **group)
    cloud("instances.delete", instance="member")


def records(cloud: Cloud) -> None:
    check = {"name": "h", "type": "TCP", "tcpHealthCheck": {"port": 80}}
    for resource in ("healthChecks", "regionHealthChecks"):
        cloud(f"{resource}.insert", check)
        cloud(f"{resource}.patch", {"timeoutSec": 3, "type": "TCP"}, health_check="h")
        assert cloud(f"{resource}.get", health_check="h").timeout_sec == 3
        cloud(f"{resource}.update", check, health_check="h")
        assert cloud(f"{resource}.list")
        cloud(f"{resource}.delete", health_check="h")
    own = {"count": "1", "instanceProperties": {"machineType": "e2-small"}}
    cloud("reservations.insert", {"name": "r", "specificReservation": own})
    cloud("reservations.resize", {"specificSkuCount": "2"}, reservation="r")
    assert cloud("reservations.get", reservation="r").specific_reservation.count == 2
    assert cloud("reservations.list")
    assert cloud("reservations.aggregatedList")
    policies(cloud, "reservations", "r")
    cloud("reservations.delete", reservation="r")


def operations(cloud: Cloud) -> None:
    assert cloud("globalOperations.aggregatedList")
    for scope in ("zone", "region", "global"):
        found = cloud(f"{scope}Operations.list")
        name = {"operation": found[0].name}
        assert cloud(f"{scope}Operations.get", **name).name == found[0].name
        cloud(f"{scope}Operations.delete", **name)
