"""Machine images: an instance with all its disks, from which others are created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.http.listing import list_of
from localgce.instances import machine_images

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method("compute.machineImages.insert")
def insert(call: Call) -> Json:
    """Create a machine image of the instance that `sourceInstance` names."""
    source = call.body.get("sourceInstance") or call.query.get("sourceInstance")
    return machine_images.insert(call.context, source, call.body).body


@method("compute.machineImages.get")
def get(call: Call) -> Json:
    """One machine image."""
    return call.record().body


@method("compute.machineImages.list")
def list_(call: Call) -> Json:
    """The machine images of the project."""
    return list_of(call, "machineImage", [record.body for record in call.records()])


@method("compute.machineImages.delete")
def delete(call: Call) -> Json:
    """Delete a machine image."""
    return machine_images.delete(call.context, call.record()).body
