"""Resources that are only stored and shown: create, patch, delete, and labels of all resources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import limits, links
from localgce.core.clock import timestamp
from localgce.core.errors import Json, OperationError
from localgce.core.ids import fingerprint, numeric_id
from localgce.core.store import Record

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Store


def new(context: Context, kind: str, collection: str, body: Json, **more: object) -> Record:
    """The resource that an insert's body describes; raises 409 when its name is taken."""
    name = str(body["name"])
    context.refuse_existing(collection, name)
    limits.check_labels(body.get("labels", {}))
    now = context.now()
    shown: Json = {
        **body,
        "kind": f"compute#{kind}",
        "id": numeric_id(),
        "creationTimestamp": timestamp(now),
        "selfLink": links.url(f"{context.base}/{collection}/{name}"),
    }
    if context.scope != "global":
        shown[context.scope.split("s/")[0]] = links.url(context.base)
    record = Record(collection, context.project, context.scope, name, shown, {"at": now})
    return record.changed(**more)


def begin_insert(context: Context, record: Record) -> Record:
    """Store the resource; its operation has nothing left to do."""
    context.store.put(record)
    return context.begin(record, "kept.insert")


def begin_patch(context: Context, record: Record, changes: Json) -> Record:
    """Replace fields in an operation."""
    return context.begin(record, "kept.patch", changes=changes)


def begin_delete(context: Context, record: Record) -> Record:
    """Delete the resource in an operation."""
    return context.begin(record, "kept.delete")


def set_labels(
    context: Context, target: Record, labels: dict[str, str], given_fingerprint: str | None
) -> Record:
    """Replace all labels; raises 412 unless the fingerprint is the current one."""
    limits.check_labels(labels, "labels")
    limits.check_label_fingerprint(given_fingerprint, target.body)
    was = target.body.get("labelFingerprint")
    return context.begin(target, "setLabels", labels=labels, was=was)


class CrudHandlers:
    """The operations of these resources."""

    def __init__(self, store: Store) -> None:
        """Work on this store."""
        self._store = store

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register("kept.insert", self.insert)
        operations.register("kept.patch", self.patch)
        operations.register("kept.delete", self.delete, deletes=True)
        operations.register("setLabels", self.replace_labels)

    def insert(self, task: Task) -> None:
        """Do nothing: the request has stored the resource."""

    def patch(self, task: Task) -> None:
        """Replace fields."""
        self._store.put(task.target.changed(**task.args["changes"]))

    def delete(self, task: Task) -> None:
        """Delete the record."""
        self._store.delete(task.target)

    def replace_labels(self, task: Task) -> None:
        """Replace the labels, unless they have changed since the request."""
        new_fingerprint = fingerprint(task.args["labels"])
        current = task.target.body.get("labelFingerprint")
        if current not in {task.args["was"], new_fingerprint}:
            text = "Labels fingerprint either invalid or resource labels have changed"
            raise OperationError("CONDITION_NOT_MET", text, 412)
        labels = task.args["labels"] or None
        self._store.put(task.target.changed(labels=labels, labelFingerprint=new_fingerprint))
