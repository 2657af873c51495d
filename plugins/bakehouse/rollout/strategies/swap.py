"""The strategy swap: replace the boot disk and keep everything else of the instance.

Pure: what is handed to the walk, what it reads out of Compute Engine's answers, and the bodies of
its calls. The new disk is like the old one (type, size, key, snapshot schedules, the users' labels)
but for its content, and is attached in the old one's way (device name, auto-delete).

The way back takes the kept disk where it still is: it needs nothing that could be refused just then
(quota, a deleted image), and it holds what last worked, host keys included. After the stage has
passed it is gone, and the way back makes a disk from the image that the member had, by its id.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.core.time import parse_timestamp
from bakehouse.images import labels
from bakehouse.images.links import Resource, labels_of, resource_name, zone_of
from bakehouse.rollout.health import Health, parse
from bakehouse.rollout.plan import (
    BootDisk,
    Change,
    Member,
    RolloutPlan,
    Target,
    disk_name,
    remember,
)
from bakehouse.rollout.states import Disk, Goal, MemberObservation

if TYPE_CHECKING:
    from collections.abc import Mapping

UNUSED_FOR = timedelta(days=7)  # after that the sweep may take a boot disk that nothing uses


class Swap(Frozen):
    """The swap of one member, forward or back."""

    member: str
    zone: str
    id: str
    fleet: str
    run: str
    way: Literal["forward", "back"]
    image: Target
    disk: str = Field(description="the boot disk that it shall have")
    kept: bool = Field(default=False, description="that disk is the one it had, not to be made")
    old: BootDisk = Field(description="the disk it had when the run began")
    before: str | None = Field(default=None, description="boot_id of the last report before")
    reported: str = Field(default="", description="the image that this report was of")
    speaks: bool = Field(default=True, description="the image reports its health")

    def goal(self, healthy_within: timedelta) -> Goal:
        """What the member must reach: this disk, this image reported, within this time."""
        image = self.image.name if self.speaks else None
        return Goal(self.id, self.disk, image, self.before, healthy_within)


def forward(plan: RolloutPlan, change: Change, health: Health | None) -> Swap:
    """Return the replacement of a member with the last report `health`."""
    on_image = health is not None and health.image == plan.image.name
    return Swap(
        member=change.name,
        zone=change.zone,
        id=change.id,
        fleet=plan.fleet,
        run=plan.run,
        way="forward",
        image=plan.image,
        disk=change.disk,
        old=change.old,
        # A report of the new image can only be of this run's own boot: an earlier try got there.
        before=health.boot_id if health is not None and not on_image else None,
        reported=health.image if health is not None else "",
    )


def back(done: Swap, image: Target | None, *, kept: bool, health: Health | None) -> Swap:
    """Return the roll-back of `done`; `image` is None if only its previous disk is left."""
    old = done.old
    image = image or Target(
        id=old.image_id,
        name=resource_name(old.image),
        self_link=old.image,
        recipe=done.image.recipe,
    )
    changes = {
        "way": "back",
        "image": image,
        "disk": old.name if kept else disk_name(done.member, done.run, image.id),
        "kept": kept,
        "before": health.boot_id if health is not None else done.before,
        "speaks": done.reported == image.name,
    }
    return done.model_copy(update=changes)


def is_touched(instance: Resource, old: BootDisk) -> bool:
    """Whether the member was changed: it does not run on its previous disk."""
    boot = boot_of(instance)
    return boot is None or boot["name"] != old.name or instance.get("status") != "RUNNING"


def observe(
    swap: Swap, instance: Resource | None, disk: Resource | None, said: Mapping[str, str]
) -> MemberObservation:
    """Build the observation from instances.get, disks.get and the guest attributes."""
    if instance is None:
        return MemberObservation(instance_id=None)
    boot = boot_of(instance)
    return MemberObservation(
        instance_id=str(instance["id"]),
        status=str(instance["status"]),
        boot_disk=boot["name"] if boot else None,
        goal_disk=_disk_state(swap, disk, str(instance["selfLink"])),
        health=parse(said.get("health")),
        started=_started(instance),
    )


def boot_of(instance: Resource) -> dict[str, Any] | None:
    """Return the boot disk of `instance`, with its name."""
    for disk in instance.get("disks") or []:
        if disk.get("boot"):
            return {**disk, "name": resource_name(disk["source"])}
    return None


def member_of(instance: Resource, disk: Resource | None) -> Member:
    """Return a member; `disk` is its boot disk's resource."""
    boot = boot_of(instance)
    return Member(
        name=str(instance["name"]),
        zone=zone_of(instance),
        id=str(instance["id"]),
        status=str(instance["status"]),
        boot=_boot_disk(boot, disk) if boot and disk else None,
    )


def disk_body(swap: Swap, now: datetime) -> dict[str, Any]:
    """Return the body of disks.insert, with labels that name run, fleet and member."""
    old = swap.old
    body: dict[str, Any] = {
        "name": swap.disk,
        "sourceImage": swap.image.self_link,
        "type": old.type,
        "sizeGb": str(max(old.size_gb, swap.image.disk_gb)),
        "labels": {**old.labels, **_labels(swap, now)},
        "description": remember(old),
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


def _labels(swap: Swap, now: datetime) -> dict[str, str]:
    expires = int((now + UNUSED_FOR).timestamp())
    told = {
        labels.RECIPE: swap.image.recipe,
        labels.RUN: swap.run,
        labels.ROLE: labels.MEMBER_DISK,
        labels.FLEET: swap.fleet,
        labels.MEMBER: swap.member,
        labels.GIT_SHA: swap.image.git_sha,
        labels.EXPIRES: str(expires),
    }
    return {key: value for key, value in told.items() if value}


def _disk_state(swap: Swap, disk: Resource | None, instance: str) -> Disk:
    if disk is None:
        return Disk.TAKEN if swap.kept else Disk.ABSENT
    if str(disk.get("sourceImageId", "")) != swap.image.id:
        return Disk.TAKEN
    if any(resource_name(user) != resource_name(instance) for user in disk.get("users") or []):
        return Disk.TAKEN
    return Disk.READY if disk.get("status") == "READY" else Disk.CREATING


def _boot_disk(attached: Resource, disk: Resource) -> BootDisk:
    return BootDisk(
        name=str(disk["name"]),
        image_id=str(disk.get("sourceImageId", "")),
        image=str(disk.get("sourceImage", "")),
        device_name=str(attached.get("deviceName", "")),
        auto_delete=bool(attached.get("autoDelete", False)),
        type=str(disk["type"]),
        size_gb=int(disk["sizeGb"]),
        labels=labels.users_own(labels_of(disk)),
        policies=tuple(disk.get("resourcePolicies") or ()),
        kms_key=(disk.get("diskEncryptionKey") or {}).get("kmsKeyName"),
    )


def _started(instance: Resource) -> datetime | None:
    """Return the start of this boot; None while the resource still shows the previous start."""
    start = _time(instance.get("lastStartTimestamp"))
    stop = _time(instance.get("lastStopTimestamp"))
    return None if start and stop and start < stop else start


def _time(text: object) -> datetime | None:
    return parse_timestamp(text) if text else None
