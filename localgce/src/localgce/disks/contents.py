"""Creates and deletes the contents of disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core.errors import OperationError

if TYPE_CHECKING:
    from localgce.core.store import Record, Store
    from localgce.images.debian_cloud import PublicImages
    from localgce.images.layers import LayerBuilder
    from localgce.machines.contract import Disks


class DiskContents:
    """The contents of the disks in the store; every method is idempotent."""

    def __init__(
        self, store: Store, disks: Disks, public_images: PublicImages, layers: LayerBuilder
    ) -> None:
        """Use the disks of the host; build the public image, and layers of disks, when needed."""
        self._layers = layers
        self._store = store
        self._disks = disks
        self._public_images = public_images

    async def create(self, disk: Record) -> None:
        """Wait for the source, create the content, set the status READY."""
        current = self._store.again(disk)
        if current is None or current.body["status"] != "CREATING":
            return
        size = int(disk.body["sizeGb"])
        source = disk.private.get("source")
        if source is None:
            await self._disks.create_blank(disk.id, size)
        else:
            layer = await self._layer(source, disk)
            await self._disks.create_from_layer(disk.id, layer, size)
            if source[0] == "disks":  # nobody else uses it; its file stays below the new disk
                await self._disks.delete_layer(layer)
        current = self._store.again(disk)
        if current is not None:
            self._store.put(current.changed(status="READY"))

    async def overwrite(self, disk: Record, source: Record) -> None:
        """Give a disk that nobody uses the present content of another one."""
        layer = f"{disk.id}-replica"
        await self._layers.build_from_disk(source, layer)
        await self._disks.delete_disk(disk.id)
        await self._disks.create_from_layer(disk.id, layer, int(disk.body["sizeGb"]))
        await self._disks.delete_layer(layer)

    async def resize(self, disk: Record, size_gb: int) -> None:
        """Grow the content, then the size that is shown."""
        await self._disks.resize(disk.id, size_gb)
        current = self._store.again(disk) or disk
        self._store.put(current.changed(sizeGb=str(size_gb)))

    async def delete(self, disk: Record) -> None:
        """Delete the content and the record."""
        await self._disks.delete_disk(disk.id)
        self._store.delete(disk)

    async def _layer(self, source: list[str], disk: Record) -> str:
        kind, project, name = source[:3]
        scope = source[4] if len(source) > 4 else "global"
        record = self._store.get(kind, project, scope, name)
        if record is None:
            text = f"The source 'projects/{project}/{scope}/{kind}/{name}' is gone"
            raise OperationError("RESOURCE_NOT_FOUND", text, 404)
        if kind == "disks":
            layer = f"{disk.id}-source"
            await self._layers.build_from_disk(record, layer)
            return layer
        await self._public_images.ready(record)
        if kind == "machineImages":
            saved: str = record.private["layers"][source[3]]
            return saved
        own: str = record.private["layer"]
        return own
