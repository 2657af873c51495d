"""The operations that attach and detach disks of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core.errors import OperationError
from localgce.disks.attachments import disk_of, remove_user
from localgce.instances import disk_release

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.operations import Operations, Task
    from localgce.instances.lifecycle import Lifecycle


class InstanceDiskHandlers:
    """Attaches and detaches disks."""

    def __init__(self, core: Core, lifecycle: Lifecycle) -> None:
        """Work with these machines."""
        self._core = core
        self._lifecycle = lifecycle

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("instances.attachDisk", self.attach, undo=self.undo_attach)
        operations.register("instances.detachDisk", self.detach)
        operations.register("instances.setDiskAutoDelete", self.set_auto_delete)

    def undo_attach(self, task: Task) -> None:
        """Record that the instance does not use the disk."""
        disk = disk_of(self._core.store, task.args["entry"])
        if disk is not None:
            remove_user(self._core.store, self._core.clock.now(), disk, task.target)

    async def attach(self, task: Task) -> None:
        """Attach the disk to a running machine, then show it."""
        entry = task.args["entry"]
        others = [d for d in task.target.body["disks"] if d["deviceName"] != entry["deviceName"]]
        machine = self._lifecycle.find(task.target)
        if entry["boot"] and any(disk["boot"] for disk in others):
            raise OperationError("INVALID_USAGE", "The instance already has a boot disk.")
        disk = disk_of(self._core.store, entry)
        if task.args.get("forced") and disk is not None:
            await disk_release.take_from_others(self._core, self._lifecycle, disk, task.target)
        if machine is not None and machine.running:
            await machine.attach(self._lifecycle.attachment(task.target, entry))
        current = self._core.store.again(task.target) or task.target
        disks = [entry, *others] if entry["boot"] else [*others, entry]
        self._core.store.put(current.changed(disks=disks))
        self._core.changes.notify(f"instance/{current.id}")

    async def detach(self, task: Task) -> None:
        """Detach the disk from a running machine, then release it."""
        device = task.args["device"]
        found = [d for d in task.target.body["disks"] if d["deviceName"] == device]
        if not found:
            return
        machine = self._lifecycle.find(task.target)
        if machine is not None and machine.running:
            if found[0]["boot"]:
                text = "To detach the boot disk, the instance must be in TERMINATED state."
                raise OperationError("INVALID_USAGE", text)
            await machine.detach(device)
        disk_release.forget(self._core, task.target, found[0])

    def set_auto_delete(self, task: Task) -> None:
        """Set `autoDelete` of a disk."""
        disks = [
            {**d, "autoDelete": task.args["auto_delete"]}
            if d["deviceName"] == task.args["device"]
            else d
            for d in task.target.body["disks"]
        ]
        self._core.store.put(task.target.changed(disks=disks))
