"""The command and the operation of projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import limits
from localgce.core.errors import Json, OperationError

if TYPE_CHECKING:
    from localgce.core.changes import Changes
    from localgce.core.context import Context
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record, Store


def set_common_instance_metadata(context: Context, given: Json) -> Record:
    """Replace the project's metadata; raises 412 unless the fingerprint is the current one."""
    project = context.core.project_record(context.project)
    limits.check_metadata(given.get("items", []), "metadata")
    current = project.body["commonInstanceMetadata"]
    limits.check_metadata_fingerprint(given.get("fingerprint"), current)
    return context.begin(
        project,
        "projects.setCommonInstanceMetadata",
        metadata=limits.metadata(given),
        was=current["fingerprint"],
    )


class ProjectHandlers:
    """Changes projects."""

    def __init__(self, store: Store, changes: Changes) -> None:
        """Notify the topic `project/<name>` of changes."""
        self._store = store
        self._changes = changes

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("projects.setCommonInstanceMetadata", self.set_metadata)

    def set_metadata(self, task: Task) -> None:
        """Replace the metadata, unless it has changed since the request."""
        new = task.args["metadata"]
        now = task.target.body["commonInstanceMetadata"]["fingerprint"]
        if now not in {task.args["was"], new["fingerprint"]}:
            text = "Supplied fingerprint does not match current metadata fingerprint."
            raise OperationError("CONDITION_NOT_MET", text, 412)
        self._store.put(task.target.changed(commonInstanceMetadata=new))
        self._changes.notify(f"project/{task.target.name}")
