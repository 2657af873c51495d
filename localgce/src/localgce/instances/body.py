"""From the body of instances.insert to the instance and the disks it needs, all checked before
anything is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localgce import errors
from localgce.clock import stamp
from localgce.disks import body as disk_body
from localgce.errors import ApiError, Json
from localgce.http.call import Call
from localgce.metadata.service_accounts import service_account
from localgce.resources import catalog, limits, links, quotas
from localgce.resources.ids import fingerprint, numeric_id
from localgce.state.store import Record

MAX_DISKS = 128
_KEPT = (
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


@dataclass
class Plan:
    """An instance to be, and the disks to be made with it."""

    instance: Record
    new_disks: list[Record] = field(default_factory=list)
    attached: list[Record] = field(default_factory=list)


def plan(call: Call, body: Json) -> Plan:
    """Everything checked, nothing done but addresses taken; raises Google's 400s and 404s."""
    name = str(body["name"])
    zone = call.path["zone"]
    path = f"projects/{call.project}/zones/{zone}/instances/{name}"
    shell = Record("instances", call.project, call.scope, name, {"selfLink": links.url(path)})
    limits.check_labels(body.get("labels", {}))
    limits.check_metadata(body.get("metadata", {}).get("items", []))
    machine_type = check_machine_type(call, body.get("machineType"))
    _check_quota(call, body, machine_type)
    found = Plan(shell)
    disks = _disks(call, found, body)
    now = stamp(call.service.clock.now())
    shown: Json = {
        "kind": "compute#instance",
        "id": numeric_id(),
        "creationTimestamp": now,
        "name": name,
        "status": "PROVISIONING",
        "zone": links.url(f"projects/{call.project}/zones/{zone}"),
        "selfLink": links.url(path),
        "machineType": machine_type,
        "cpuPlatform": "Unknown CPU Platform",
        "disks": disks,
        "metadata": limits.metadata(body.get("metadata")),
        "tags": tags(body.get("tags")),
        "scheduling": scheduling(body.get("scheduling", {})),
        "serviceAccounts": service_accounts(call, body),
        "deletionProtection": body.get("deletionProtection", False),
        "startRestricted": False,
        "shieldedInstanceConfig": body.get("shieldedInstanceConfig")
        or {"enableIntegrityMonitoring": True, "enableSecureBoot": False, "enableVtpm": True},
        "shieldedInstanceIntegrityPolicy": {"updateAutoLearnPolicy": True},
        "networkInterfaces": _interfaces(call, body),
        **limits.label_fields(body.get("labels")),
        **{key: body[key] for key in _KEPT if key in body},
    }
    shown["fingerprint"] = fingerprint(shown)
    found.instance = Record("instances", call.project, call.scope, name, shown)
    return found


def _check_quota(call: Call, body: Json, machine_type: str) -> None:
    nics = body.get("networkInterfaces", [])
    wanted = {
        "CPUS": float(quotas.cpus(machine_type)),
        "INSTANCES": 1.0,
        "IN_USE_ADDRESSES": float(sum(bool(nic.get("accessConfigs")) for nic in nics)),
    }
    region = catalog.region_of(call.path["zone"])
    call.service.quotas.check(call.project, region, wanted)


def check_machine_type(call: Call, given: str | None) -> str:
    """The machine type's link; raises 400 when there is none of that name in the zone."""
    where = "resource.machineType"
    if not given:
        raise errors.required(where)
    link = call.link(given, where)
    found = catalog.machine_type(link.name)
    if link.collection != "machineTypes" or found is None:
        zone = call.path.get("zone", "")
        problem = f"Machine type with name '{link.name}' does not exist in zone '{zone}'."
        raise errors.invalid(where, given, problem)
    if link.scope != call.scope:
        raise errors.invalid(where, given, f"The machine type is not in '{call.scope}'.")
    return links.url(f"projects/{call.project}/{call.scope}/machineTypes/{link.name}")


def tags(raw: Json | None, where: str = "resource.tags") -> Json:
    """A Tags object as it is shown; raises 400 for tags that are no names, or more than 64."""
    items = (raw or {}).get("items", [])
    limits.check_tags(items, where)
    shown: Json = {"fingerprint": fingerprint(items)}
    return {**shown, "items": items} if items else shown


