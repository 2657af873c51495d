"""The operations of images and snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from localgce.core.changes import Changes
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record, Store
    from localgce.images.layers import LayerBuilder


class ImageHandlers:
    """Creates, changes and deletes images and snapshots."""

    def __init__(self, store: Store, changes: Changes, layers: LayerBuilder) -> None:
        """Notify the topic `image/<id>` when an image is READY or gone."""
        self._store = store
        self._changes = changes
        self._layers = layers

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("images.insert", self.insert_image, undo=self.undo_insert)
        operations.register("images.patch", self.patch_image)
        operations.register("images.delete", self.delete_image, deletes=True)
        operations.register("snapshots.insert", self.insert_snapshot, undo=self.undo_insert)
        operations.register("snapshots.delete", self.delete_snapshot, deletes=True)

    async def undo_insert(self, task: Task) -> None:
        """Delete what could not be created."""
        await self._layers.delete(task.target.id)
        self._store.delete(task.target)
        self._notify(task.target)

    async def insert_image(self, task: Task) -> None:
        """Create the layer, then set the status READY."""
        await self._build(task.target, "archiveSizeBytes")

    async def insert_snapshot(self, task: Task) -> None:
        """Create the layer, then set the status READY."""
        await self._build(task.target, "storageBytes")

    async def _build(self, record: Record, size_field: str) -> None:
        if record.body["status"] == "READY":
            return
        size = await self._layers.build(record)
        current = self._store.again(record)
        if current is not None:
            self._store.put(current.changed(status="READY", **{size_field: str(size)}))
        self._notify(record)

    def patch_image(self, task: Task) -> None:
        """Apply the checked changes; None removes a field."""
        changes = dict(task.args["changes"])
        if changes.get("family") == "":
            changes["family"] = None
        self._store.put(task.target.changed(**changes))

    async def delete_image(self, task: Task) -> None:
        """Set the status DELETING before the layer is deleted: nothing new may use it."""
        current = self._store.again(task.target)
        if current is not None and current.body["status"] != "DELETING":
            self._store.put(current.changed(status="DELETING"))
        await self.delete_snapshot(task)

    async def delete_snapshot(self, task: Task) -> None:
        """Delete the layer and the record."""
        await self._layers.delete(task.target.private["layer"])
        self._store.delete(task.target)

    def _notify(self, record: Record) -> None:
        self._changes.notify(f"image/{record.id}")
