"""What a bake can make of a stopped builder: a custom image, or a machine image. One way of asking.

A machine image has no family and is never deprecated; labels it has like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook

Resource = dict[str, Any]

CUSTOM_IMAGE, MACHINE_IMAGE = "custom_image", "machine_image"


class Made(Protocol):
    """The calls that both kinds have."""

    def get(self, name: str) -> Resource | None:
        """The image, or None."""

    def list(self, filter_: str) -> list[Resource]:
        """Those of our project that match."""

    def insert(self, body: Resource, request_id: str) -> Resource | None:
        """Create; the operation, or None when it stands already."""

    def label(self, image: Resource, changes: Mapping[str, str | None]) -> Resource:
        """Set labels of one just read (None removes one)."""

    def delete(self, name: str, request_id: str) -> Resource | None:
        """Delete; None when it is not there any more."""


class CustomImages:
    """One disk: what fleets are rolled out from."""

    def __init__(self, compute: ComputeHook) -> None:
        self.get = compute.image
        self.list = compute.images
        self.insert = compute.insert_image
        self.label = compute.label_image
        self.delete = compute.delete_image


class MachineImages:
    """A whole machine: its disks, and what it was set to."""

    def __init__(self, compute: ComputeHook) -> None:
        self.get = compute.machine_image
        self.list = compute.machine_images
        self.insert = compute.insert_machine_image
        self.label = compute.label_machine_image
        self.delete = compute.delete_machine_image


def made(compute: ComputeHook, kind: str) -> Made:
    """By the `kind` of the recipe's image."""
    return MachineImages(compute) if kind == MACHINE_IMAGE else CustomImages(compute)
