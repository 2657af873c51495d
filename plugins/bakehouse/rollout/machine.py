"""The instances that a rollout inserts: bodies of the template, or of what an instance was. Pure.

The body leaves out the boot disk, which the walk makes before, and the addresses that may have to
be reserved first. Both are filled in when the instance is inserted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.fleet.members import NEW_FLEET, metadata_of
from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    attributes_of,
    labels_of,
    region_of,
    resource_name,
    zone_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from bakehouse.fleet.members import Instance
    from bakehouse.fleet.template import DataDisk, Template

UNUSED_FOR = timedelta(days=7)  # after that the sweep may take a data disk that was never attached
INTERNAL, EXTERNAL = "INTERNAL", "EXTERNAL"
NAT = {"type": "ONE_TO_ONE_NAT", "name": "External NAT"}
_KEYS_OF_PEOPLE = frozenset({"ssh-keys", "sshKeys", "windows-keys"})

# Fields of an instance that its owner has chosen, and that its insert takes as they are shown.
# Source: the discovery document, schema Instance, without what is output only.
_KEPT = (
    "name",
    "description",
    "machineType",
    "minCpuPlatform",
    "hostname",
    "canIpForward",
    "guestAccelerators",
    "resourcePolicies",
    "shieldedInstanceConfig",
    "confidentialInstanceConfig",
    "advancedMachineFeatures",
    "displayDevice",
    "networkPerformanceConfig",
    "keyRevocationActionType",
    "privateIpv6GoogleAccess",
    "reservationAffinity",
    "serviceAccounts",
    "scheduling",
    "deletionProtection",
)
_OF_INTERFACE = ("network", "subnetwork", "nicType", "stackType", "aliasIpRanges", "queueCount")
_OF_DISK = ("deviceName", "mode", "interface", "autoDelete")


class Reserved(Frozen):
    """A reserved address that the instance is to have; it is reserved if it does not exist."""

    name: str
    region: str
    kind: Literal["INTERNAL", "EXTERNAL"]
    subnetwork: str = Field(default="", description="of an internal one; empty: the default one")


class Machine(Frozen):
    """An instance to insert."""

    body: dict[str, Any] = Field(description="of instances.insert, without the boot disk")
    disks: tuple[dict[str, Any], ...] = Field(
        default=(), description="bodies of the data disks to make, unless they exist"
    )
    addresses: tuple[Reserved, ...] = ()


class Owner(Frozen):
    """Whose the resources are that a rollout makes for a member."""

    recipe: str
    run: str
    fleet: str
    member: str

    @property
    def labels(self) -> dict[str, str]:
        """The labels of all that is made."""
        return {
            labels.RECIPE: self.recipe,
            labels.RUN: self.run,
            labels.FLEET: self.fleet,
            labels.MEMBER: self.member,
        }


def of_template(
    template: Template,
    one: Instance,
    owner: Owner,
    now: datetime,
    known: Mapping[str, str] | None = None,
) -> Machine:
    """Return the instance of a member that does not exist.

    Args:
        template: of the fleet.
        one: the member, with its zone.
        owner: of what is made.
        now: for the label `expires` of disks.
        known: data disks that earlier rollouts have made or kept for it: device name -> disk.
    """
    zone, known = one.zone or "", known or {}
    names = {disk.name: known.get(disk.name, f"{one.name}-{disk.name}") for disk in template.disks}
    made = tuple(
        _data_disk(disk, names[disk.name], template, owner, zone, now) for disk in template.disks
    )
    attached = [_attached(names[disk.name], disk.name, zone) for disk in template.disks]
    return Machine(
        body=_body(template, one, owner) | {"disks": attached},
        disks=made,
        addresses=_addresses(template, one),
    )


def of_new_fleet(machine: Machine, run: str) -> Machine:
    """Return an instance that is told that its fleet has no data yet."""
    items = [*machine.body["metadata"]["items"], {"key": NEW_FLEET, "value": run}]
    return machine.model_copy(update={"body": {**machine.body, "metadata": {"items": items}}})


def recreated(
    template: Template,
    one: Instance,
    owner: Owner,
    now: datetime,
    instance: Resource,
    reserved: Collection[str],
) -> Machine:
    """Return what the template makes of an instance: its data disks and reserved addresses stay.

    Args:
        template: of the fleet.
        one: the member.
        owner: of what is made.
        now: for the label `expires` of disks.
        instance: as it is.
        reserved: the addresses of the region that are reserved.
    """
    zone = zone_of(instance)
    placed = one.model_copy(update={"zone": zone})
    wanted = of_template(template, placed, owner, now)
    kept = [_shown_disk(disk) for disk in instance.get("disks") or [] if not disk.get("boot")]
    there = {disk["deviceName"] for disk in kept}
    more = [disk for disk in wanted.body["disks"] if disk["deviceName"] not in there]
    body = {**wanted.body, "disks": [*kept, *more]}
    names = {resource_name(disk["source"]) for disk in more}
    keys = {key: told for key, told in attributes_of(instance).items() if is_of_people(key)}
    body["metadata"] = _items({**keys, **_metadata(template, one)})
    body["networkInterfaces"] = [
        _with_reserved(body["networkInterfaces"][0], instance, one, reserved)
    ]
    return Machine(
        body=body,
        disks=tuple(disk for disk in wanted.disks if disk["name"] in names),
        addresses=wanted.addresses,
    )


def pinned(instance: Resource, owner: Owner, reserved: Collection[str]) -> Machine:
    """Return the instance as it is, which is its way back; `reserved`: addresses of the region."""
    body = {key: instance[key] for key in _KEPT if key in instance}
    body["labels"] = {**labels_of(instance), **owner.labels}
    has = attributes_of(instance).items()
    body["metadata"] = _items({key: value for key, value in has if key != NEW_FLEET})
    body["tags"] = {"items": list((instance.get("tags") or {}).get("items") or [])}
    body["networkInterfaces"] = [
        _shown_interface(nic, reserved) for nic in instance.get("networkInterfaces") or []
    ]
    body["disks"] = [
        _shown_disk(disk) for disk in instance.get("disks") or [] if not disk.get("boot")
    ]
    return Machine(body=body)


def instance_body(
    machine: Machine, boot: Mapping[str, Any], addresses: Mapping[str, str]
) -> dict[str, Any]:
    """Return the whole body; `addresses`: kind -> address of those that are reserved now."""
    body = {**machine.body, "disks": [dict(boot), *machine.body["disks"]]}
    if addresses:
        first, *others = machine.body["networkInterfaces"]
        nic = dict(first)
        if INTERNAL in addresses:
            nic["networkIP"] = addresses[INTERNAL]
        if EXTERNAL in addresses:
            nic["accessConfigs"] = [{**NAT, "natIP": addresses[EXTERNAL]}]
        body["networkInterfaces"] = [nic, *others]
    return body


def address_body(address: Reserved, owner: Owner) -> dict[str, Any]:
    """Return the body of addresses.insert; see `is_address_of`."""
    body: dict[str, Any] = {
        "name": address.name,
        "addressType": address.kind,
        "labels": owner.labels,
        "description": f"{_mark(owner.run)} for {owner.member} of the fleet {owner.fleet}",
    }
    if address.kind == INTERNAL and address.subnetwork:
        body["subnetwork"] = address.subnetwork
    return body


def is_address_of(address: Resource, run: str) -> bool:
    """Whether this run has reserved it: labels of an address may come later than itself."""
    return str(address.get("description", "")).startswith(_mark(run))


def is_of_people(key: str) -> bool:
    """Whether metadata of this name holds the SSH keys of people."""
    return key in _KEYS_OF_PEOPLE


def data_disk_labels(owner: Owner, device: str) -> dict[str, str]:
    """Return the labels by which a member's data disk is found when its instance is gone."""
    told = {**owner.labels, labels.ROLE: labels.DATA_DISK}
    return told | ({labels.DEVICE: device} if labels.label_value(device) == device else {})


