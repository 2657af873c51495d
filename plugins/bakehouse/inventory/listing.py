"""List the resources of a project, each kind with one list call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.images.labels import OURS
from bakehouse.inventory.model import Inventory

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook


def read_inventory(hook: ComputeHook) -> Inventory:
    """List everything that can use an image, with six calls and one for each further 500 of a kind.

    Raises as `ComputeHook` does.
    """
    return Inventory(
        project=hook.project,
        images=tuple(hook.images(OURS)),
        instances=tuple(hook.instances_everywhere("")),
        disks=tuple(hook.disks_everywhere("")),
        templates=tuple(hook.templates()),
        groups=tuple(hook.groups()),
        machine_images=tuple(hook.machine_images()),
    )


def read_own_inventory(
    hook: ComputeHook, *, machine_images: bool = True, templates: bool = False
) -> Inventory:
    """List resources of Bakehouse, and all instances and disks, for sweep and drift.

    Args:
        hook: the connection; errors are its own.
        machine_images: False leaves them out: no fleet runs one, so drift does without them.
        templates: True adds them, and the managed instance groups, for the sweep.
    """
    return Inventory(
        project=hook.project,
        images=tuple(hook.images(OURS)),
        instances=tuple(hook.instances_everywhere("")),
        disks=tuple(hook.disks_everywhere("")),
        templates=tuple(hook.templates()) if templates else (),
        groups=tuple(hook.groups()) if templates else (),
        machine_images=tuple(hook.machine_images(OURS)) if machine_images else (),
    )
