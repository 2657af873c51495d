"""The operations of instances: create, start, stop, delete, change settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core.errors import OperationError
from localgce.disks.attachments import disk_of
from localgce.disks.operation_handlers import warn_of_deprecated_image
from localgce.instances import disk_release

if TYPE_CHECKING:
    from localgce.core.context import Core
    from localgce.core.operations import Operations, Task
    from localgce.disks.contents import DiskContents
    from localgce.instances.interruptions import Interruptions
    from localgce.instances.lifecycle import Lifecycle
    from localgce.instances.removal import Removal


class InstanceHandlers:
    """Creates, starts, stops, changes and deletes instances."""

    def __init__(
        self,
        core: Core,
        lifecycle: Lifecycle,
        disks: DiskContents,
        removal: Removal,
        interruptions: Interruptions,
    ) -> None:
        """Work with these."""
        self._core = core
        self._lifecycle = lifecycle
        self._disks = disks
        self._removal = removal
        self._interruptions = interruptions

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("instances.insert", self.insert, undo=self.undo_insert)
        operations.register("instances.bulkInsert", self.bulk_insert)
        operations.register("instances.delete", self.delete, deletes=True, preempts=True)
        operations.register("instances.start", self.start)
        operations.register("instances.stop", self.stop)
        operations.register("instances.reset", self.reset)
        operations.register("instances.suspend", self.suspend)
        operations.register("instances.resume", self.resume)
        operations.register("instances.simulateMaintenanceEvent", self.maintain)
        operations.register("instances.setMetadata", self.set_metadata)
        operations.register("instances.change", self.change)

    async def insert(self, task: Task) -> None:
        """Create the disks, start the machine."""
        for attached in task.target.body["disks"]:
            disk = disk_of(self._core.store, attached)
            if disk is not None:
                warn_of_deprecated_image(self._core.store, task, disk)
                await self._disks.create(disk)
                if attached["deviceName"] in task.args.get("forced", ()):
                    target = task.target
                    await disk_release.take_from_others(self._core, self._lifecycle, disk, target)
        task.progress(50)
        await self._lifecycle.start(task.target)

    async def bulk_insert(self, task: Task) -> None:
        """Wait until the instances that the request has made run, or have failed."""
        project, scope = task.target.project, task.target.scope
        for name in task.args["names"]:
            while True:
                found = self._core.store.get("instances", project, scope, name)
                if found is None or found.body["status"] not in {"PROVISIONING", "STAGING"}:
                    break
                await self._core.changes.wait(f"status/{found.id}", f"instance/{found.id}")

    async def undo_insert(self, task: Task) -> None:
        """Delete the instance and the disks created for it."""
        await self._removal.undo_insert(task.target, task.args["new_disks"])

    async def delete(self, task: Task) -> None:
        """Stop and delete, with the disks that have autoDelete."""
        await self._removal.remove(task.target)

    async def start(self, task: Task) -> None:
        """TERMINATED to RUNNING."""
        if task.target.body["status"] == "RUNNING":
            return
        if not any(disk["boot"] for disk in task.target.body["disks"]):
            text = f"The instance '{task.target.path}' has no boot disk."
            raise OperationError("INVALID_USAGE", text)
        await self._lifecycle.start(task.target)

    async def stop(self, task: Task) -> None:
        """RUNNING to TERMINATED."""
        instance = task.target
        if instance.body["status"] != "TERMINATED":
            keep = bool(task.args.get("keep_local_ssds"))
            instance = self._core.store.put(instance.kept(keep_local_ssds=keep))
        await self._lifecycle.stop(instance, self._core.settings.shutdown_grace)
        if not instance.private.get("keep_local_ssds"):
            await self._lifecycle.discard_local_ssds(instance)

    async def reset(self, task: Task) -> None:
        """Press the reset button."""
        await self._lifecycle.reset(task.target)

    async def suspend(self, task: Task) -> None:
        """RUNNING to SUSPENDED."""
        await self._lifecycle.suspend(task.target)

    async def resume(self, task: Task) -> None:
        """SUSPENDED to RUNNING."""
        await self._lifecycle.resume(task.target)

    async def maintain(self, task: Task) -> None:
        """Announce a maintenance, then migrate or stop as the scheduling says."""
        await self._interruptions.maintain(task.target)

    def set_metadata(self, task: Task) -> None:
        """Replace the metadata, unless it has changed since the request."""
        new = task.args["metadata"]
        if task.target.body["metadata"]["fingerprint"] not in {
            task.args["was"],
            new["fingerprint"],
        }:
            text = "Supplied fingerprint does not match current metadata fingerprint."
            raise OperationError("CONDITION_NOT_MET", text, 412)
        self._core.store.put(task.target.changed(metadata=new))
        self._core.changes.notify(f"instance/{task.target.id}")

    def change(self, task: Task) -> None:
        """Replace fields."""
        self._core.store.put(task.target.changed(**task.args["changes"]))
        self._core.changes.notify(f"instance/{task.target.id}")
