"""What an instance and its boot disk say of a member, and why one may not be changed. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bakehouse.core.reasons import Reason
from bakehouse.core.time import parse_timestamp
from bakehouse.images import labels
from bakehouse.images.links import (
    CREATED_BY,
    Resource,
    group_of,
    labels_of,
    project_of,
    resource_name,
    zone_of,
)
from bakehouse.rollout.order import key_of
from bakehouse.rollout.plan import BootDisk, Member

if TYPE_CHECKING:
    from datetime import datetime


def refusal(instance: Resource, disk: Resource | None) -> tuple[Reason, str] | None:
    """Return why no rollout may change this instance; `disk` is its boot disk's resource."""
    if creator := group_of(instance):
        hint = f"if {resource_name(creator)} has abandoned it, delete its metadata {CREATED_BY}"
        return Reason.MEMBER_OF_GROUP, hint
    if labels.HOLD in labels_of(instance):
        return Reason.MEMBER_ON_HOLD, f"by {labels_of(instance)[labels.HOLD] or 'somebody'}"
    why = _not_replaceable(instance, disk)
    return (Reason.BOOT_DISK_NOT_REPLACEABLE, why) if why else None


def _not_replaceable(instance: Resource, disk: Resource | None) -> str:
    boot = boot_of(instance)
    if boot is not None and is_regional(boot):
        return f"{boot['name']} is a regional disk"
    if boot is not None and (project := other_project(instance, boot)):
        return f"{boot['name']} is a disk of the project {project}"
    others = sorted(
        name
        for user in (disk or {}).get("users") or []
        if (name := resource_name(user)) != instance["name"]
    )
    if disk is not None and others:
        return f"{disk['name']} is attached to {', '.join(others)} too"
    key = (disk or {}).get("diskEncryptionKey") or {}
    if disk is not None and key and "kmsKeyName" not in key:
        return f"{disk['name']} is encrypted with a key that only its owner has"
    return ""


def other_project(instance: Resource, attached: Resource) -> str:
    """Return the project of an attached disk if it is not that of its instance; else nothing."""
    own, project = project_of(instance.get("selfLink", "")), project_of(attached.get("source", ""))
    return project if project and own and project != own else ""


def is_regional(attached: Resource) -> bool:
    """Whether an attached disk is one of a region."""
    return "/regions/" in str(attached.get("source", ""))


def boot_of(instance: Resource) -> dict[str, Any] | None:
    """Return the boot disk of `instance`, with its name."""
    for disk in instance.get("disks") or []:
        if disk.get("boot"):
            return {**disk, "name": resource_name(disk.get("source", ""))}
    return None


def member_of(instance: Resource, disk: Resource | None, order_by: str | None = None) -> Member:
    """Return a member; `disk` is its boot disk's resource."""
    boot = boot_of(instance)
    refused, why = refusal(instance, disk) or (None, "")
    return Member(
        name=str(instance["name"]),
        zone=zone_of(instance),
        id=str(instance["id"]),
        status=str(instance["status"]),
        boot=_boot_disk(boot, disk) if boot and disk else None,
        refused=refused,
        refused_why=why,
        protected=bool(instance.get("deletionProtection")),
        key=key_of(instance, order_by),
    )


def _boot_disk(attached: Resource, disk: Resource) -> BootDisk:
    return BootDisk(
        name=str(disk["name"]),
        id=str(disk.get("id", "")),
        image_id=str(disk.get("sourceImageId", "")),
        image=str(disk.get("sourceImage", "")),
        made_of=_made_of(disk),
        device_name=str(attached.get("deviceName", "")),
        auto_delete=bool(attached.get("autoDelete", False)),
        type=str(disk["type"]),
        size_gb=int(disk["sizeGb"]),
        labels=labels.users_own(labels_of(disk)),
        policies=tuple(disk.get("resourcePolicies") or ()),
        kms_key=(disk.get("diskEncryptionKey") or {}).get("kmsKeyName"),
    )


def _made_of(disk: Resource) -> str:
    if disk.get("sourceImage"):
        return ""
    kinds = {
        "sourceSnapshot": "the snapshot",
        "sourceInstantSnapshot": "the instant snapshot",
        "sourceDisk": "the disk",
    }
    return next((f"{w} {resource_name(disk[k])}" for k, w in kinds.items() if disk.get(k)), "")


def started(instance: Resource) -> datetime | None:
    """Return the start of this boot; None while the resource still shows the previous start."""
    start = _time(instance.get("lastStartTimestamp"))
    stop = _time(instance.get("lastStopTimestamp"))
    return None if start and stop and start < stop else start


def _time(text: object) -> datetime | None:
    return parse_timestamp(text) if text else None
