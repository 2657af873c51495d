"""Instances: their disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.instances import disk_commands

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.instances.attachDisk")
def attach_disk(call: Call) -> Json:
    """Attach an existing disk; a regional one by force although another instance has it."""
    force = bool(call.query.get("forceAttach"))
    return disk_commands.attach(call.context, call.record(), call.body, force=force).body


@method("compute.instances.detachDisk")
def detach_disk(call: Call) -> Json:
    """Detach a disk by its device name."""
    return disk_commands.detach(call.context, call.record(), call.query["deviceName"]).body


@method("compute.instances.setDiskAutoDelete")
def set_disk_auto_delete(call: Call) -> Json:
    """Set whether a disk is deleted with its instance."""
    device, auto_delete = call.query["deviceName"], call.query["autoDelete"]
    return disk_commands.set_auto_delete(call.context, call.record(), device, auto_delete).body