def scheduling(raw: Json) -> Json:
    """Scheduling with the defaults, which differ for Spot VMs."""
    spot = raw.get("provisioningModel") == "SPOT" or raw.get("preemptible", False)
    if spot and raw.get("automaticRestart"):
        text = "Scheduling must have automatic restart be disabled for spot VMs."
        raise errors.invalid("resource.scheduling.automaticRestart", True, text)
    if spot and raw.get("onHostMaintenance") == "MIGRATE":
        text = "Scheduling must terminate on host maintenance for spot VMs."
        raise errors.invalid("resource.scheduling.onHostMaintenance", "MIGRATE", text)
    check_deadline(raw)
    defaults = {
        "onHostMaintenance": "TERMINATE" if spot else "MIGRATE",
        "automaticRestart": not spot,
        "preemptible": spot,
        "provisioningModel": "SPOT" if spot else "STANDARD",
    }
    return {**defaults, **raw}


def check_deadline(raw: Json) -> None:
    """An instance with an end must say what happens then; only one kind of end."""
    where = "resource.scheduling"
    duration = raw.get("maxRunDuration", {}).get("seconds")
    if duration is not None and not 0 < int(duration) <= 120 * 24 * 3600:
        text = "A run lasts from 1 second to 120 days."
        raise errors.invalid(f"{where}.maxRunDuration.seconds", duration, text)
    time = raw.get("terminationTime")
    if time is not None:
        try:
            aware = datetime.fromisoformat(time).tzinfo is not None
        except ValueError:
            aware = False
        if not aware:
            raise errors.invalid(f"{where}.terminationTime", time, "Not a time in RFC 3339.")
    if time is not None and duration is not None:
        text = "Only one of maxRunDuration and terminationTime can be given."
        raise errors.invalid(f"{where}.terminationTime", time, text)
    if (time is not None or duration is not None) and "instanceTerminationAction" not in raw:
        raise errors.required(f"{where}.instanceTerminationAction")


def service_accounts(call: Call, body: Json) -> list[Json]:
    """The accounts with `default` spelled out."""
    accounts: list[Json] = body.get("serviceAccounts", [])
    if len(accounts) > 1:
        text = "At most one service account can be attached to an instance."
        raise errors.invalid("resource.serviceAccounts", len(accounts), text)
    for index, account in enumerate(accounts):
        given = account.get("email", "default")
        if given != "default" and "@" not in given:
            field = f"resource.serviceAccounts[{index}].email"
            raise errors.invalid(field, given, "Not the address of a service account.")
    email = service_account(call.project)
    return [
        {**a, "email": email if a.get("email", "default") == "default" else a["email"]}
        for a in accounts
    ]


def _interfaces(call: Call, body: Json) -> list[Json]:
    given = body.get("networkInterfaces", [])
    if not given:
        text = "At least one network interface is required."
        raise errors.invalid("resource.networkInterfaces", "", text)
    if len(given) > 1:
        text = "localgce gives an instance one network interface."
        raise errors.invalid("resource.networkInterfaces", len(given), text)
    return [interface(call, given[0], region=catalog.region_of(call.path["zone"]))]


def interface(call: Call, given: Json, *, region: str) -> Json:
    """The network interface, with addresses taken."""
    subnetwork = _subnetwork(call, given, region)
    internal = call.service.addresses.take_internal(subnetwork, given.get("networkIP"))
    shown: Json = {
        "kind": "compute#networkInterface",
        "name": "nic0",
        "network": subnetwork.body["network"],
        "subnetwork": subnetwork.link,
        "networkIP": internal,
        "stackType": "IPV4_ONLY",
    }
    try:
        configs = [access_config(call, config) for config in given.get("accessConfigs", [])[:1]]
    except ApiError:
        call.service.addresses.release({internal})
        raise
    if configs:
        shown["accessConfigs"] = configs
    return {**shown, "fingerprint": fingerprint(shown)}


def access_config(call: Call, given: Json) -> Json:
    """An external address: the reserved one that is asked for, or the next free one."""
    address = call.service.addresses.take_external(call.project, given.get("natIP"))
    return {
        "kind": "compute#accessConfig",
        "type": "ONE_TO_ONE_NAT",
        "name": given.get("name", "External NAT"),
        "natIP": address,
        "networkTier": given.get("networkTier", "PREMIUM"),
    }


def _subnetwork(call: Call, given: Json, region: str) -> Record:
    where = "resource.networkInterfaces[0]"
    store = call.service.store
    if "subnetwork" in given:
        link = call.link(given["subnetwork"], f"{where}.subnetwork")
        found = store.get("subnetworks", link.project, link.scope, link.name)
        if found is None:
            raise errors.not_found(link.path)
        if found.scope != f"regions/{region}":
            text = "The subnetwork is not in the instance's region."
            raise errors.invalid(f"{where}.subnetwork", given["subnetwork"], text)
        return found
    network = call.link(given.get("network", "global/networks/default"), f"{where}.network")
    record = store.get("networks", network.project, network.scope, network.name)
    if record is None:
        text = "The referenced network resource cannot be found."
        raise errors.invalid(f"{where}.network", given.get("network"), text)
    for subnetwork in store.all("subnetworks", call.project, f"regions/{region}"):
        if subnetwork.body["network"] == record.link:
            return subnetwork
    text = "No subnetwork of the network is in the instance's region."
    raise errors.invalid(f"{where}.network", given.get("network"), text)


