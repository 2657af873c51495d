"""`setLabels` of every resource that has labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localgce.api.method import Call, method
from localgce.core import crud

if TYPE_CHECKING:
    from localgce.core.errors import Json


@method(
    "compute.addresses.setLabels",
    "compute.disks.setLabels",
    "compute.globalAddresses.setLabels",
    "compute.images.setLabels",
    "compute.instances.setLabels",
    "compute.machineImages.setLabels",
    "compute.regionDisks.setLabels",
    "compute.snapshots.setLabels",
)
def set_labels(call: Call) -> Json:
    """Replace all labels."""
    labels, fingerprint = call.body.get("labels", {}), call.body.get("labelFingerprint")
    return crud.set_labels(call.context, call.record(), labels, fingerprint).body
