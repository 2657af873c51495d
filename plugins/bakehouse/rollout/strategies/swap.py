"""The strategy swap: replace the boot disk and keep everything else of the instance.

Pure: what is handed to the walk, what it reads out of Compute Engine's answers, and the bodies of
its calls. The new disk is like the old one (type, size, key, snapshot schedules, the users' labels)
but for its content, and is attached in the old one's way (device name, auto-delete).

The way back takes the old disk, which stays until the rollout has ended well: it needs nothing that
could be refused just then (quota, a deleted image), and it holds what last worked, host keys
included. If somebody has deleted it, the way back makes a disk from the image that the member had,
by its id.

The old disk gets labels of Bakehouse before the member is stopped, so that the sweep finds it
whatever happens. One that nothing can make again gets no label `expires`: the sweep names it, and
leaves it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bakehouse.core.reasons import Reason
from bakehouse.core.time import parse_timestamp
from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.images import labels
from bakehouse.images.formats import FormatRange
from bakehouse.images.links import (
    CREATED_BY,
    Resource,
    group_of,
    labels_of,
    project_of,
    resource_name,
    zone_of,
)
from bakehouse.rollout.config_change import MetadataChange, is_set
from bakehouse.rollout.health import Health, parse
from bakehouse.rollout.machine import Machine, Owner
from bakehouse.rollout.order import key_of
from bakehouse.rollout.plan import (
    BootDisk,
    Change,
    Member,
    RolloutPlan,
    Target,
    disk_name,
    recall,
    remember,
)
from bakehouse.rollout.states import Disk, Goal, MemberObservation, Strategy
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

# Source: `status` of disks.get.
_DISK_STATES = {"READY": Disk.READY, "CREATING": Disk.CREATING, "RESTORING": Disk.CREATING}
UNUSED_FOR = timedelta(days=7)  # after that the sweep may take a boot disk that nothing uses


class Swap(Stored):
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
    only_disk: bool = Field(default=False, description="nothing can make its old disk again")
    orders: tuple[str, ...] = Field(
        default=(), description="what the image that it runs can be told, by its last report"
    )
    second_disk: str = Field(
        default="", description="the disk of a second try; empty: there is none, or it is this one"
    )
    first_try: str = Field(default="", description="how the first one ended; empty in the first")
    strategy: Strategy = Field(default=Strategy.SWAP, description="how it gets there")
    metadata: MetadataChange | None = Field(default=None, description="of the strategy render")
    machine: Machine | None = Field(default=None, description="the instance to create")
    pinned: Machine | None = Field(default=None, description="the instance that it was")
    reads: tuple[FormatRange, ...] = Field(
        default=(), description="the formats of data that its image can read; none: it says nothing"
    )
    old_reads: tuple[FormatRange, ...] = Field(
        default=(), description="likewise, of the image that it had when the run began"
    )

    def goal(self, healthy_within: timedelta, busy_limit: timedelta = timedelta(0)) -> Goal:
        """What the member must reach: this disk, this image reported, within this time."""
        image = self.image.name if self.speaks else None
        return Goal(
            self.id,
            self.disk,
            image,
            self.before,
            healthy_within,
            strategy=self.strategy,
            busy_limit=busy_limit,
        )

    @property
    def owner(self) -> Owner:
        """Whose the resources are that are made for it."""
        return Owner(recipe=self.image.recipe, run=self.run, fleet=self.fleet, member=self.member)

    def is_ours(self, instance: Resource) -> bool:
        """Whether this run has created the instance."""
        told = self.owner.labels
        return labels_of(instance).items() >= told.items()

    def is_member(self, instance: Resource) -> bool:
        """Whether it is the member's instance: the one it was, or one that this run has made."""
        return str(instance["id"]) == self.id or (self.strategy.inserts and self.is_ours(instance))

    @property
    def disks(self) -> tuple[str, ...]:
        """The boot disks that it may have at its end."""
        return (self.disk, self.second_disk) if self.second_disk else (self.disk,)

    def again(self, first_try: str, before: str | None) -> Swap:
        """Return the second try, on a fresh disk; `first_try` is how the first one ended.

        `before` is the boot whose report does not count: that of the first try, if it said
        anything.
        """
        changes = {
            "disk": self.second_disk,
            "second_disk": "",
            "first_try": first_try,
            "before": before or self.before,
        }
        return self.model_copy(update=changes)


def forward(
    plan: RolloutPlan, change: Change, health: Health | None, *, moved: bool | None = None
) -> Swap:
    """Return the replacement of a member with the last report `health`.

    `moved`: an earlier try of this run has moved the member. It must be told where the member's old
    image has the very name of the new one, since reports name images.
    """
    if change.metadata is not None:
        return _render(plan, change, health)
    on_image = health is not None and health.image == plan.image.name
    on_image = on_image and moved is not False
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
        only_disk=bool(change.only_disk),
        second_disk=change.second_disk,
        strategy=change.strategy,
        machine=change.machine,
        pinned=change.pinned,
        orders=_orders(health),
        reads=plan.reads.get(plan.image.name, ()),
        old_reads=plan.reads.get(resource_name(change.old.image), ()),
    )


