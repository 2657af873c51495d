"""`instances.setName`: another name for a stopped instance, which keeps its id and disks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from localgce.core import links
from localgce.core.errors import ApiError, OperationError, invalid, required
from localgce.disks.attachments import disk_of
from localgce.instances.creator import creator_of
from localgce.instances.setting_commands import check_stopped

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record, Store

_NAME = "instances.setName"


def set_name(context: Context, instance: Record, given: Json) -> Record:
    """Rename a stopped instance; raises 409 for a name that is taken, 400 for one of a group."""
    name = given.get("name")
    if not name:
        raise required("resource.name")
    if given.get("currentName", instance.name) != instance.name:
        text = f"The current name is '{instance.name}'."
        raise invalid("resource.currentName", given["currentName"], text)
    check_stopped(instance, "setName")
    if creator_of(instance) is not None:
        text = "An instance of a managed instance group cannot be renamed."
        raise ApiError(400, "invalidResourceUsage", f"Invalid resource usage: '{text}'.")
    if name != instance.name:
        context.refuse_existing("instances", name)
    return context.begin(instance, _NAME, name=name)


class RenamingHandlers:
    """Moves the record of an instance to its new name."""

    def __init__(self, store: Store) -> None:
        """Change the records of this store."""
        self._store = store

    def register(self, operations: Operations) -> None:
        """Register the handler; where the old name is gone, an earlier run has done it."""
        operations.register(_NAME, self.set_name, deletes=True)

    def set_name(self, task: Task) -> None:
        """Replace the record, and what its disks say of their user."""
        old, name = task.target, str(task.args["name"])
        if name == old.name:
            return
        if self._store.get("instances", old.project, old.scope, name) is not None:
            path = f"projects/{old.project}/{old.scope}/instances/{name}"
            raise OperationError("RESOURCE_ALREADY_EXISTS", f"The resource '{path}' exists", 409)
        with self._store.transaction():
            link = links.url(f"projects/{old.project}/{old.scope}/instances/{name}")
            new = replace(old.changed(name=name, selfLink=link), name=name)
            self._store.delete(old)
            self._store.put(new)
            for attached in new.body["disks"]:
                disk = disk_of(self._store, attached)
                if disk is not None:
                    users = [link if u == old.link else u for u in disk.body.get("users", [])]
                    self._store.put(disk.changed(users=users or None))
