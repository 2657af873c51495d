"""Deletes instances with what belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.disks.attachments import disk_of, remove_user

if TYPE_CHECKING:
    from collections.abc import Collection

    from localgce.core.context import Core
    from localgce.core.store import Record
    from localgce.disks.contents import DiskContents
    from localgce.instances.addresses import Allocator
    from localgce.instances.lifecycle import Lifecycle
    from localgce.metadata.guest_attributes import GuestAttributes


class Removal:
    """Deletes instances; every method is idempotent."""

    def __init__(
        self,
        core: Core,
        lifecycle: Lifecycle,
        disks: DiskContents,
        addresses: Allocator,
        guest_attributes: GuestAttributes,
    ) -> None:
        """Delete from all of these."""
        self._core = core
        self._lifecycle = lifecycle
        self._disks = disks
        self._addresses = addresses
        self._guest_attributes = guest_attributes

    async def remove(self, instance: Record) -> None:
        """Stop the instance; delete it, its autoDelete disks and its guest attributes."""
        store = self._core.store
        current = store.again(instance) or instance
        await self._lifecycle.delete(current, self._core.settings.shutdown_grace)
        current = store.again(instance) or instance
        for attached in current.body["disks"]:
            disk = disk_of(store, attached)
            if disk is None:
                continue
            remove_user(store, self._core.clock.now(), disk, current)
            if attached["autoDelete"]:
                await self._disks.delete(disk)
        self._addresses.forget(current)
        self._guest_attributes.forget(current)
        store.delete(current)
        self._core.changes.notify(f"instance/{current.id}")
        self._lifecycle.notify(current)

    async def undo_insert(self, instance: Record, new_disks: Collection[str]) -> None:
        """Delete an instance that could not be created, and the disks created for it."""
        store = self._core.store
        await self._lifecycle.delete(instance, 0)
        self._addresses.forget(instance)
        for attached in instance.body["disks"]:
            disk = disk_of(store, attached)
            if disk is None:
                continue
            if disk.name in new_disks:
                await self._disks.delete(disk)
            else:
                remove_user(store, self._core.clock.now(), disk, instance)
        store.delete(instance)
