"""The commands that attach and detach disks of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits
from localgce.core.errors import ApiError, Json
from localgce.disks.attachments import add_user
from localgce.instances import local_ssds, validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.store import Record

_AT_REST = {"RUNNING", "TERMINATED", "SUSPENDED", "STOPPED"}


def attach(context: Context, instance: Record, given: Json, *, force: bool = False) -> Record:
    """Attach an existing disk; with `boot: true` as the boot disk of a stopped instance.

    `force` takes a regional disk away from the instance that has it.
    """
    _check_at_rest(instance)
    limits.refuse_others(given, validation.ATTACHED, "resource")
    given = {**given, "forceAttach": force or given.get("forceAttach", False)}
    disks = instance.body["disks"]
    if local_ssds.is_local(given):
        text = "A local SSD is made with its instance."
        raise errors.invalid("resource.type", "SCRATCH", text)
    if not given.get("source"):
        raise errors.required("resource.source")
    disk = validation.attachable_disk(context, given, instance, "resource")
    if instance.link in disk.body.get("users", []):
        raise errors.in_use(disk.path, instance.path)
    if given.get("boot"):
        _check_boot(instance)
    if len(disks) >= validation.MAX_DISKS:
        raise ApiError(403, "limitExceeded", f"At most {validation.MAX_DISKS} disks.")
    index = next(i for i in range(200) if i not in {d["index"] for d in disks})
    entry = validation.shown_disk(disk, given, index)
    if entry["deviceName"] in {d["deviceName"] for d in disks}:
        text = "Device name is already in use on the instance."
        raise errors.invalid("resource.deviceName", entry["deviceName"], text)
    add_user(context.store, context.now(), disk, instance)
    forced = given["forceAttach"]
    return context.begin(instance, "instances.attachDisk", entry=entry, forced=forced)


def detach(context: Context, instance: Record, device_name: str) -> Record:
    """Detach a disk; the boot disk only from a stopped instance."""
    _check_at_rest(instance)
    entry = _entry(instance, device_name)
    if local_ssds.is_local(entry):
        text = "A local SSD stays with its instance."
        raise errors.invalid("deviceName", device_name, text)
    if entry["boot"] and instance.body["status"] != "TERMINATED":
        text = "To detach the boot disk, the instance must be in TERMINATED state."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return context.begin(instance, "instances.detachDisk", device=device_name)


def set_auto_delete(
    context: Context, instance: Record, device_name: str, auto_delete: bool
) -> Record:
    """Set whether a disk is deleted with its instance."""
    _entry(instance, device_name)
    return context.begin(
        instance, "instances.setDiskAutoDelete", device=device_name, auto_delete=auto_delete
    )


def _check_at_rest(instance: Record) -> None:
    if instance.body["status"] not in _AT_REST:
        raise errors.not_ready(instance.path)


def _entry(instance: Record, device_name: str) -> Json:
    for entry in instance.body["disks"]:
        if entry["deviceName"] == device_name:
            found: Json = entry
            return found
    text = f"No attached disk found with device name '{device_name}'"
    raise errors.invalid("disk", device_name, text)


def _check_boot(instance: Record) -> None:
    if instance.body["status"] != "TERMINATED":
        text = "To attach a boot disk, the instance must be in TERMINATED state."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    if any(disk["boot"] for disk in instance.body["disks"]):
        text = "The instance already has a boot disk."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
