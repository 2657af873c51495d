"""The members of a declared fleet: those that are missing, and how the others differ. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from bakehouse.core.reasons import Reason
from bakehouse.images.labels import MEMBER, RUN
from bakehouse.images.links import Resource, labels_of, path_of, region_of, resource_name, zone_of
from bakehouse.rollout.config_change import AT_BOOT, MetadataChange, change_of, pinned_by
from bakehouse.rollout.differences import Difference, differences, wanted_metadata
from bakehouse.rollout.instance_facts import boot_of
from bakehouse.rollout.machine import (
    EXTERNAL,
    INTERNAL,
    Owner,
    known_disks,
    of_new_fleet,
    of_template,
    pinned,
    recreated,
)
from bakehouse.rollout.plan import BootDisk, Member, Target
from bakehouse.rollout.rollout_disks import disk_name, recall, second_disk_name
from bakehouse.rollout.states import Strategy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from bakehouse.fleet.members import Instance
    from bakehouse.fleet.model import Fleet
    from bakehouse.fleet.template import Template

MISSING = "MISSING"
"""The status of a member without an instance; it is none of Compute Engine's."""


@dataclass(frozen=True)
class Around:
    """What is around the instances of a fleet, in its zones and regions."""

    disks: Mapping[str, Resource] = field(default_factory=dict)
    """By path."""
    addresses: Mapping[str, Mapping[str, Resource]] = field(default_factory=dict)
    """Reserved ones: region -> name -> address."""

    @cached_property
    def _by_place(self) -> dict[tuple[str, str], Resource]:
        return {(zone_of(disk), str(disk["name"])): disk for disk in self.disks.values()}

    @cached_property
    def _by_member(self) -> dict[tuple[str, str], dict[str, Resource]]:
        found: dict[tuple[str, str], dict[str, Resource]] = {}
        for disk in self.disks.values():
            place = (zone_of(disk), labels_of(disk).get(MEMBER, ""))
            found.setdefault(place, {})[str(disk["name"])] = disk
        return found

    def disk(self, zone: str, name: str) -> Resource | None:
        """Return a disk of a zone by its name."""
        return self._by_place.get((zone, name))

    def of_member(self, zone: str, member: str) -> dict[str, Resource]:
        """Return the disks of a zone whose labels name a member, by name."""
        return self._by_member.get((zone, member), {})

    def reserved(self, zone: str) -> frozenset[str]:
        """Return the reserved addresses of a zone's region."""
        found = self.addresses.get(region_of(zone), {}).values()
        return frozenset(str(address.get("address", "")) for address in found)


