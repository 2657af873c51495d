"""What a project holds, as lists of Compute Engine's resources. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bakehouse.images.links import Resource


@dataclass(frozen=True)
class Inventory:
    """Lists as Compute Engine gives them; the images are ours, all else is everybody's."""

    project: str
    images: tuple[Resource, ...] = ()
    instances: tuple[Resource, ...] = ()
    disks: tuple[Resource, ...] = ()
    templates: tuple[Resource, ...] = ()
    groups: tuple[Resource, ...] = ()
    machine_images: tuple[Resource, ...] = ()
