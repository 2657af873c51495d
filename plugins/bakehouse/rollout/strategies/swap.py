"""The strategy swap: replace the boot disk and keep everything else of the instance.

Pure: what is handed to the walk, there and back; `instance_facts` reads Compute Engine's answers,
`boot_disks` has the bodies of its calls. The new disk is like the old one (type, size, key,
snapshot schedules, the users' labels) but for its content, and is attached in the old one's way
(device name, auto-delete).

The way back takes the old disk, which stays until the rollout has ended well: it needs nothing that
could be refused just then (quota, a deleted image), and it holds what last worked, host keys
included. If somebody has deleted it, the way back makes a disk from the image that the member had,
by its id.

The old disk gets labels of Bakehouse before the member is stopped, so that the sweep finds it
whatever happens. One that nothing can make again gets no label `expires`: the sweep names it, and
leaves it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bakehouse.history.rollout_events import MemberOutcome
from bakehouse.images.formats import FormatRange
from bakehouse.images.links import (
    Resource,
    labels_of,
    resource_name,
)
from bakehouse.rollout.config_change import MetadataChange, is_set
from bakehouse.rollout.health import Health, parse
from bakehouse.rollout.instance_facts import boot_of, started
from bakehouse.rollout.machine import Machine, Owner
from bakehouse.rollout.observation import Goal, MemberObservation
from bakehouse.rollout.plan import BootDisk, Change, RolloutPlan, Target
from bakehouse.rollout.rollout_disks import disk_name
from bakehouse.rollout.states import Disk, Strategy
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Mapping

# Source: `status` of disks.get.
_DISK_STATES = {"READY": Disk.READY, "CREATING": Disk.CREATING, "RESTORING": Disk.CREATING}


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
    at_start: MetadataChange | None = Field(
        default=None, description="other metadata that it gets while it is off for its swap"
    )
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
        at_start=change.at_start,
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
        "at_start": done.at_start.back if done.at_start is not None else None,
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
    return _is_off(instance, old) or instance.get("status") != "RUNNING"


def is_under_way(swap: Swap, instance: Resource | None) -> bool:
    """Whether the only right thing is to go on: the member is changed already, or is gone."""
    if swap.metadata is not None and instance is not None:
        return is_set(instance, swap.metadata.after)
    if instance is None:
        return swap.strategy is not Strategy.CREATE
    if swap.strategy is Strategy.CREATE or str(instance["id"]) != swap.id:
        return True
    return is_touched(instance, swap.old)


def is_off_its_disk(swap: Swap, instance: Resource | None) -> bool:
    """Whether it was changed by more than a stop, as only its own task does."""
    if swap.metadata is None and instance is not None and str(instance["id"]) == swap.id:
        return _is_off(instance, swap.old)
    return is_under_way(swap, instance)


def _is_off(instance: Resource, old: BootDisk) -> bool:
    boot = boot_of(instance)
    return boot is None or boot["name"] != old.name


def is_old(disk: Resource | None, old: BootDisk) -> bool:
    """Whether it is this very disk, and not another one that has got its name since."""
    if disk is None:
        return False
    if old.id:
        return str(disk["id"]) == old.id
    return str(disk.get("sourceImageId", "")) == old.image_id


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


def _disk_state(swap: Swap, disk: Resource | None, instance: str) -> Disk:
    if disk is None:
        return Disk.TAKEN if swap.kept else Disk.ABSENT
    of_image = str(disk.get("sourceImageId", "")) == swap.image.id
    if not (is_old(disk, swap.old) if swap.kept else of_image):
        return Disk.TAKEN
    if any(resource_name(user) != resource_name(instance) for user in disk.get("users") or []):
        return Disk.TAKEN
    return _DISK_STATES.get(str(disk.get("status")), Disk.BROKEN)
