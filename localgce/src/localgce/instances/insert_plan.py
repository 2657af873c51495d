"""From the body of instances.insert to the instance and its disks, all checked beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from localgce.core import catalog, errors, limits, links, quotas
from localgce.core.clock import timestamp
from localgce.core.errors import ApiError, Json
from localgce.core.ids import fingerprint, numeric_id
from localgce.core.store import Record
from localgce.disks import validation as disk_validation
from localgce.instances import local_ssds, validation
from localgce.instances.validation import MAX_DISKS

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.instances.addresses import Allocator

_COPIED = (
    "description",
    "hostname",
    "canIpForward",
    "minCpuPlatform",
    "guestAccelerators",
    "resourcePolicies",
    "confidentialInstanceConfig",
    "advancedMachineFeatures",
    "displayDevice",
    "networkPerformanceConfig",
    "keyRevocationActionType",
    "params",
    "privateIpv6GoogleAccess",
    "reservationAffinity",
    "sourceMachineImage",
)


_OWN = {
    *("name", "zone", "labels", "metadata", "machineType", "disks", "tags", "scheduling"),
    *("serviceAccounts", "deletionProtection", "shieldedInstanceConfig", "networkInterfaces"),
    # of a body that was read before, or of a machine image or template
    *("kind", "fingerprint", "labelFingerprint", "shieldedInstanceIntegrityPolicy", "status"),
    *("resourceManagerTags",),
}
_KNOWN = {*_COPIED, *_OWN}
_NIC_KEPT = ("aliasIpRanges", "nicType", "queueCount")
_NIC_KNOWN = {
    *_NIC_KEPT,
    *("kind", "name", "network", "subnetwork", "networkIP", "accessConfigs", "stackType"),
    "fingerprint",
}
_CONFIG_KNOWN = {"kind", "name", "type", "natIP", "networkTier"}
_DISK_KNOWN = {*validation.ATTACHED, "initializeParams"}
_PARAMS_KEPT = (
    *("provisionedIops", "provisionedThroughput", "resourcePolicies", "licenses"),
    *("sourceImageEncryptionKey", "sourceSnapshotEncryptionKey"),
)
_PARAMS_KNOWN = {
    *_PARAMS_KEPT,
    *("diskName", "diskSizeGb", "diskType", "labels", "description", "sourceImage"),
    *("sourceSnapshot", "architecture", *disk_validation.SAVED),
    "onUpdateAction",
}


@dataclass
class Plan:
    """An instance, and the disks to create or attach with it."""

    instance: Record
    new_disks: list[Record] = field(default_factory=list)
    attached: list[Record] = field(default_factory=list)
    forced: list[str] = field(default_factory=list)  # device names of those attached by force


def plan(context: Context, addresses: Allocator, body: Json) -> Plan:
    """Check everything and allocate addresses; raises Compute Engine's 400s and 404s."""
    name = str(body["name"])
    path = f"{context.base}/instances/{name}"
    limits.check_labels(body.get("labels", {}))
    limits.check_description(body.get("description", ""))
    limits.check_metadata(body.get("metadata", {}).get("items", []))
    limits.refuse_others(body, _KNOWN, "resource")
    machine_type = validation.check_machine_type(context, body.get("machineType"))
    known = {"selfLink": links.url(path), "machineType": machine_type}
    shell = Record("instances", context.project, context.scope, name, known)
    _check_quota(context, body, machine_type)
    found = Plan(shell)
    disks = _disks(context, found, body)
    now = timestamp(context.now())
    shown: Json = {
        "kind": "compute#instance",
        "id": numeric_id(),
        "creationTimestamp": now,
        "name": name,
        "status": "PROVISIONING",
        "zone": links.url(f"{context.base}"),
        "selfLink": links.url(path),
        "machineType": machine_type,
        "cpuPlatform": "Unknown CPU Platform",
        "disks": disks,
        "metadata": limits.metadata(body.get("metadata")),
        "tags": validation.tags(body.get("tags")),
        "scheduling": validation.scheduling(body.get("scheduling", {})),
        "serviceAccounts": validation.service_accounts(context, body),
        "deletionProtection": body.get("deletionProtection", False),
        "startRestricted": False,
        "shieldedInstanceConfig": body.get("shieldedInstanceConfig")
        or {"enableIntegrityMonitoring": True, "enableSecureBoot": False, "enableVtpm": True},
        "shieldedInstanceIntegrityPolicy": {"updateAutoLearnPolicy": True},
        "networkInterfaces": _interfaces(context, addresses, body),
        **limits.label_fields(body.get("labels")),
        **{key: body[key] for key in _COPIED if key in body},
    }
    if body.get("resourcePolicies"):
        where, given = "resource.resourcePolicies", body["resourcePolicies"]
        shown["resourcePolicies"] = validation.resource_policies(context, given, where)
    if body.get("guestAccelerators"):
        shown["guestAccelerators"] = validation.accelerators(context, body["guestAccelerators"])
    shown["fingerprint"] = fingerprint(shown)
    found.instance = Record("instances", context.project, context.scope, name, shown)
    return found


