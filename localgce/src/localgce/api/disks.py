"""Disks."""

from __future__ import annotations

from localgce import errors
from localgce.api import labels, snapshots
from localgce.disks import body as disk_body
from localgce.disks import works as disk_works
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import aggregated, list_of
from localgce.operations import Work, work
from localgce.resources import catalog, links

set_labels = labels.set_labels


def insert(call: Call) -> Json:
    """A blank disk, or one from an image or snapshot."""
    body = dict(call.body)
    if "sourceImage" in call.query:
        body["sourceImage"] = call.query["sourceImage"]
    disk = disk_body.plan(call, body)
    call.service.store.put(disk)
    return call.begin(disk, "disks.insert")


def get(call: Call) -> Json:
    """One disk."""
    return call.record().body


def list_(call: Call) -> Json:
    """Those of a zone."""
    found = call.service.store.all("disks", call.project, call.scope)
    return list_of(call, "disk", [record.body for record in found])


def aggregated_list(call: Call) -> Json:
    """Those of all zones."""
    found = call.service.store.all("disks", call.project)
    scopes = [f"zones/{zone}" for zone in catalog.zones()]
    return aggregated(call, "disk", [record.body for record in found], scopes)


def delete(call: Call) -> Json:
    """A disk that nobody uses."""
    disk = call.record()
    users = disk.body.get("users")
    if users:
        raise errors.in_use(disk.path, users[0].removeprefix(links.BASE))
    if disk.body["status"] == "CREATING":
        raise errors.not_ready(disk.path)
    return call.begin(disk, "disks.delete")


def create_snapshot(call: Call) -> Json:
    """The same as snapshots.insert."""
    return snapshots.begin(call, call.record())


def resize(call: Call) -> Json:
    """Larger, never smaller."""
    disk = call.record()
    if "sizeGb" not in call.body:
        raise errors.required("sizeGb")
    size, now = int(call.body["sizeGb"]), int(disk.body["sizeGb"])
    if size < now:
        text = f"New disk size '{size}' must be larger than existing size '{now}'."
        raise errors.invalid("sizeGb", size, text)
    if size > 65536:
        raise errors.invalid("sizeGb", size, "Disk size must be at most 65536 GB.")
    region = catalog.region_of(call.path["zone"])
    call.service.quotas.check(call.project, region, {"DISKS_TOTAL_GB": float(size - now)})
    return call.begin(disk, "disks.resize", size_gb=size)


async def undo_insert(task: Work) -> None:
    """A disk that cannot be made is gone."""
    await disk_works.delete(task.service, task.target)


@work("disks.insert", undo=undo_insert)
async def fill(task: Work) -> None:
    """Make the content."""
    disk_works.warn_of_deprecated(task, task.target)
    await disk_works.fill(task.service, task.target)


@work("disks.delete")
async def remove(task: Work) -> None:
    """Content and record, unless someone took it meanwhile."""
    users = task.target.body.get("users")
    if users:
        raise errors.in_use(task.target.path, users[0].removeprefix(links.BASE))
    await disk_works.delete(task.service, task.target)


@work("disks.resize")
async def grow(task: Work) -> None:
    """Content, then the numbers that are shown."""
    size = task.args["size_gb"]
    await task.service.host.disks.resize(task.target.id, size)
    current = task.service.store.again(task.target) or task.target
    task.service.store.put(current.changed(sizeGb=str(size)))