def _disks(call: Call, found: Plan, body: Json) -> list[Json]:
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
        entry = attached_disk(call, found, body["name"], disk, index, where)
        if entry["deviceName"] in {other["deviceName"] for other in shown}:
            text = "Each disk of an instance must have a device name of its own."
            raise errors.invalid(f"{where}.deviceName", entry["deviceName"], text)
        shown.append(entry)
    return shown


def attached_disk(
    call: Call, found: Plan, instance: str, given: Json, index: int, where: str
) -> Json:
    """One entry of `disks`: an existing disk, or one that is to be made."""
    if given.get("type") == "SCRATCH":
        raise errors.invalid(f"{where}.type", "SCRATCH", "localgce has no local SSDs.")
    if "source" in given:
        disk = existing_disk(call, given, found.instance, where)
        if any(other.link == disk.link for other in found.attached):
            raise errors.in_use(disk.path, found.instance.path)
        found.attached.append(disk)
    elif "initializeParams" in given or not given.get("boot"):
        disk = _new_disk(call, instance, given, index, where)
        _refuse_twice(found, disk)
        found.new_disks.append(disk)
    else:
        raise errors.required(f"{where}.initializeParams")
    return shown_disk(disk, given, index, found.instance)


def shown_disk(disk: Record, given: Json, index: int, instance: Record) -> Json:
    """An AttachedDisk."""
    shown: dict[str, Any] = {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": given.get("mode", "READ_WRITE"),
        "source": disk.link,
        "deviceName": given.get("deviceName") or f"persistent-disk-{index}",
        "index": index,
        "boot": given.get("boot", False),
        "autoDelete": given.get("autoDelete", False),
        "interface": given.get("interface", "SCSI"),
        "diskSizeGb": disk.body["sizeGb"],
        "architecture": disk.body.get("architecture"),
        "licenses": disk.body.get("licenses"),
        "guestOsFeatures": disk.body.get("guestOsFeatures"),
    }
    return {key: value for key, value in shown.items() if value is not None}


def existing_disk(call: Call, given: Json, instance: Record, where: str) -> Record:
    """The disk that `source` names, free to be attached to the instance."""
    link = call.link(given["source"], f"{where}.source")
    disk = call.at(link)
    if disk.kind != "disks" or disk.scope != call.scope:
        text = "The disk is not in the instance's zone."
        raise errors.invalid(f"{where}.source", given["source"], text)
    users = [user for user in disk.body.get("users", []) if user != instance.body["selfLink"]]
    if users and (given.get("mode") != "READ_ONLY" or _written(call, disk, users)):
        raise errors.in_use(disk.path, users[0].removeprefix(links.BASE))
    if disk.body["status"] == "DELETING":
        raise errors.not_ready(disk.path)
    return disk


def _written(call: Call, disk: Record, users: list[str]) -> bool:
    """Whether one of the users has the disk for writing."""
    instances = [call.at(call.link(user, "users")) for user in users]
    attached = [entry for user in instances for entry in user.body["disks"]]
    return any(e["source"] == disk.link and e["mode"] == "READ_WRITE" for e in attached)


def _new_disk(call: Call, instance: str, given: Json, index: int, where: str) -> Record:
    params = given.get("initializeParams", {})
    name = params.get("diskName") or (instance if given.get("boot") else f"{instance}-{index}")
    body: Json = {
        "name": name[:63],
        "sizeGb": params.get("diskSizeGb") or given.get("diskSizeGb"),
        "type": params.get("diskType"),
        "labels": params.get("labels"),
        "description": params.get("description"),
        "sourceImage": params.get("sourceImage"),
        "sourceSnapshot": params.get("sourceSnapshot"),
        **{key: params.get(key) for key in disk_body.SAVED},
    }
    body = {key: value for key, value in body.items() if value is not None}
    if given.get("boot") and not {"sourceImage", "sourceSnapshot", *disk_body.SAVED} & set(body):
        raise errors.required(f"{where}.initializeParams.sourceImage")
    return disk_body.plan(call, body, where=f"{where}.initializeParams")


def _refuse_twice(found: Plan, disk: Record) -> None:
    if any(other.name == disk.name for other in found.new_disks):
        raise ApiError(409, "alreadyExists", f"The resource '{disk.path}' already exists")
