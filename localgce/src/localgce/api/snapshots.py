"""Snapshots: a disk's content at one moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.disks import set_kms_key
from localgce.api.method import Call, method
from localgce.core import errors
from localgce.http.listing import list_of
from localgce.images import snapshots

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.snapshots.insert")
def insert(call: Call) -> Json:
    """Create a snapshot of the disk that `sourceDisk` names."""
    field = "resource.sourceDisk"
    source = call.body.get("sourceDisk")
    if not source:
        raise errors.required(field)
    disk = call.context.at(call.context.link(source, field))
    return snapshots.insert(call.context, disk, call.body).body


@method("compute.snapshots.get")
def get(call: Call) -> Json:
    """One snapshot."""
    return call.record().body


@method("compute.snapshots.list")
def list_(call: Call) -> Json:
    """The snapshots of the project."""
    return list_of(call, "snapshot", [record.body for record in call.records()])


@method("compute.snapshots.delete")
def delete(call: Call) -> Json:
    """Delete a snapshot."""
    return snapshots.delete(call.context, call.record()).body


@method("compute.snapshots.updateKmsKey")
def update_kms_key(call: Call) -> Json:
    """Record another version of the key."""
    return set_kms_key(call, "snapshotEncryptionKey")
