"""Snapshots: a disk's content at one moment."""

from __future__ import annotations

from localgce import errors
from localgce.api import labels
from localgce.clock import stamp
from localgce.errors import Json
from localgce.http.call import Call
from localgce.http.listing import list_of
from localgce.images import body as image_body
from localgce.operations import Work, work
from localgce.resources import limits, links
from localgce.resources.ids import numeric_id
from localgce.state.store import Record

set_labels = labels.set_labels


def insert(call: Call) -> Json:
    """Of the disk that `sourceDisk` names."""
    source = call.body.get("sourceDisk")
    if not source:
        raise errors.required("resource.sourceDisk")
    return begin(call, call.at(call.link(source, "resource.sourceDisk")))


def get(call: Call) -> Json:
    """One snapshot."""
    return call.record().body


def list_(call: Call) -> Json:
    """All of the project."""
    found = call.service.store.all("snapshots", call.project, "global")
    return list_of(call, "snapshot", [record.body for record in found])


def delete(call: Call) -> Json:
    """Forget it; disks made of it stay."""
    snapshot = call.record()
    if snapshot.body["status"] != "READY":
        raise errors.not_ready(snapshot.path)
    return call.begin(snapshot, "snapshots.delete")


def begin(call: Call, disk: Record) -> Json:
    """A snapshot of the disk; of a running instance's too, as a crash would leave it."""
    if disk.kind != "disks":
        raise errors.invalid("resource.sourceDisk", disk.path, "The URL is malformed.")
    if disk.body["status"] != "READY":
        raise errors.not_ready(disk.path)
    limits.check_labels(call.body.get("labels", {}))
    snapshot = _record(call, disk)
    if call.service.store.get("snapshots", snapshot.project, "global", snapshot.name):
        raise errors.already_exists(snapshot.path)
    call.service.store.put(snapshot)
    return call.begin(snapshot, "snapshots.insert")


def _record(call: Call, disk: Record) -> Record:
    now = call.service.clock.now()
    name = str(call.body["name"])
    path = f"projects/{call.project}/global/snapshots/{name}"
    body: Json = {
        "kind": "compute#snapshot",
        "id": numeric_id(),
        "creationTimestamp": stamp(now),
        "name": name,
        "selfLink": links.url(path),
        "status": "CREATING",
        "sourceDisk": disk.link,
        "sourceDiskId": disk.id,
        "diskSizeGb": disk.body["sizeGb"],
        "storageBytes": "0",
        "storageBytesStatus": "UP_TO_DATE",
        "storageLocations": call.body.get("storageLocations") or ["us"],
        "snapshotType": call.body.get("snapshotType", "STANDARD"),
        "autoCreated": False,
        **limits.label_fields(call.body.get("labels")),
        **{k: disk.body[k] for k in image_body.INHERITED if k in disk.body},
        **{k: call.body[k] for k in ("description",) if k in call.body},
    }
    private = {
        "layer": body["id"],
        "at": now,
        "source": [disk.kind, disk.project, disk.scope, disk.name],
    }
    return Record("snapshots", call.project, "global", name, body, private)


async def undo_insert(task: Work) -> None:
    """What fails is no snapshot."""
    await task.service.host.disks.delete_layer(task.target.id)
    task.service.store.delete(task.target)
    task.service.changes.notify(f"image/{task.target.id}")


@work("snapshots.insert", undo=undo_insert)
async def freeze(task: Work) -> None:
    """Make the content, and only then READY."""
    if task.target.body["status"] == "READY":
        return
    size = await image_body.make_layer(task.service, task.target)
    current = task.service.store.again(task.target)
    if current is not None:
        task.service.store.put(current.changed(status="READY", storageBytes=str(size)))
    task.service.changes.notify(f"image/{task.target.id}")


@work("snapshots.delete")
async def remove(task: Work) -> None:
    """Content and record."""
    await task.service.host.disks.delete_layer(task.target.private["layer"])
    task.service.store.delete(task.target)