def known_disks(fleet: str, disks: Mapping[str, Resource]) -> dict[str, str]:
    """Return the data disks of a member of a fleet by device name; `disks`: its own, by name."""
    told = ((name, labels_of(disk)) for name, disk in disks.items())
    return {
        has[labels.DEVICE]: name
        for name, has in told
        if (has.get(labels.ROLE), has.get(labels.FLEET)) == (labels.DATA_DISK, fleet)
        and labels.DEVICE in has
    }


def _body(template: Template, one: Instance, owner: Owner) -> dict[str, Any]:
    zone = one.zone or ""
    body: dict[str, Any] = {
        "name": one.name,
        "description": f"Created by Bakehouse: a member of the fleet {owner.fleet}",
        "machineType": f"zones/{zone}/machineTypes/{template.machine_type}",
        "labels": {**template.labels, **owner.labels, labels.ROLE: labels.MEMBER_DISK},
        "metadata": _items(_metadata(template, one)),
        "tags": {"items": list(template.tags)},
        "networkInterfaces": [_interface(template, one)],
    }
    if template.service_account:
        account = {"email": template.service_account, "scopes": list(template.all_scopes)}
        body["serviceAccounts"] = [account]
    return body


def _metadata(template: Template, one: Instance) -> dict[str, str]:
    return metadata_of(template.metadata, one.metadata)