def _check_quota(context: Context, body: Json, machine_type: str) -> None:
    nics = body.get("networkInterfaces", [])
    wanted = {
        "CPUS": float(quotas.cpus(machine_type)),
        "INSTANCES": 1.0,
        "IN_USE_ADDRESSES": float(sum(bool(nic.get("accessConfigs")) for nic in nics)),
    }
    region = catalog.region_of(context.zone)
    context.core.quotas.check(context.project, region, wanted)


def _interfaces(context: Context, addresses: Allocator, body: Json) -> list[Json]:
    given = body.get("networkInterfaces", [])
    if not given:
        text = "At least one network interface is required."
        raise errors.invalid("resource.networkInterfaces", "", text)
    if len(given) > 1:
        text = "localgce gives an instance one network interface."
        raise errors.invalid("resource.networkInterfaces", len(given), text)
    return [_interface(context, addresses, given[0])]


def _interface(context: Context, addresses: Allocator, given: Json) -> Json:
    """The network interface, with its addresses allocated."""
    limits.refuse_others(given, _NIC_KNOWN, "resource.networkInterfaces[0]")
    if given.get("stackType", "IPV4_ONLY") != "IPV4_ONLY":
        text = "localgce has IPv4 only."
        raise errors.invalid("resource.networkInterfaces[0].stackType", given["stackType"], text)
    subnetwork = subnetwork_of(context, given, "resource.networkInterfaces[0]")
    internal = addresses.allocate_internal(subnetwork, given.get("networkIP"))
    shown: Json = {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": subnetwork.body["network"],
        "subnetwork": subnetwork.link,
        "networkIP": internal,
        "stackType": "IPV4_ONLY",
        **{key: given[key] for key in _NIC_KEPT if key in given},
    }
    try:
        configs = [
            _access_config(context, addresses, config)
            for config in given.get("accessConfigs", [])[:1]
        ]
    except ApiError:
        addresses.release({internal})
        raise
    if configs:
        shown["accessConfigs"] = configs
    return {**shown, "fingerprint": fingerprint(shown)}


def _access_config(context: Context, addresses: Allocator, given: Json) -> Json:
    """An external address: the requested reserved one, or the next free one."""
    where = "resource.networkInterfaces[0].accessConfigs[0]"
    limits.refuse_others(given, _CONFIG_KNOWN, where)
    address = addresses.allocate_external(context.project, given.get("natIP"))
    return {
        "kind": "compute#accessConfig",
        "type": "ONE_TO_ONE_NAT",
        "name": given.get("name", "External NAT"),
        "natIP": address,
        "networkTier": given.get("networkTier", "PREMIUM"),
    }


def subnetwork_of(context: Context, given: Json, where: str) -> Record:
    """The subnetwork of an interface in the request's zone; raises 400 and 404.

    Without one, it is that of the network in the region; `where` is the interface in the request.
    """
    store, region = context.store, catalog.region_of(context.zone)
    if "subnetwork" in given:
        link = context.link(given["subnetwork"], f"{where}.subnetwork")
        found = store.get("subnetworks", link.project, link.scope, link.name)
        if found is None:
            raise errors.not_found(link.path)
        if found.scope != f"regions/{region}":
            text = "The subnetwork is not in the instance's region."
            raise errors.invalid(f"{where}.subnetwork", given["subnetwork"], text)
        if "network" in given:
            network = context.link(given["network"], f"{where}.network")
            if found.body["network"] != links.url(network.path):
                text = "The subnetwork is not of the network."
                raise errors.invalid(f"{where}.subnetwork", given["subnetwork"], text)
        return found
    network = context.link(given.get("network", "global/networks/default"), f"{where}.network")
    record = store.get("networks", network.project, network.scope, network.name)
    if record is None:
        text = "The referenced network resource cannot be found."
        raise errors.invalid(f"{where}.network", given.get("network"), text)
    for subnetwork in store.all("subnetworks", context.project, f"regions/{region}"):
        if subnetwork.body["network"] == record.link:
            return subnetwork
    text = "No subnetwork of the network is in the instance's region."
    raise errors.invalid(f"{where}.network", given.get("network"), text)


