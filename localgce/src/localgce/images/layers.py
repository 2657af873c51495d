"""Creates the layers of images, snapshots and saved disks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from localgce.core.errors import OperationError
from localgce.images.validation import running_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from localgce.core.store import Record, Store
    from localgce.images.debian_cloud import PublicImages
    from localgce.machines.contract import Disks, Machine


class LayerBuilder:
    """Freezes or copies the contents of disks; every method is idempotent."""

    def __init__(
        self,
        store: Store,
        disks: Disks,
        public_images: PublicImages,
        machine_of: Callable[[Record], Machine | None],
    ) -> None:
        """Use `machine_of` to pause the machine of a running instance."""
        self._store = store
        self._disks = disks
        self._public_images = public_images
        self._machine_of = machine_of

    async def build(self, image: Record) -> int:
        """Create the layer of an image or snapshot from its source; returns its size in bytes."""
        if "file" in image.private:
            return await self._disks.import_copy(image.id, Path(image.private["file"]))
        kind, project, scope, name = image.private["source"]
        source = self._store.get(kind, project, scope, name)
        if source is None:
            raise OperationError("RESOURCE_NOT_FOUND", f"The source '{name}' is gone", 404)
        if kind == "disks":
            return await self.build_from_disk(source, image.id)
        await self._public_images.ready(source)
        scratch, size = f"{image.id}-source", int(image.body["diskSizeGb"])
        await self._disks.create_from_layer(scratch, source.private["layer"], size)
        layer_bytes = await self._disks.freeze(scratch, image.id)
        await self._disks.delete_disk(scratch)
        return layer_bytes

    async def build_from_disk(self, disk: Record, layer: str) -> int:
        """Freeze a disk; one of a running machine is copied while the machine is paused."""
        user = running_user(self._store, disk)
        machine = self._machine_of(user) if user else None
        if machine is None or not machine.running:
            return await self._disks.freeze(disk.id, layer)
        await machine.pause()
        try:
            return await self._disks.copy(disk.id, layer)
        finally:
            current = self._store.again(user) if user else None
            if current is not None and current.body["status"] != "SUSPENDED":
                await machine.resume()

    async def delete(self, layer: str) -> None:
        """Delete a layer."""
        await self._disks.delete_layer(layer)
