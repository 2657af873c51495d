"""Asynchronous replication: a disk of another region that is given the content of a primary one.

Compute Engine copies all the time; localgce copies when the replication is stopped, until when
nobody can use the secondary disk: what is read there afterwards is the primary's last content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, links
from localgce.core.errors import ApiError

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.operations import Operations, Task
    from localgce.core.store import Record, Store
    from localgce.disks.contents import DiskContents

_START, _STOP = "disks.startAsyncReplication", "disks.stopAsyncReplication"


def secondary_fields(context: Context, body: Json, where: str) -> Json:
    """What a new disk shows of the primary that `asyncPrimaryDisk` names; {} without one."""
    given = body.get("asyncPrimaryDisk", {}).get("disk")
    if not given:
        return {}
    field = f"{where}.asyncPrimaryDisk.disk"
    primary = context.at(context.link(given, field))
    if primary.kind != "disks" or context.within(primary.scope).region == context.region:
        raise errors.invalid(field, given, "The primary disk must be a disk of another region.")
    if any(key in body for key in ("sourceImage", "sourceSnapshot", "sourceDisk")):
        text = "A secondary disk has the content of its primary disk, and no other source."
        raise errors.invalid(field, given, text)
    size = primary.body["sizeGb"]
    if int(body.get("sizeGb") or size) != int(size):
        text = f"A secondary disk is as large as its primary disk: {size} GB."
        raise errors.invalid(f"{where}.sizeGb", body["sizeGb"], text)
    return {
        "sizeGb": size,
        "asyncPrimaryDisk": {"disk": primary.link, "diskId": primary.id},
        "resourceStatus": {"asyncPrimaryDisk": {"state": "CREATED"}},
    }


def is_secondary(disk: Record) -> bool:
    """Whether the disk is replicated to, so that nobody can use it."""
    status = disk.body.get("resourceStatus", {}).get("asyncPrimaryDisk", {})
    return bool(status.get("state") == "ACTIVE")


def refuse_replicated(disk: Record) -> None:
    """Raise 400 for a disk whose replication runs, in either direction."""
    if _is_replicated(disk):
        text = f"The replication of '{disk.path}' must be stopped first."
        raise ApiError(400, "invalidUsage", text)


def start(context: Context, primary: Record, given: Json) -> Record:
    """Begin to replicate a disk to the secondary disk that was created for it."""
    field = "resource.asyncSecondaryDisk"
    link = given.get("asyncSecondaryDisk")
    if not link:
        raise errors.required(field)
    secondary = context.at(context.link(link, field))
    if secondary.body.get("asyncPrimaryDisk", {}).get("disk") != primary.link:
        text = f"The disk was not created with '{primary.path}' as its primary disk."
        raise errors.invalid(field, link, text)
    if secondary.body.get("users"):
        raise errors.in_use(secondary.path, secondary.body["users"][0].removeprefix(links.BASE))
    return context.begin(primary, _START, secondary=secondary.link)


def stop(context: Context, disk: Record) -> Record:
    """End the replication of a primary disk, or to a secondary one."""
    if not _is_replicated(disk):
        text = f"The disk '{disk.path}' is not replicated."
        raise ApiError(400, "invalidUsage", text)
    return context.begin(disk, _STOP, disks=[disk.link])


def stop_group(context: Context, given: Json) -> Record:
    """End the replication of the scope's disks that have a consistency group's policy."""
    field = "resource.resourcePolicy"
    if not given.get("resourcePolicy"):
        raise errors.required(field)
    policy = consistency_group(context, given["resourcePolicy"], field)
    found = [disk for disk in group_disks(context, policy) if _is_replicated(disk)]
    if not found:
        text = "No disk of the consistency group is replicated here."
        raise errors.invalid(field, given["resourcePolicy"], text)
    return context.begin(found[-1], _STOP, disks=[disk.link for disk in found])


def consistency_group(context: Context, value: str, field: str) -> Record:
    """The policy at a link; raises 400 for one that is no consistency group of this region."""
    policy = context.at(context.link(value, field))
    if "diskConsistencyGroupPolicy" not in policy.body or (
        policy.scope != f"regions/{context.region}"
    ):
        text = f"It must be a disk consistency group of {context.region}."
        raise errors.invalid(field, value, text)
    return policy


def group_disks(context: Context, policy: Record) -> list[Record]:
    """The disks of the request's scope that have the policy."""
    disks = context.store.all("disks", context.project, context.scope)
    return [disk for disk in disks if policy.link in disk.body.get("resourcePolicies", [])]


def _is_replicated(disk: Record) -> bool:
    """Whether a replication runs, from the disk or to it."""
    return is_secondary(disk) or bool(_active(disk))


def _active(primary: Record) -> list[str]:
    """The paths of the secondary disks that a disk is replicated to."""
    found = primary.body.get("resourceStatus", {}).get("asyncSecondaryDisks", {})
    return [path for path, status in found.items() if status["state"] == "ACTIVE"]


class ReplicationHandlers:
    """Starts replications, and ends them with a copy."""

    def __init__(self, store: Store, contents: DiskContents) -> None:
        """Copy these contents."""
        self._store = store
        self._contents = contents

    def register(self, operations: Operations) -> None:
        """Register the handlers; the names are those of persisted operations."""
        operations.register(_START, self.start)
        operations.register(_STOP, self.stop)

    def start(self, task: Task) -> None:
        """Record that the replication is active."""
        secondary = self._at(task.args["secondary"])
        if secondary is not None:
            self._set_state(task.target, secondary, "ACTIVE")

    async def stop(self, task: Task) -> None:
        """Copy the content of each primary disk, then record that the replication has ended."""
        for link in task.args["disks"]:
            disk = self._at(link)
            if disk is None:
                continue
            for primary, secondary in self._pairs(disk):
                await self._contents.overwrite(secondary, primary)
                self._set_state(primary, secondary, "STOPPED")

    def _pairs(self, disk: Record) -> list[tuple[Record, Record]]:
        """The active replications of a disk: (primary, secondary)."""
        if is_secondary(disk):
            primary = self._at(disk.body["asyncPrimaryDisk"]["disk"])
            return [(primary, disk)] if primary else []
        found = [self._at(path) for path in _active(disk)]
        return [(disk, secondary) for secondary in found if secondary is not None]

    def _at(self, link: str) -> Record | None:
        return self._store.at(links.parse(link, project="", field="disk"))

    def _set_state(self, primary: Record, secondary: Record, state: str) -> None:
        """Set the state of one replication, as both of its disks show it."""
        primary, secondary = (self._store.again(one) or one for one in (primary, secondary))
        status = primary.body.get("resourceStatus", {})
        states = {**status.get("asyncSecondaryDisks", {}), secondary.path: {"state": state}}
        shown = {"asyncReplicationDisk": {"disk": secondary.link, "diskId": secondary.id}}
        others = {**primary.body.get("asyncSecondaryDisks", {}), secondary.path: shown}
        with self._store.transaction():
            self._store.put(
                primary.changed(
                    resourceStatus={**status, "asyncSecondaryDisks": states},
                    asyncSecondaryDisks=others,
                )
            )
            own = {**secondary.body.get("resourceStatus", {}), "asyncPrimaryDisk": {"state": state}}
            self._store.put(secondary.changed(resourceStatus=own))