def _items(values: Mapping[str, str]) -> dict[str, Any]:
    return {"items": [{"key": key, "value": value} for key, value in sorted(values.items())]}


def _interface(template: Template, one: Instance) -> dict[str, Any]:
    interface: dict[str, Any] = {}
    if template.network or not template.subnetwork:  # Compute Engine knows that of a subnetwork
        network = template.network or "default"
        interface["network"] = network if "/" in network else f"global/networks/{network}"
    if template.subnetwork:
        interface["subnetwork"] = subnetwork_of(template, one)
    if template.external_ip:
        interface["accessConfigs"] = [NAT]
    return interface


def subnetwork_of(template: Template, one: Instance) -> str:
    """Return the path of the template's subnetwork for a member; empty if it names none."""
    if not template.subnetwork or "/" in template.subnetwork:
        return template.subnetwork or ""
    return f"regions/{region_of(one.zone or '')}/subnetworks/{template.subnetwork}"


def _addresses(template: Template, one: Instance) -> tuple[Reserved, ...]:
    region, subnetwork = region_of(one.zone or ""), subnetwork_of(template, one)
    found = []
    if one.address:
        found.append(
            Reserved(name=one.address, region=region, kind="INTERNAL", subnetwork=subnetwork)
        )
    if one.external_address:
        found.append(Reserved(name=one.external_address, region=region, kind="EXTERNAL"))
    return tuple(found)


def _data_disk(
    disk: DataDisk, name: str, template: Template, owner: Owner, zone: str, now: datetime
) -> dict[str, Any]:
    expires = {labels.EXPIRES: labels.expiry(now + UNUSED_FOR)}
    return {
        "name": name,
        "sizeGb": str(disk.size_gb),
        "type": f"zones/{zone}/diskTypes/{disk.type}",
        "labels": {**template.labels, **data_disk_labels(owner, disk.name), **expires},
        "description": f"The data disk {disk.name} of {owner.member}, made by Bakehouse",
    }


def _attached(name: str, device: str, zone: str) -> dict[str, Any]:
    return {
        "source": f"zones/{zone}/disks/{name}",
        "deviceName": device,
        "mode": "READ_WRITE",
        "autoDelete": False,
    }


def _shown_disk(disk: Resource) -> dict[str, Any]:
    return {"source": disk["source"], **{key: disk[key] for key in _OF_DISK if key in disk}}


def _shown_interface(nic: Resource, reserved: Collection[str]) -> dict[str, Any]:
    shown = {key: nic[key] for key in _OF_INTERFACE if key in nic}
    if nic.get("networkIP") in reserved:
        shown["networkIP"] = nic["networkIP"]
    configs = [_shown_access(config, reserved) for config in nic.get("accessConfigs") or []]
    return shown | ({"accessConfigs": configs} if configs else {})


def _shown_access(config: Resource, reserved: Collection[str]) -> dict[str, Any]:
    shown = {key: config[key] for key in ("type", "name", "networkTier") if key in config}
    return shown | ({"natIP": config["natIP"]} if config.get("natIP") in reserved else {})


def _with_reserved(
    wanted: Mapping[str, Any], instance: Resource, one: Instance, reserved: Collection[str]
) -> dict[str, Any]:
    """Return the template's interface with the reserved addresses that the instance has."""
    first: Resource = next(iter(instance.get("networkInterfaces") or []), {})
    has = _shown_interface(first, reserved)
    nic = dict(wanted)
    if "networkIP" in has and not one.address:
        nic["networkIP"] = has["networkIP"]
    kept = [config for config in has.get("accessConfigs", []) if "natIP" in config]
    if kept and not one.external_address:
        nic["accessConfigs"] = kept
    return nic


def _mark(run: str) -> str:
    return f"Reserved by Bakehouse ({labels.RUN}={run})"
