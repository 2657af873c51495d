"""Lists what a project holds, each kind by one list call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bakehouse.images import labels
from bakehouse.inventory.model import Stock

if TYPE_CHECKING:
    from bakehouse.cloud.compute_hook import ComputeHook


def look(hook: ComputeHook) -> Stock:
    """Everything that can use an image: six calls (and one for each further 500 of a kind)."""
    return Stock(
        project=hook.project,
        images=tuple(hook.images(f"labels.{labels.RECIPE}:*")),
        instances=tuple(hook.instances_everywhere("")),
        disks=tuple(hook.disks_everywhere("")),
        templates=tuple(hook.templates()),
        groups=tuple(hook.groups()),
        machine_images=tuple(hook.machine_images()),
    )


def look_at_ours(hook: ComputeHook, *, machine_images: bool = True) -> Stock:
    """What carries our labels, and every instance: enough to sweep, and to show drift.

    No fleet runs a machine image, so drift does without them.
    """
    ours = f"labels.{labels.RECIPE}:*"
    return Stock(
        project=hook.project,
        images=tuple(hook.images(ours)),
        instances=tuple(hook.instances_everywhere("")),
        disks=tuple(hook.disks_everywhere("")),
        machine_images=tuple(hook.machine_images(ours)) if machine_images else (),
    )