def _disks(context: Context, found: Plan, body: Json) -> list[Json]:
    given: list[Json] = body.get("disks", [])
    if not given or not given[0].get("boot", False):
        if not any(disk.get("boot") for disk in given):
            raise errors.invalid("resource.disks", "", "Boot disk must be specified.")
        given = sorted(given, key=lambda disk: not disk.get("boot", False))
    if sum(bool(disk.get("boot")) for disk in given) > 1:
        raise errors.invalid("resource.disks", "", "At most one disk can be the boot disk.")
    if len(given) > MAX_DISKS:
        raise errors.invalid("resource.disks", len(given), f"At most {MAX_DISKS} disks.")
    shown: list[Json] = []
    for index, disk in enumerate(given):
        where = f"resource.disks[{index}]"
        if local_ssds.is_local(disk):
            number = sum(map(local_ssds.is_local, shown))
            kind = found.instance.body["machineType"]
            entry = local_ssds.shown(context, kind, disk, index, number)
        else:
            entry = _attached_disk(context, found, disk, index, where)
        if entry["deviceName"] in {other["deviceName"] for other in shown}:
            text = "Each disk of an instance must have a device name of its own."
            raise errors.invalid(f"{where}.deviceName", entry["deviceName"], text)
        shown.append(entry)
    return shown


def _attached_disk(context: Context, found: Plan, given: Json, index: int, where: str) -> Json:
    """One entry of `disks`: an existing disk, or one to create."""
    limits.refuse_others(given, _DISK_KNOWN, where)
    if "source" in given:
        disk = validation.attachable_disk(context, given, found.instance, where)
        if any(other.link == disk.link for other in found.attached):
            raise errors.in_use(disk.path, found.instance.path)
        found.attached.append(disk)
        if given.get("forceAttach"):
            found.forced.append(validation.shown_disk(disk, given, index)["deviceName"])
    elif "initializeParams" in given or not given.get("boot"):
        disk = _new_disk(context, found.instance, given, index, where)
        validation.check_disk_type(found.instance.body["machineType"], disk)
        _refuse_twice(found, disk)
        found.new_disks.append(disk)
    else:
        raise errors.required(f"{where}.initializeParams")
    return validation.shown_disk(disk, given, index)


def _new_disk(context: Context, instance: Record, given: Json, index: int, where: str) -> Record:
    limits.check_encryption_key(given.get("diskEncryptionKey"), f"{where}.diskEncryptionKey")
    params = given.get("initializeParams", {})
    limits.refuse_others(params, _PARAMS_KNOWN, f"{where}.initializeParams")
    own = instance.name
    name = params.get("diskName") or (own if given.get("boot") else f"{own}-{index}")
    machine = instance.body["machineType"].rsplit("/", 1)[-1]
    default = f"{context.scope}/diskTypes/{catalog.disk_types_of(machine)[0]}"
    body: Json = {
        "name": name[:63],
        "sizeGb": params.get("diskSizeGb") or given.get("diskSizeGb"),
        "type": params.get("diskType", default),
        "labels": params.get("labels"),
        "description": params.get("description"),
        "sourceImage": params.get("sourceImage"),
        "sourceSnapshot": params.get("sourceSnapshot"),
        **{key: params.get(key) for key in (*disk_validation.SAVED, *_PARAMS_KEPT)},
        "diskEncryptionKey": given.get("diskEncryptionKey"),
    }
    body = {key: value for key, value in body.items() if value is not None}
    if given.get("boot") and not {"sourceImage", "sourceSnapshot", *disk_validation.SAVED} & set(
        body
    ):
        raise errors.required(f"{where}.initializeParams.sourceImage")
    return disk_validation.plan(context, body, where=f"{where}.initializeParams")


def _refuse_twice(found: Plan, disk: Record) -> None:
    if any(other.name == disk.name for other in found.new_disks):
        raise ApiError(409, "alreadyExists", f"The resource '{disk.path}' already exists")