@dataclass(frozen=True)
class Declared:
    """A declared fleet, in a run that moves it to an image."""

    fleet: Fleet
    template: Template
    run: str
    image: Target
    around: Around
    now: datetime

    def members(self, found: Iterable[Resource], facts: Sequence[Member]) -> list[Member]:
        """Return the members in the fleet's order, with those to create and how others differ."""
        instances = {str(instance["name"]): instance for instance in found}
        known = {member.name: member for member in facts}
        every: list[Member] = []
        for one in self.fleet.members.declared:
            member, instance = known.get(one.name), instances.get(one.name)
            if member is None or instance is None:
                every += [self._to_create(one)] if self.fleet.creates_missing else []
            elif self._has_created(instance, member):
                placed = one.model_copy(update={"zone": zone_of(instance)})
                every.append(self._to_create(placed))
            else:
                every.append(self._compared(one, instance, member))
        return [self._of_new_fleet(one) for one in every] if self._is_new(every) else every

    def _is_new(self, every: Iterable[Member]) -> bool:
        """Whether there is nothing that could be lost: no instance and no data disk of the fleet.

        What an earlier try of this run has made is no older than the fleet.
        """
        return bool(self.template.disks) and all(
            one.strategy is Strategy.CREATE and not self._has_data(one) for one in every
        )

    def _has_data(self, member: Member) -> bool:
        names = [str(body["name"]) for body in member.machine.disks] if member.machine else []
        found = (self.around.disk(member.zone, name) for name in names)
        return any(disk is not None and labels_of(disk).get(RUN) != self.run for disk in found)

    def _of_new_fleet(self, member: Member) -> Member:
        if member.machine is None:
            return member
        return member.model_copy(update={"machine": of_new_fleet(member.machine, self.run)})

    def _to_create(self, one: Instance) -> Member:
        machine = of_template(
            self.template, one, self._owner(one.name), self.now, self._known_disks(one)
        )
        zone, names = one.zone or "", [str(body["name"]) for body in machine.disks]
        busy = [f"{name} to {user}" for name in names if (user := self._user(zone, name, one.name))]
        kind, size = self.template.boot_disk.type, self.template.boot_disk.size_gb
        return Member(
            name=one.name,
            zone=zone,
            id="",
            status=MISSING,
            boot=BootDisk(
                name="",
                image_id="",
                image="",
                device_name="persistent-disk-0",
                auto_delete=True,
                type=f"zones/{zone}/diskTypes/{kind}",
                size_gb=size,
                labels=self.template.labels,
            ),
            refused=Reason.DATA_DISK_IN_USE if busy else None,
            refused_why=f"attached are {', '.join(busy)}" if busy else "",
            strategy=Strategy.CREATE,
            machine=machine,
        )

    def _compared(self, one: Instance, instance: Resource, member: Member) -> Member:
        zone = zone_of(instance)
        addresses = self.around.addresses.get(region_of(zone), {})
        found = differences(self.template, one, instance, self.around.disks, addresses)
        is_begun = bool(pinned_by(instance, self.run))
        if not found and not is_begun:
            return member
        to_mend = [difference for difference in found if difference.mended]
        how = self._mended(one, instance, member, to_mend)
        return member.model_copy(update={"differs": found, **how})

    def _mended(
        self, one: Instance, instance: Resource, member: Member, to_mend: Sequence[Difference]
    ) -> dict[str, object]:
        """Return how a member gets what the template says: in place, or by another instance.

        With `metadata` it renders its files while it runs, if its image can do that (`in_place`);
        with `at_start` it gets them with the boot disk of a swap.
        """
        if self.fleet.strategy != "recreate":
            return {}
        may_go, change = not keeps_instance(instance), self._metadata(one, instance, to_mend)
        if change is not None and not self._is_on_image(member):
            return {"at_start": change}
        if change is not None:
            is_rendered = not AT_BOOT & change.after.keys()
            return {
                "metadata": change if is_rendered else None,
                "at_start": change if may_go else None,
            }
        if not to_mend or not may_go:
            return {}
        zone = zone_of(instance)
        owner, reserved = self._owner(one.name), self.around.reserved(zone)
        placed = one.model_copy(update={"zone": zone})
        return {
            "strategy": Strategy.RECREATE,
            "machine": recreated(self.template, placed, owner, self.now, instance, reserved),
            "pinned": pinned(instance, owner, reserved),
        }

    def _metadata(
        self, one: Instance, instance: Resource, to_mend: Sequence[Difference]
    ) -> MetadataChange | None:
        """Return what changes if the metadata are all that is to be mended; else None.

        Then the member need not be recreated. One that runs the image may render its files again;
        one that gets another image gets the metadata too while it is off, since its next boot
        renders its files anyway.
        """
        if any(not difference.field.startswith("metadata.") for difference in to_mend):
            return None
        return change_of(instance, wanted_metadata(self.template, one, instance), self.run)

    def _is_on_image(self, member: Member) -> bool:
        """Whether it has the image already, and not by this run."""
        if member.boot is None or member.boot.image_id != self.image.id:
            return False
        made = (disk_name, second_disk_name)
        return member.boot.name not in {name(member.name, self.run, self.image.id) for name in made}

    def _has_created(self, instance: Resource, member: Member) -> bool:
        """Whether an earlier try of this run has created the member."""
        has = boot_of(instance)
        is_of_run = labels_of(instance).get(RUN) == self.run
        made = (disk_name, second_disk_name)
        ours = {name(member.name, self.run, self.image.id) for name in made}
        if has is None or has["name"] not in ours or not is_of_run:
            return False
        disk = self.around.disk(zone_of(instance), has["name"])
        before = recall(disk) if disk is not None else None
        return before is not None and not before.name

    def _owner(self, member: str) -> Owner:
        return Owner(recipe=self.image.recipe, run=self.run, fleet=self.fleet.name, member=member)

    def _known_disks(self, one: Instance) -> dict[str, str]:
        return known_disks(self.fleet.name, self.around.of_member(one.zone or "", one.name))

    def _user(self, zone: str, name: str, member: str) -> str:
        disk = self.around.disk(zone, name) or {}
        users = [resource_name(user) for user in disk.get("users") or []]
        return next((user for user in users if user != member), "")


def keeps_instance(instance: Resource) -> str:
    """Return why the instance must not be deleted; empty if it may be."""
    if instance.get("deletionProtection"):
        return "it has deletionProtection"
    if any(disk.get("type") == "SCRATCH" for disk in instance.get("disks") or []):
        return "it has a local SSD"
    return ""


def told(found: Iterable[Difference]) -> str:
    """Return the differences of a member in one line."""
    return "; ".join(str(difference) for difference in found)


def by_path(disks: Iterable[Resource]) -> dict[str, Resource]:
    """Return disks by their paths."""
    return {path_of(disk.get("selfLink")): disk for disk in disks}


def by_name(addresses: Iterable[Resource]) -> dict[str, Resource]:
    """Return the reserved addresses of a region by name, external and internal ones."""
    return {
        str(address["name"]): address
        for address in addresses
        if address.get("addressType", EXTERNAL) in {EXTERNAL, INTERNAL}
    }
