"""The commands on disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits, links
from localgce.disks import replication, validation

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json
    from localgce.core.store import Record

_MAX_GB = 65536


def insert(context: Context, body: Json) -> Record:
    """Create a blank disk, or one from an image or snapshot."""
    disk = validation.plan(context, body)
    context.store.put(disk)
    return context.begin(disk, "disks.insert")


def delete(context: Context, disk: Record) -> Record:
    """Delete a disk that no instance uses."""
    users = disk.body.get("users")
    if users:
        raise errors.in_use(disk.path, users[0].removeprefix(links.BASE))
    if disk.body["status"] == "CREATING":
        raise errors.not_ready(disk.path)
    replication.refuse_replicated(disk)
    return context.begin(disk, "disks.delete")


_UPDATED = {
    *("labels", "sizeGb", "provisionedIops", "provisionedThroughput", "accessMode", "architecture"),
}
_READ = {
    *("kind", "id", "name", "selfLink", "zone", "region", "replicaZones", "labelFingerprint"),
    *("status", "type"),
}


def update(context: Context, disk: Record, body: Json, paths: set[str]) -> Record:
    """Change the fields at `paths`; raises 400 for one that a disk keeps."""
    for path in sorted(paths - _UPDATED):
        if path not in _READ or body.get(path, disk.body.get(path)) != disk.body.get(path):
            text = "This field of a disk cannot be changed by update."
            raise errors.invalid(f"resource.{path}", "", text)
    changes = {key: body.get(key) for key in paths & _UPDATED}
    size = changes.pop("sizeGb", None)
    if "labels" in changes:
        limits.check_labels(changes["labels"] or {})
        changes = {**changes, "labels": None, **limits.label_fields(changes["labels"])}
    if size is not None and int(size) != int(disk.body["sizeGb"]):
        if changes:
            disk = context.store.put(disk.changed(**changes))
        return resize(context, disk, int(size))
    return context.begin(disk, "kept.patch", changes=changes)


def resize(context: Context, disk: Record, size: int) -> Record:
    """Grow a disk; it cannot shrink."""
    now = int(disk.body["sizeGb"])
    if size < now:
        text = f"New disk size '{size}' must be larger than existing size '{now}'."
        raise errors.invalid("sizeGb", size, text)
    if size > _MAX_GB:
        raise errors.invalid("sizeGb", size, f"Disk size must be at most {_MAX_GB} GB.")
    replication.refuse_replicated(disk)
    more = {"DISKS_TOTAL_GB": float(size - now)}
    context.core.quotas.check(context.project, context.region, more)
    return context.begin(disk, "disks.resize", size_gb=size)
