"""Instances: disks attached, detached, kept or deleted with the instance."""

from __future__ import annotations

from localgce import errors
from localgce.disks import works as disk_works
from localgce.errors import ApiError, Json, OperationError
from localgce.http.call import Call
from localgce.instances import body as instance_body
from localgce.operations import Work, work
from localgce.state.store import Record

_AT_REST = {"RUNNING", "TERMINATED", "SUSPENDED", "STOPPED"}


def attach_disk(call: Call) -> Json:
    """An existing disk; with `boot: true` as the boot disk of one that is off."""
    instance = _at_rest(call)
    disks = instance.body["disks"]
    source = call.body.get("source")
    if not source:
        raise errors.required("resource.source")
    disk = instance_body.existing_disk(call, call.body, instance, "resource")
    if instance.link in disk.body.get("users", []):
        raise errors.in_use(disk.path, instance.path)
    if call.body.get("boot"):
        _check_boot(instance)
    if len(disks) >= instance_body.MAX_DISKS:
        raise ApiError(403, "limitExceeded", f"At most {instance_body.MAX_DISKS} disks.")
    index = next(i for i in range(200) if i not in {d["index"] for d in disks})
    entry = instance_body.shown_disk(disk, call.body, index, instance)
    if entry["deviceName"] in {d["deviceName"] for d in disks}:
        text = "Device name is already in use on the instance."
        raise errors.invalid("resource.deviceName", entry["deviceName"], text)
    disk_works.take(call.service, disk, instance)
    return call.begin(instance, "instances.attachDisk", entry=entry)


def detach_disk(call: Call) -> Json:
    """A disk by its device name; the boot disk only from an instance that is off."""
    instance = _at_rest(call)
    entry = _entry(call, instance)
    if entry["boot"] and instance.body["status"] != "TERMINATED":
        text = "To detach the boot disk, the instance must be in TERMINATED state."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    return call.begin(instance, "instances.detachDisk", device=entry["deviceName"])


def set_disk_auto_delete(call: Call) -> Json:
    """Whether a disk goes with its instance."""
    instance = call.record()
    entry = _entry(call, instance)
    return call.begin(
        instance,
        "instances.setDiskAutoDelete",
        device=entry["deviceName"],
        auto_delete=call.query["autoDelete"],
    )


def _at_rest(call: Call) -> Record:
    instance = call.record()
    if instance.body["status"] not in _AT_REST:
        raise errors.not_ready(instance.path)
    return instance


def _entry(call: Call, instance: Record) -> Json:
    device = call.query["deviceName"]
    for entry in instance.body["disks"]:
        if entry["deviceName"] == device:
            found: Json = entry
            return found
    text = f"No attached disk found with device name '{device}'"
    raise errors.invalid("disk", device, text)


def _check_boot(instance: Record) -> None:
    if instance.body["status"] != "TERMINATED":
        text = "To attach a boot disk, the instance must be in TERMINATED state."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    if any(disk["boot"] for disk in instance.body["disks"]):
        text = "The instance already has a boot disk."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")


def undo_attach(task: Work) -> None:
    """Free for others again."""
    disk = disk_works.at(task.service, task.args["entry"])
    if disk is not None:
        disk_works.let_go(task.service, disk, task.target)


@work("instances.attachDisk", undo=undo_attach)
async def attach(task: Work) -> None:
    """Plug in, then show."""
    entry = task.args["entry"]
    others = [d for d in task.target.body["disks"] if d["deviceName"] != entry["deviceName"]]
    machine = task.service.lifecycle.find(task.target)
    if entry["boot"] and any(disk["boot"] for disk in others):
        raise OperationError("INVALID_USAGE", "The instance already has a boot disk.")
    if machine is not None and machine.running:
        await machine.attach(task.service.lifecycle.attachment(task.target, entry))
    current = task.service.store.again(task.target) or task.target
    disks = [entry, *others] if entry["boot"] else [*others, entry]
    task.service.store.put(current.changed(disks=disks))
    task.service.changes.notify(f"instance/{current.id}")


@work("instances.detachDisk")
async def detach(task: Work) -> None:
    """Unplug, then let go."""
    device = task.args["device"]
    found = [d for d in task.target.body["disks"] if d["deviceName"] == device]
    if not found:
        return
    machine = task.service.lifecycle.find(task.target)
    if machine is not None and machine.running:
        if found[0]["boot"]:
            text = "To detach the boot disk, the instance must be in TERMINATED state."
            raise OperationError("INVALID_USAGE", text)
        await machine.detach(device)
    current = task.service.store.again(task.target) or task.target
    disks = [d for d in current.body["disks"] if d["deviceName"] != device]
    with task.service.store.transaction():
        task.service.store.put(current.changed(disks=disks))
        disk = disk_works.at(task.service, found[0])
        if disk is not None:
            disk_works.let_go(task.service, disk, task.target)
    task.service.changes.notify(f"instance/{current.id}")


@work("instances.setDiskAutoDelete")
def set_auto_delete(task: Work) -> None:
    """Only a note."""
    disks = [
        {**d, "autoDelete": task.args["auto_delete"]}
        if d["deviceName"] == task.args["device"]
        else d
        for d in task.target.body["disks"]
    ]
    task.service.store.put(task.target.changed(disks=disks))
