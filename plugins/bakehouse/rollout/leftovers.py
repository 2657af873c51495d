"""Take away what a rollout has left, once its outcome is known."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    labels_of,
)
from bakehouse.rollout.boot_disks import expiry, restored_labels
from bakehouse.rollout.config_change import PINNED, is_pinned, with_values
from bakehouse.rollout.instance_facts import boot_of
from bakehouse.rollout.strategies.swap import is_old

if TYPE_CHECKING:
    from collections.abc import Callable

    from bakehouse.cloud.compute_hook import (
        ComputeHook,  # costs a second of import, which every parse pays
    )
    from bakehouse.rollout.plan import Change

    Attested = Callable[[Resource], str | None]
    """Says why an image is not the one that was signed, as a sentence; None if it is."""


def delete_new(
    hook: ComputeHook, change: Change, name: str, request_id: str, *, good: bool
) -> Resource | None:
    """Delete a new disk of a member that does not use it; None if there is nothing to delete.

    Unless the rollout has ended well, the disk of a member without a boot disk stays: it records
    which disk the member had, for the next rollout.
    """
    disk = hook.disk(change.zone, name)
    if disk is None or disk.get("users"):
        return None
    instance = None if good else hook.instance(change.zone, change.name)
    if instance is not None and boot_of(instance) is None:
        return None
    return hook.delete_disk(change.zone, name, request_id)


def delete_old(
    hook: ComputeHook, change: Change, request_id: str, *, again: bool
) -> Resource | None:
    """Delete the old disk of a member that does not need it any more.

    Args:
        hook: the connection.
        change: of the member.
        request_id: of the deletion.
        again: it has been refused before. So its labels say that it is no member's any more, and
            that the sweep may take it.
    """
    disk = hook.disk(change.zone, change.old.name) if change.old.name else None
    if disk is None or disk.get("users") or not is_old(disk, change.old):
        return None
    if again and labels.MEMBER in labels_of(disk):
        free = {labels.MEMBER: None, labels.EXPIRES: expiry(datetime.now(UTC))}
        hook.label_disk(change.zone, dict(disk), free)
    return hook.delete_disk(change.zone, change.old.name, request_id)


def release_old(hook: ComputeHook, change: Change, run: str) -> Resource | None:
    """Undo the labels of an old disk that its member has back; None if there is nothing to undo."""
    disk = hook.disk(change.zone, change.old.name) if change.old.name else None
    if disk is None or not disk.get("users") or not is_old(disk, change.old):
        return None
    changes = restored_labels(disk, run, datetime.now(UTC))
    return hook.label_disk(change.zone, dict(disk), changes) if changes else None


def unpin_metadata(hook: ComputeHook, change: Change) -> Resource | None:
    """Take the values that a member would have gone back to out of its metadata."""
    instance = hook.instance(change.zone, change.name)
    if instance is None or not is_pinned(instance):
        return None
    body = with_values(instance["metadata"], {PINNED: None})
    return hook.set_metadata(change.zone, instance, body)
