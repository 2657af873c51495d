"""The commands on snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.core import errors, limits, links
from localgce.core.clock import timestamp
from localgce.core.ids import numeric_id
from localgce.core.store import Record
from localgce.images.validation import INHERITED

if TYPE_CHECKING:
    from localgce.core.context import Context
    from localgce.core.errors import Json

_KEPT = ("chainName", "description", "locationHint", "snapshotType")
_KEYS = ("snapshotEncryptionKey", "sourceDiskEncryptionKey")
_KNOWN = {
    *(*_KEPT, *_KEYS),
    *("kind", "name", "labels", "labelFingerprint", "sourceDisk", "storageLocations"),
}


def insert(context: Context, disk: Record, body: Json, *, policy: Record | None = None) -> Record:
    """Create a snapshot of a disk; of a running instance's, it is crash-consistent.

    `policy` is the resource policy whose schedule creates it.
    """
    if disk.kind != "disks":
        raise errors.invalid("resource.sourceDisk", disk.path, "The URL is malformed.")
    if disk.body["status"] != "READY":
        raise errors.not_ready(disk.path)
    limits.check_labels(body.get("labels", {}))
    limits.refuse_others(body, _KNOWN, "resource")
    for key in _KEYS:
        limits.check_encryption_key(body.get(key), f"resource.{key}")
    snapshot = _record(context, disk, body)
    if policy is not None:
        snapshot = snapshot.changed(
            autoCreated=True,
            sourceSnapshotSchedulePolicy=policy.link,
            sourceSnapshotSchedulePolicyId=policy.id,
        ).kept(policy=policy.id)
    context.within("global").refuse_existing("snapshots", snapshot.name)
    context.store.put(snapshot)
    return context.begin(snapshot, "snapshots.insert")


def delete(context: Context, snapshot: Record) -> Record:
    """Delete a snapshot; disks created from it stay."""
    if snapshot.body["status"] != "READY":
        raise errors.not_ready(snapshot.path)
    return context.begin(snapshot, "snapshots.delete")


def _record(context: Context, disk: Record, given: Json) -> Record:
    now = context.now()
    name = str(given["name"])
    path = f"projects/{context.project}/global/snapshots/{name}"
    body: Json = {
        "kind": "compute#snapshot",
        "id": numeric_id(),
        "creationTimestamp": timestamp(now),
        "name": name,
        "selfLink": links.url(path),
        "status": "CREATING",
        "sourceDisk": disk.link,
        "sourceDiskId": disk.id,
        "diskSizeGb": disk.body["sizeGb"],
        "storageBytes": "0",
        "storageBytesStatus": "UP_TO_DATE",
        "storageLocations": given.get("storageLocations") or ["us"],
        "autoCreated": False,
        **limits.label_fields(given.get("labels")),
        **{k: disk.body[k] for k in INHERITED if k in disk.body},
        **{k: given[k] for k in _KEPT if k in given},
        **limits.shown_keys(given, *_KEYS),
    }
    private = {
        "layer": body["id"],
        "at": now,
        "source": [disk.kind, disk.project, disk.scope, disk.name],
    }
    return Record("snapshots", context.project, "global", name, body, private)
