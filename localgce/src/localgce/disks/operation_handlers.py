"""The operations of disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, links

if TYPE_CHECKING:
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record, Store
    from localgce.disks.contents import DiskContents


def warn_of_deprecated_image(store: Store, task: Task, disk: Record) -> None:
    """Warn when the disk's image is deprecated, and name the suggested replacement."""
    kind, project, name = (disk.private.get("source") or ["", "", ""])[:3]
    image = store.get(kind, project, "global", name)
    deprecated = image.body.get("deprecated", {}) if image else {}
    if image is None or deprecated.get("state") != "DEPRECATED":
        return
    text = f"The resource '{image.path}' is deprecated."
    if deprecated.get("replacement"):
        replacement = deprecated["replacement"].removeprefix(links.BASE)
        text += f" A suggested replacement is '{replacement}'."
    task.warn("DEPRECATED_RESOURCE_USED", text)


class DiskHandlers:
    """Creates, grows and deletes disks."""

    def __init__(self, store: Store, contents: DiskContents) -> None:
        """Work on these contents."""
        self._store = store
        self._contents = contents

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("disks.insert", self.insert, undo=self.undo_insert)
        operations.register("disks.delete", self.delete, deletes=True)
        operations.register("disks.resize", self.resize)

    async def undo_insert(self, task: Task) -> None:
        """Delete a disk that could not be created."""
        await self._contents.delete(task.target)

    async def insert(self, task: Task) -> None:
        """Create the content."""
        warn_of_deprecated_image(self._store, task, task.target)
        await self._contents.create(task.target)

    async def delete(self, task: Task) -> None:
        """Delete content and record, unless an instance uses the disk by now."""
        users = task.target.body.get("users")
        if users:
            raise errors.in_use(task.target.path, users[0].removeprefix(links.BASE))
        await self._contents.delete(task.target)

    async def resize(self, task: Task) -> None:
        """Grow the disk."""
        await self._contents.resize(task.target, task.args["size_gb"])
