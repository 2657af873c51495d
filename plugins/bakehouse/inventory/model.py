"""The resources of a project. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bakehouse.images.links import Resource


@dataclass(frozen=True)
class Inventory:
    """Lists of resources; only the images are limited to those of Bakehouse."""

    project: str
    images: tuple[Resource, ...] = ()
    instances: tuple[Resource, ...] = ()
    disks: tuple[Resource, ...] = ()
    templates: tuple[Resource, ...] = ()
    groups: tuple[Resource, ...] = ()
    machine_images: tuple[Resource, ...] = ()
