"""The commands on disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import catalog, errors, links
from localgce.disks import validation

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
    return context.begin(disk, "disks.delete")


def resize(context: Context, disk: Record, size: int) -> Record:
    """Grow a disk; it cannot shrink."""
    now = int(disk.body["sizeGb"])
    if size < now:
        text = f"New disk size '{size}' must be larger than existing size '{now}'."
        raise errors.invalid("sizeGb", size, text)
    if size > _MAX_GB:
        raise errors.invalid("sizeGb", size, f"Disk size must be at most {_MAX_GB} GB.")
    region = catalog.region_of(context.zone)
    context.core.quotas.check(context.project, region, {"DISKS_TOTAL_GB": float(size - now)})
    return context.begin(disk, "disks.resize", size_gb=size)
