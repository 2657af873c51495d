"""The operations of machine images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core.errors import OperationError
from localgce.disks.attachments import disk_of

if TYPE_CHECKING:
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Store
    from localgce.images.layers import LayerBuilder


class MachineImageHandlers:
    """Creates and deletes machine images."""

    def __init__(self, store: Store, layers: LayerBuilder) -> None:
        """Build one layer per disk."""
        self._store = store
        self._layers = layers

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("machineImages.insert", self.insert, undo=self.delete)
        operations.register("machineImages.delete", self.delete, deletes=True)

    async def insert(self, task: Task) -> None:
        """Create the layers of all disks, then set the status READY."""
        if task.target.body["status"] == "READY":
            return
        instance = self._store.by_id("instances", task.target.private["instance"])
        if instance is None:
            text = f"The source '{task.target.body['sourceInstance']}' is gone"
            raise OperationError("RESOURCE_NOT_FOUND", text, 404)
        total = 0
        saved = []
        for attached in instance.body["disks"]:
            disk = disk_of(self._store, attached)
            layer = task.target.private["layers"].get(attached["deviceName"])
            if disk is None or layer is None:
                continue
            size = await self._layers.build_from_disk(disk, layer)
            total += size
            saved.append(
                {"kind": "compute#savedDisk", "sourceDisk": disk.link, "storageBytes": str(size)}
            )
        current = self._store.again(task.target)
        if current is not None:
            shown = {"savedDisks": saved, "totalStorageBytes": str(total)}
            self._store.put(current.changed(status="READY", **shown))

    async def delete(self, task: Task) -> None:
        """Delete the layers and the record."""
        for layer in task.target.private["layers"].values():
            await self._layers.delete(layer)
        self._store.delete(task.target)
