"""The `instance/` and `project/` trees of the metadata server."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from localgce.core import links
from localgce.metadata.service_accounts import SCOPES

if TYPE_CHECKING:
    from localgce.core.store import Record, Store

Tree = dict[str, Any]


def attributes(metadata: dict[str, Any]) -> dict[str, str]:
    """The key-value pairs of a Metadata object."""
    return {item["key"]: item.get("value", "") for item in metadata.get("items", [])}


def project_tree(project: Record) -> Tree:
    """`/computeMetadata/v1/project/`."""
    return {
        "attributes": attributes(project.body["commonInstanceMetadata"]),
        "numericProjectId": int(project.id),
        "projectId": project.name,
    }


def boot_image(store: Store, instance: Record) -> str:
    """`projects/P/global/images/I` that the boot disk was created from; empty without one."""
    boot = next((disk for disk in instance.body.get("disks", []) if disk["boot"]), None)
    if boot is None:
        return ""
    link = links.parse(boot["source"], project=instance.project, field="source")
    disk = store.get("disks", link.project, link.scope, link.name)
    source: str = disk.body.get("sourceImage", "") if disk else ""
    return source.removeprefix(links.BASE)


def instance_tree(store: Store, instance: Record, project: Record) -> Tree:
    """`/computeMetadata/v1/instance/`, without guest attributes."""
    body = instance.body
    zone = links.last(instance.scope)
    number = project.id
    scheduling = body.get("scheduling", {})
    return {
        "attributes": attributes(body.get("metadata", {})),
        "cpuPlatform": body.get("cpuPlatform", ""),
        "description": body.get("description", ""),
        "disks": [_disk(index, disk) for index, disk in enumerate(body.get("disks", []))],
        "hostname": body.get("hostname") or f"{instance.name}.{zone}.c.{instance.project}.internal",
        "id": int(instance.id),
        "image": boot_image(store, instance),
        "licenses": [],
        "machineType": f"projects/{number}/machineTypes/{links.last(body['machineType'])}",
        "maintenanceEvent": instance.private.get("maintenance", "NONE"),
        "name": instance.name,
        "networkInterfaces": [
            _interface(nic, number, _range_of(store, nic)) for nic in body["networkInterfaces"]
        ],
        "preempted": "TRUE" if instance.private.get("preempted") else "FALSE",
        "remainingCpuTime": -1,
        "scheduling": {
            "automaticRestart": _boolean(scheduling.get("automaticRestart", True)),
            "onHostMaintenance": scheduling.get("onHostMaintenance", "MIGRATE"),
            "preemptible": _boolean(scheduling.get("preemptible", False)),
        },
        "serviceAccounts": _service_accounts(instance),
        "tags": body.get("tags", {}).get("items", []),
        "virtualClock": _virtual_clock(int(instance.private.get("drift", 0))),
        "zone": f"projects/{number}/zones/{zone}",
    }


def _disk(index: int, disk: dict[str, Any]) -> Tree:
    return {
        "deviceName": disk["deviceName"],
        "index": index,
        "interface": disk.get("interface", "SCSI"),
        "mode": disk["mode"],
        "type": disk.get("type", "PERSISTENT"),
    }


def _range_of(store: Store, nic: dict[str, Any]) -> ipaddress.IPv4Network:
    """The addresses of the interface's subnetwork."""
    subnetwork = store.at(links.parse(nic["subnetwork"], project="", field="subnetwork"))
    return ipaddress.IPv4Network(subnetwork.body["ipCidrRange"] if subnetwork else nic["networkIP"])


def _interface(nic: dict[str, Any], number: str, addresses: ipaddress.IPv4Network) -> Tree:
    configs = nic.get("accessConfigs", [])
    address = nic["networkIP"]
    return {
        "accessConfigs": [
            {"externalIp": config.get("natIP", ""), "type": config["type"]} for config in configs
        ],
        "dnsServers": ["169.254.169.254"],
        "forwardedIps": [],
        "gateway": str(addresses[min(1, addresses.num_addresses - 1)]),
        "ip": address,
        "ipAliases": [],
        "mac": mac(address),
        "mtu": 1460,
        "network": f"projects/{number}/networks/{links.last(nic['network'])}",
        "subnetmask": str(addresses.netmask),
        "targetInstanceIps": [],
    }


def mac(address: str) -> str:
    """The hardware address that Compute Engine derives from an internal address."""
    return "42:01:" + ":".join(f"{int(part):02x}" for part in address.split("."))


def _service_accounts(instance: Record) -> Tree:
    accounts: Tree = {}
    for account in instance.body.get("serviceAccounts", []):
        email = account["email"]
        entry = {
            "aliases": ["default"],
            "email": email,
            "scopes": account.get("scopes", [SCOPES]),
        }
        accounts["default"] = entry
        accounts[email] = entry
    return accounts


def _virtual_clock(drift: int) -> Tree:
    """The token by the name of Compute Engine, and by that which Debian's agent looks for.

    The agent of Debian 12 (`DriftToken int json:"drift-token"`) never sees the other one.
    As a path both are `virtual-clock/drift-token`, whose text is the same.
    """
    return {"drift-token": drift, "driftToken": str(drift)}


def _boolean(value: bool) -> str:
    return "TRUE" if value else "FALSE"
