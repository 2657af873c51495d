"""Custom images and machine images by the same calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from bakehouse.images.image_kinds import MACHINE_IMAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bakehouse.cloud.compute_hook import ComputeHook

Resource = dict[str, Any]


class ImageClient(Protocol):
    """The calls that both kinds have. Each raises as `ComputeHook` does."""

    def get(self, name: str) -> Resource | None:
        """The image, or None."""

    def list(self, filter_: str) -> list[Resource]:
        """The images of the connection's project that match."""

    def insert(self, body: Resource, request_id: str) -> Resource | None:
        """Create; the operation, or None when the image exists already."""

    def label(self, image: Resource, changes: Mapping[str, str | None]) -> Resource:
        """Set labels of an image just read (None removes one); the operation."""

    def delete(self, name: str, request_id: str) -> Resource | None:
        """Delete; the operation, or None when the image does not exist any more."""


class _CustomImageClient:
    def __init__(self, compute: ComputeHook) -> None:
        self.get = compute.image
        self.list = compute.images
        self.insert = compute.insert_image
        self.label = compute.label_image
        self.delete = compute.delete_image


class _MachineImageClient:
    def __init__(self, compute: ComputeHook) -> None:
        self.get = compute.machine_image
        self.list = compute.machine_images
        self.insert = compute.insert_machine_image
        self.label = compute.label_machine_image
        self.delete = compute.delete_machine_image


def image_client(compute: ComputeHook, kind: str) -> ImageClient:
    """The client of a kind of image.

    Args:
        compute: the hook whose connection and project are used.
        kind: an `ImageKind`, such as a recipe's `image.kind`.
    """
    return _MachineImageClient(compute) if kind == MACHINE_IMAGE else _CustomImageClient(compute)