def _render(plan: RolloutPlan, change: Change, health: Health | None) -> Swap:
    """Return the change of a member's metadata: it keeps its disk, and the image that it has."""
    old = change.old
    name = health.image if health is not None else resource_name(old.image)
    return Swap(
        member=change.name,
        zone=change.zone,
        id=change.id,
        fleet=plan.fleet,
        run=plan.run,
        way="forward",
        image=Target(id=old.image_id, name=name, self_link=old.image, recipe=plan.image.recipe),
        disk=old.name,
        kept=True,
        old=old,
        reported=name,
        orders=_orders(health),
        strategy=Strategy.RENDER,
        metadata=change.metadata,
    )


def back(done: Swap, image: Target | None, *, kept: bool, health: Health | None) -> Swap:
    """Return the roll-back of `done`; `image` is None if only its previous disk is left."""
    if done.strategy is Strategy.CREATE:
        orders = _orders(health)
        return done.model_copy(
            update={"way": "back", "strategy": Strategy.REMOVE, "orders": orders}
        )
    old = done.old
    image = image or Target(
        id=old.image_id,
        name=resource_name(old.image) or done.reported,  # a restored disk names no image
        self_link=old.image,
        recipe=done.image.recipe,
    )
    changes = {
        "way": "back",
        "image": image,
        "disk": old.name if kept else disk_name(done.member, done.run, image.id),
        "kept": kept,
        "before": health.boot_id if health is not None else done.before,
        "orders": _orders(health),
        "speaks": bool(done.reported) and done.reported == image.name,
        "second_disk": "",
        "machine": done.pinned,
        "reads": done.old_reads,
    }
    return done.model_copy(update=changes)


def _orders(health: Health | None) -> tuple[str, ...]:
    return tuple(sorted(health.orders)) if health is not None else ()


def moving(swap: Swap) -> str:
    """Say what is about to happen to a member."""
    if swap.metadata is not None:
        what = "gets other metadata" if swap.way == "forward" else "gets its metadata back"
        return f"{swap.member} {what}: {swap.metadata.keys}"
    if swap.strategy is Strategy.CREATE:
        return f"{swap.member} is created from {swap.image.name}, on the new disk {swap.disk}"
    if swap.strategy is Strategy.REMOVE:
        return f"{swap.member}, which this rollout has created, is deleted again"
    if swap.way == "forward":
        return f"{swap.member} moves to {swap.image.name}, on the new disk {swap.disk}"
    on = f"its old disk {swap.disk}" if swap.kept else f"the new disk {swap.disk}"
    return f"{swap.member} goes back to {swap.image.name or 'what it had'}, on {on}"


def outcome_of(swap: Swap, state: str, why: str, cause: str | None = None) -> MemberOutcome:
    """Return how a swap ended."""
    return MemberOutcome(
        member=swap.member,
        way=swap.way,
        state=state,
        why=why,
        image=swap.image.name,
        disk=swap.disk,
        cause=cause or "",
        first_try=swap.first_try,
    )


def is_touched(instance: Resource, old: BootDisk) -> bool:
    """Whether the member was changed: it does not run on its previous disk."""
    boot = boot_of(instance)
    return boot is None or boot["name"] != old.name or instance.get("status") != "RUNNING"


def is_under_way(swap: Swap, instance: Resource | None) -> bool:
    """Whether the only right thing is to go on: the member is changed already, or is gone."""
    if swap.metadata is not None and instance is not None:
        return is_set(instance, swap.metadata.after)
    if instance is None:
        return swap.strategy is not Strategy.CREATE
    if swap.strategy is Strategy.CREATE or str(instance["id"]) != swap.id:
        return True
    return is_touched(instance, swap.old)


def is_old(disk: Resource | None, old: BootDisk) -> bool:
    """Whether it is this very disk, and not another one that has got its name since."""
    if disk is None:
        return False
    if old.id:
        return str(disk["id"]) == old.id
    return str(disk.get("sourceImageId", "")) == old.image_id


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


def observe(
    swap: Swap, instance: Resource | None, disk: Resource | None, said: Mapping[str, str]
) -> MemberObservation:
    """Build the observation from instances.get, disks.get and the guest attributes."""
    if instance is None:
        goal_disk = _disk_state(swap, disk, "") if swap.strategy.inserts else Disk.ABSENT
        return MemberObservation(instance_id=None, goal_disk=goal_disk)
    boot = boot_of(instance)
    return MemberObservation(
        is_ours=swap.is_ours(instance),
        instance_id=str(instance["id"]),
        status=str(instance["status"]),
        boot_disk=boot["name"] if boot else None,
        goal_disk=_disk_state(swap, disk, str(instance["selfLink"])),
        health=parse(said.get("health")),
        started=started(instance),
    )


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


def _disk_state(swap: Swap, disk: Resource | None, instance: str) -> Disk:
    if disk is None:
        return Disk.TAKEN if swap.kept else Disk.ABSENT
    of_image = str(disk.get("sourceImageId", "")) == swap.image.id
    if not (is_old(disk, swap.old) if swap.kept else of_image):
        return Disk.TAKEN
    if any(resource_name(user) != resource_name(instance) for user in disk.get("users") or []):
        return Disk.TAKEN
    return _DISK_STATES.get(str(disk.get("status")), Disk.BROKEN)


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
