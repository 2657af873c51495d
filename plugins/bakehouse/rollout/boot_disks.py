"""The bodies and labels of the boot disks of a swap, new and old. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    labels_of,
)
from bakehouse.rollout.rollout_disks import recall, remember

if TYPE_CHECKING:
    from bakehouse.rollout.strategies.swap import Swap


UNUSED_FOR = timedelta(days=7)  # after that the sweep may take a boot disk that nothing uses


def disk_body(swap: Swap, now: datetime) -> dict[str, Any]:
    """Return the body of disks.insert, with labels that name run, fleet and member."""
    old = swap.old
    body: dict[str, Any] = {
        "name": swap.disk,
        "sourceImage": swap.image.self_link,
        "type": old.type,
        "sizeGb": str(max(old.size_gb, swap.image.disk_gb)),
        "labels": {**old.labels, **_labels(swap, now)},
        "description": remember(old, swap.first_try, swap.before),
    }
    if old.policies:
        body["resourcePolicies"] = list(old.policies)
    if old.kms_key:
        body["diskEncryptionKey"] = {"kmsKeyName": old.kms_key}
    return body


def attachment(swap: Swap, disk_url: str) -> dict[str, Any]:
    """Return the body of instances.attachDisk, like the previous disk's attachment."""
    return {
        "source": disk_url,
        "boot": True,
        "mode": "READ_WRITE",
        "deviceName": swap.old.device_name,
        "autoDelete": swap.old.auto_delete,
    }


def old_disk_labels(swap: Swap, disk: Resource, now: datetime) -> dict[str, str | None]:
    """Return the labels that the old disk still needs before it is taken out; None removes one."""
    told: dict[str, str | None] = {**_whose(swap), labels.ROLE: labels.PREVIOUS_DISK}
    known = labels_of(disk)
    if swap.only_disk:
        told[labels.EXPIRES] = None
    elif not told.items() <= known.items() or labels.EXPIRES not in known:
        told[labels.EXPIRES] = expiry(now)
    return {key: value for key, value in told.items() if known.get(key) != value}


def restored_labels(disk: Resource, run: str, now: datetime) -> dict[str, str | None]:
    """Return what undoes `old_disk_labels` of this run for a disk that its member has back."""
    known = labels_of(disk)
    if (known.get(labels.RUN), known.get(labels.ROLE)) != (run, labels.PREVIOUS_DISK):
        return {}
    if recall(disk) is not None:  # an earlier rollout has made it
        return {labels.ROLE: labels.MEMBER_DISK, labels.EXPIRES: expiry(now)}
    ours = (labels.RECIPE, labels.RUN, labels.ROLE, labels.FLEET, labels.MEMBER, labels.EXPIRES)
    return {key: None for key in ours if key in known}


def expiry(now: datetime) -> str:
    """Return the label `expires` of a disk that is unused from now on."""
    return labels.expiry(now + UNUSED_FOR)


def _labels(swap: Swap, now: datetime) -> dict[str, str]:
    told = {
        **_whose(swap),
        labels.ROLE: labels.MEMBER_DISK,
        labels.GIT_SHA: swap.image.git_sha,
        labels.EXPIRES: expiry(now),
    }
    return {key: value for key, value in told.items() if value}


def _whose(swap: Swap) -> dict[str, str]:
    return {
        labels.RECIPE: swap.image.recipe,
        labels.RUN: swap.run,
        labels.FLEET: swap.fleet,
        labels.MEMBER: swap.member,
    }
