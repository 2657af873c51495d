"""Disks, of a zone or of two zones of a region."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import crud, errors, limits
from localgce.core.errors import ApiError
from localgce.disks import bulk_commands, commands, replication
from localgce.http.listing import list_of, zonal_and_regional
from localgce.images import snapshots

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.disks.insert", "compute.regionDisks.insert")
def insert(call: Call) -> Json:
    """Create a blank disk, or one from an image or snapshot."""
    body = dict(call.body)
    if "sourceImage" in call.query:
        body["sourceImage"] = call.query["sourceImage"]
    return commands.insert(call.context, body).body


@method("compute.disks.bulkInsert", "compute.regionDisks.bulkInsert")
def bulk_insert(call: Call) -> Json:
    """Clone the disks of a consistency group."""
    return bulk_commands.insert(call.context, call.body).body


@method("compute.disks.get", "compute.regionDisks.get")
def get(call: Call) -> Json:
    """One disk."""
    return call.record().body


@method("compute.disks.list", "compute.regionDisks.list")
def list_(call: Call) -> Json:
    """The disks of a zone or a region."""
    return list_of(call, "disk", [record.body for record in call.records()])


@method("compute.disks.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The disks of all zones and regions."""
    return zonal_and_regional(
        call, "disk", [record.body for record in call.records(everywhere=True)]
    )


@method("compute.disks.delete", "compute.regionDisks.delete")
def delete(call: Call) -> Json:
    """Delete a disk that no instance uses."""
    return commands.delete(call.context, call.record()).body


@method("compute.disks.createSnapshot", "compute.regionDisks.createSnapshot")
def create_snapshot(call: Call) -> Json:
    """Create a snapshot, as snapshots.insert does."""
    return snapshots.insert(call.context, call.record(), call.body).body


@method("compute.disks.update", "compute.regionDisks.update")
def update(call: Call) -> Json:
    """Change labels, size and provisioned performance, as the mask says."""
    return commands.update(call.context, call.record(), call.body, _paths(call)).body


def _paths(call: Call) -> set[str]:
    """The fields that the request names; without a mask, those of its body."""
    named = [*call.query.get("paths", []), *call.query.get("updateMask", "").split(",")]
    return {path for path in named if path} or set(call.body)


@method("compute.disks.resize", "compute.regionDisks.resize")
def resize(call: Call) -> Json:
    """Grow a disk."""
    disk = call.record()
    if "sizeGb" not in call.body:
        raise errors.required("sizeGb")
    return commands.resize(call.context, disk, int(call.body["sizeGb"])).body


@method("compute.disks.updateKmsKey", "compute.regionDisks.updateKmsKey")
def update_kms_key(call: Call) -> Json:
    """Record another version of the key."""
    return set_kms_key(call, "diskEncryptionKey")


def set_kms_key(call: Call, field: str) -> Json:
    """Replace the key of Cloud KMS in a field, which the resource must have."""
    record = call.record()
    if "kmsKeyName" not in record.body.get(field, {}):
        text = f"The resource '{record.path}' has no key of Cloud KMS."
        raise ApiError(400, "invalidUsage", text)
    key = {"kmsKeyName": call.body.get("kmsKeyName") or record.body[field]["kmsKeyName"]}
    limits.check_encryption_key(key, "resource")
    return crud.begin_patch(call.context, record, {field: key}).body


@method("compute.disks.startAsyncReplication", "compute.regionDisks.startAsyncReplication")
def start_async_replication(call: Call) -> Json:
    """Replicate a disk to one of another region."""
    return replication.start(call.context, call.record(), call.body).body


@method("compute.disks.stopAsyncReplication", "compute.regionDisks.stopAsyncReplication")
def stop_async_replication(call: Call) -> Json:
    """End the replication of a disk, or to it."""
    return replication.stop(call.context, call.record()).body


@method("compute.disks.stopGroupAsyncReplication", "compute.regionDisks.stopGroupAsyncReplication")
def stop_group_async_replication(call: Call) -> Json:
    """End the replication of a consistency group's disks."""
    return replication.stop_group(call.context, call.body).body
