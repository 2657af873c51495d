"""The command that clones all disks of a consistency group."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

from localgce.core import errors
from localgce.core.errors import OperationError
from localgce.disks import commands, replication

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record, Store

_NAME = "disks.bulkInsert"
_COPIED = ("type", "replicaZones", "labels")
_MOMENT = 120.0


def insert(context: Context, body: Json) -> Record:
    """Clone the disks of the request's scope that have the policy, all or none.

    A clone has its source's name with a suffix that is the same for all clones of a request.
    """
    field = "resource.sourceConsistencyGroupPolicy"
    for other in ("snapshotGroupParameters", "instantSnapshotGroupParameters"):
        if body.get(other):
            text = "localgce has no groups of snapshots: name a consistency group policy."
            raise errors.invalid(f"resource.{other}", "", text)
    given = body.get("sourceConsistencyGroupPolicy")
    if not given:
        raise errors.required(field)
    policy = replication.consistency_group(context, given, field)
    sources = replication.group_disks(context, policy)
    if not sources:
        raise errors.invalid(field, given, "No disk has this policy here.")
    suffix, group = secrets.token_hex(4), {"operationGroupId": str(uuid.uuid4())}
    kind = context.origin.method.rpartition(".")[0]
    origin = replace(context.origin, method=f"{kind}.insert", request_key=None)
    own = {
        "sourceConsistencyGroupPolicy": policy.link,
        "sourceConsistencyGroupPolicyId": policy.id,
    }
    begun, clones = [], []
    for source in sources:
        clone = {key: source.body[key] for key in _COPIED if key in source.body}
        name = f"{source.name[:54].rstrip('-')}-{suffix}"
        clone |= {"name": name, "sourceDisk": source.link}
        operation = commands.insert(replace(context, origin=origin), clone)
        begun.append(context.store.put(operation.changed(**group)))
        clones.append(context.store.put(context.find("disks", name).changed(**own)))
    names = [[operation.kind, operation.name] for operation in begun]
    done = context.begin(clones[-1], _NAME, operations=names)
    return context.store.put(done.changed(**group))


class DiskBulkHandlers:
    """Waits for the clones of a request."""

    def __init__(self, store: Store) -> None:
        """Read the operations of this store."""
        self._store = store

    def register(self, operations: Operations) -> None:
        """Register the handler; the name is that of persisted operations."""
        operations.register(_NAME, self.wait)

    async def wait(self, task: Task) -> None:
        """End when all clones are there; fail when one could not be made."""
        for kind, name in task.args["operations"]:
            operation = self._store.get(kind, task.target.project, task.target.scope, name)
            while operation is not None and operation.body["status"] != "DONE":
                operation = await task.operations.wait(operation, _MOMENT)
            if operation is not None and "error" in operation.body:
                error = operation.body["error"]["errors"][0]
                raise OperationError(error["code"], error["message"])
