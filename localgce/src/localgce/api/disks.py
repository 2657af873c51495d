"""Disks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import errors
from localgce.disks import commands
from localgce.http.listing import list_of, zonal
from localgce.images import snapshots

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.disks.insert")
def insert(call: Call) -> Json:
    """Create a blank disk, or one from an image or snapshot."""
    body = dict(call.body)
    if "sourceImage" in call.query:
        body["sourceImage"] = call.query["sourceImage"]
    return commands.insert(call.context, body).body


@method("compute.disks.get")
def get(call: Call) -> Json:
    """One disk."""
    return call.record().body


@method("compute.disks.list")
def list_(call: Call) -> Json:
    """The disks of a zone."""
    return list_of(call, "disk", [record.body for record in call.records()])


@method("compute.disks.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """The disks of all zones."""
    return zonal(call, "disk", [record.body for record in call.records(everywhere=True)])


@method("compute.disks.delete")
def delete(call: Call) -> Json:
    """Delete a disk that no instance uses."""
    return commands.delete(call.context, call.record()).body


@method("compute.disks.createSnapshot")
def create_snapshot(call: Call) -> Json:
    """Create a snapshot, as snapshots.insert does."""
    return snapshots.insert(call.context, call.record(), call.body).body


@method("compute.disks.update")
def update(call: Call) -> Json:
    """Change labels, size and provisioned performance, as the mask says."""
    return commands.update(call.context, call.record(), call.body, _paths(call)).body


def _paths(call: Call) -> set[str]:
    """The fields that the request names; without a mask, those of its body."""
    named = [*call.query.get("paths", []), *call.query.get("updateMask", "").split(",")]
    return {path for path in named if path} or set(call.body)


@method("compute.disks.resize")
def resize(call: Call) -> Json:
    """Grow a disk."""
    disk = call.record()
    if "sizeGb" not in call.body:
        raise errors.required("sizeGb")
    return commands.resize(call.context, disk, int(call.body["sizeGb"])).body
