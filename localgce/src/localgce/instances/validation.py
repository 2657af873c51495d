"""Checks of an instance's fields, and the form in which they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from localgce.core import catalog, errors, limits, links
from localgce.core.errors import ApiError
from localgce.core.ids import fingerprint
from localgce.disks import replication
from localgce.disks.validation import zones_of
from localgce.metadata.service_accounts import service_account

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record

MAX_DISKS = 128
ATTACHED = frozenset(
    (
        *("kind", "type", "mode", "source", "deviceName", "boot", "autoDelete", "interface"),
        *("index", "diskSizeGb", "diskEncryptionKey", "guestOsFeatures", "forceAttach"),
        *("licenses", "architecture", "shieldedInstanceInitialState"),
    )
)
"""The fields of an AttachedDisk that names an existing disk."""


def check_machine_type(context: Context, given: str | None) -> str:
    """The machine type's link; raises 400 when the zone has no such machine type."""
    where = "resource.machineType"
    if not given:
        raise errors.required(where)
    link = context.link(given, where)
    found = catalog.machine_type(link.name)
    if link.collection != "machineTypes" or found is None:
        zone = context.zone
        problem = f"Machine type with name '{link.name}' does not exist in zone '{zone}'."
        raise errors.invalid(where, given, problem)
    if link.scope != context.scope:
        raise errors.invalid(where, given, f"The machine type is not in '{context.scope}'.")
    return links.url(f"{context.base}/machineTypes/{link.name}")


def check_disk_type(machine_type: str, disk: Record) -> None:
    """Raise 400 when machines of the type cannot have disks of the disk's type."""
    machine, given = machine_type.rsplit("/", 1)[-1], disk.body["type"].rsplit("/", 1)[-1]
    if given not in catalog.disk_types_of(machine):
        text = f"{given} disk type cannot be used by {machine} machine type."
        raise ApiError(400, "badRequest", text)


def tags(raw: Json | None, where: str = "resource.tags") -> Json:
    """A Tags object as it is shown; raises 400 for invalid tags, or more than 64."""
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
    _check_end(raw)
    defaults = {
        "onHostMaintenance": "TERMINATE" if spot else "MIGRATE",
        "automaticRestart": not spot,
        "preemptible": spot,
        "provisioningModel": "SPOT" if spot else "STANDARD",
    }
    return {**defaults, **raw}


def _check_end(raw: Json) -> None:
    """Raise 400 for an invalid run duration or termination time, or for both at once."""
    where = "resource.scheduling"
    duration = raw.get("maxRunDuration", {}).get("seconds")
    if duration is not None and not 30 <= int(duration) <= 120 * 24 * 3600:
        text = "A run lasts from 30 seconds to 120 days."
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


def service_accounts(context: Context, body: Json) -> list[Json]:
    """The accounts, with the address of `default`."""
    accounts: list[Json] = body.get("serviceAccounts", [])
    if len(accounts) > 1:
        text = "At most one service account can be attached to an instance."
        raise errors.invalid("resource.serviceAccounts", len(accounts), text)
    for index, account in enumerate(accounts):
        given = account.get("email", "default")
        if given != "default" and "@" not in given:
            field = f"resource.serviceAccounts[{index}].email"
            raise errors.invalid(field, given, "Not the address of a service account.")
    email = service_account(context.project)
    return [
        {**a, "email": email if a.get("email", "default") == "default" else a["email"]}
        for a in accounts
    ]


def resource_policies(context: Context, given: list[str], where: str) -> list[str]:
    """The links of policies; raises 404 for one that is not there, 400 for another region's."""
    found = []
    for value in given:
        policy = context.at(context.link(value, where))
        if policy.scope != f"regions/{context.region}":
            raise errors.invalid(where, value, "The policy is of another region.")
        found.append(policy.link)
    return found


def accelerators(context: Context, given: list[Json]) -> list[Json]:
    """Accelerators as they are shown; raises 400 for a type that the zone does not have."""
    shown = []
    for index, each in enumerate(given):
        where = f"resource.guestAccelerators[{index}].acceleratorType"
        name = links.last(each.get("acceleratorType", ""))
        if name not in catalog.ACCELERATORS:
            text = "The referenced acceleratorType resource cannot be found."
            raise errors.invalid(where, each.get("acceleratorType", ""), text)
        link = links.url(f"{context.base}/acceleratorTypes/{name}")
        shown.append({"acceleratorCount": each.get("acceleratorCount", 1), "acceleratorType": link})
    return shown


def shown_disk(disk: Record, given: Json, index: int) -> Json:
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
        "diskEncryptionKey": disk.body.get("diskEncryptionKey"),
    }
    return {key: value for key, value in shown.items() if value is not None}


def attachable_disk(context: Context, given: Json, instance: Record, where: str) -> Record:
    """The disk that `source` names; raises 400 when it cannot be attached to the instance."""
    link = context.link(given["source"], f"{where}.source")
    disk = context.at(link)
    if disk.kind != "disks" or context.scope not in zones_of(disk):
        text = "The disk is not in the instance's zone."
        raise errors.invalid(f"{where}.source", given["source"], text)
    forced = given.get("forceAttach", False)
    if forced and not disk.scope.startswith("regions/"):
        text = "Only a regional disk can be attached by force."
        raise errors.invalid(f"{where}.forceAttach", "true", text)
    users = [user for user in disk.body.get("users", []) if user != instance.body["selfLink"]]
    if (
        users
        and not forced
        and (given.get("mode") != "READ_ONLY" or _written(context, disk, users))
    ):
        raise errors.in_use(disk.path, users[0].removeprefix(links.BASE))
    if replication.is_secondary(disk):
        replication.refuse_replicated(disk)
    if disk.body["status"] == "DELETING":
        raise errors.not_ready(disk.path)
    if machine_type := instance.body.get("machineType"):
        check_disk_type(machine_type, disk)
    return disk


def _written(context: Context, disk: Record, users: list[str]) -> bool:
    """Whether one of the users has attached the disk READ_WRITE."""
    instances = [context.at(context.link(user, "users")) for user in users]
    attached = [entry for user in instances for entry in user.body["disks"]]
    return any(e.get("source") == disk.link and e["mode"] == "READ_WRITE" for e in attached)
