"""How fleets differ from their newest image, pinned image and template, from lists alone. Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from pydantic import AwareDatetime

from bakehouse.core.models import Frozen
from bakehouse.images.labels import FLEET
from bakehouse.images.links import (
    Resource,
    group_of,
    labels_of,
    path_of,
    region_of,
    resource_name,
    zone_of,
)
from bakehouse.images.selection import created_at, newest_promoted
from bakehouse.rollout.differences import differences
from bakehouse.rollout.instance_facts import boot_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from bakehouse.fleet.members import Members
    from bakehouse.fleet.model import Fleet
    from bakehouse.history.pinned import PinnedImage
    from bakehouse.inventory.model import Inventory


class Member(Frozen):
    """One member, and the image that its boot disk was made from."""

    name: str
    zone: str
    image: str  # empty when it has no boot disk
    image_id: str = ""
    age_days: float | None = None  # of the image; None when it does not exist any more
    image_created: AwareDatetime | None = None


class IllMember(Frozen):
    """A member that is reported unhealthy, or has stopped to report."""

    name: str
    zone: str
    why: str


class OtherMember(Frozen):
    """A member that differs from the fleet's template, and in what."""

    name: str
    zone: str
    differs: tuple[str, ...]


class Drift(Frozen):
    """A fleet against the newest promoted image of its recipe (None: there is none)."""

    fleet: str
    newest: str | None
    on_newest: int
    behind: tuple[Member, ...] = ()
    ill: tuple[IllMember, ...] = ()
    missing: tuple[str, ...] = ()
    pinned: str | None = None  # the image of its last rollout that ended well, if that is known
    strayed: tuple[Member, ...] = ()  # members that run another one than that
    others: tuple[OtherMember, ...] = ()
    undeclared: tuple[str, ...] = ()  # created for the fleet, and not in its file any more

    @property
    def is_none(self) -> bool:
        """Whether every member is there, as declared, on its image, and not known to be ill."""
        as_declared = not (self.missing or self.others or self.undeclared)
        return as_declared and not (self.behind or self.ill or self.strayed)

    @property
    def count(self) -> int:
        """How many members are not as they should be, those that are missing among them."""
        seen = {one.name for one in (*self.behind, *self.strayed)}
        seen |= {one.name for one in self.ill} | {one.name for one in self.others}
        return len(seen | {*self.missing, *self.undeclared})


def drift(
    fleet: Fleet,
    inventory: Inventory,
    now: datetime,
    ill: Mapping[str, str] = MappingProxyType({}),
    pinned: PinnedImage | None = None,
    addresses: Mapping[str, Mapping[str, Resource]] = MappingProxyType({}),
) -> Drift:
    """Return the members that are not as they should be, by name.

    Members that run a newer one than that (it was taken out of use since) count as behind too.

    Args:
        fleet: as its file says; it may have no members yet.
        inventory: with images, instances and disks.
        now: for the age of images.
        ill: why members are ill or silent, by `zone/name`.
        pinned: the image of the fleet's last rollout that ended well; None: it is not known.
        addresses: the reserved ones of `regions_of_addresses`: region -> name -> address.
    """
    newest = newest_promoted(inventory.images, fleet.recipe)
    wanted = str(newest["id"]) if newest else None
    found = sorted(members(fleet, inventory, now), key=lambda member: member.name)
    behind = tuple(member for member in found if member.image_id != wanted)
    return Drift(
        fleet=fleet.name,
        newest=str(newest["name"]) if newest else None,
        on_newest=len(found) - len(behind),
        behind=behind,
        ill=tuple(
            IllMember(name=member.name, zone=member.zone, why=ill[key])
            for member in found
            if (key := f"{member.zone}/{member.name}") in ill
        ),
        missing=_missing(fleet.members, found),
        pinned=pinned.name if pinned else None,
        strayed=tuple(member for member in found if pinned and member.image_id != pinned.id),
        others=tuple(_others(fleet, inventory, addresses)),
        undeclared=tuple(
            sorted(
                str(instance["name"])
                for instance in inventory.instances
                if labels_of(instance).get(FLEET) == fleet.name
                and not is_member(instance, fleet.members)
            )
        ),
    )


def regions_of_addresses(fleet: Fleet) -> set[str]:
    """Return the regions in which a declared fleet has reserved addresses."""
    if fleet.template is None:
        return set()
    with_one = (one for one in fleet.members.declared if one.address or one.external_address)
    return {region_of(one.zone or "") for one in with_one}


def _others(
    fleet: Fleet, inventory: Inventory, addresses: Mapping[str, Mapping[str, Resource]]
) -> Iterator[OtherMember]:
    """Compare members with the template."""
    if fleet.template is None:
        return
    disks = {path_of(disk.get("selfLink")): disk for disk in inventory.disks}
    instances = {str(i["name"]): i for i in inventory.instances if is_member(i, fleet.members)}
    for one in fleet.members.declared:
        instance = instances.get(one.name)
        if instance is None:
            continue
        reserved = addresses.get(region_of(zone_of(instance)))
        found = differences(fleet.template, one, instance, disks, reserved)
        if found:
            told = tuple(str(difference) for difference in found)
            yield OtherMember(name=one.name, zone=zone_of(instance), differs=told)


def running(fleet: Fleet, inventory: Inventory) -> list[str]:
    """Return the members that run, as `zone/name`: those that can say how they are."""
    return [
        f"{zone_of(instance)}/{instance['name']}"
        for instance in inventory.instances
        if is_member(instance, fleet.members) and instance.get("status") == "RUNNING"
    ]


def _missing(wanted: Members, found: Sequence[Member]) -> tuple[str, ...]:
    if wanted.labels is not None:
        told = ", ".join(f"{key}={value}" for key, value in wanted.labels.items())
        return () if found else (told,)
    if wanted.group is not None:
        return () if found else (f"instances of the group {wanted.group}",)
    names = {member.name for member in found}
    return tuple(name for name in wanted.names or () if name not in names)


def members(fleet: Fleet, inventory: Inventory, now: datetime) -> Iterator[Member]:
    """Return the fleet's instances, each with the image of its boot disk."""
    disks = {path_of(disk.get("selfLink")): disk for disk in inventory.disks}
    images = {str(image["id"]): image for image in inventory.images}
    for instance in inventory.instances:
        if is_member(instance, fleet.members):
            boot = boot_of(instance)
            disk = disks.get(path_of(boot["source"])) if boot else None
            yield _member(instance, disk or {}, images, now)


def is_member(instance: Resource, wanted: Members) -> bool:
    """Whether the instance is a member of the fleet."""
    if zone_of(instance) not in wanted.zones:
        return False
    if wanted.labels is not None:
        return wanted.labels.items() <= labels_of(instance).items()
    if wanted.group is not None:
        return resource_name(group_of(instance)) == wanted.group
    return instance["name"] in (wanted.names or ())


def _member(
    instance: Resource, disk: Resource, images: Mapping[str, Resource], now: datetime
) -> Member:
    image_id = str(disk.get("sourceImageId", ""))
    image = images.get(image_id)
    created = created_at(image) if image else None
    age = round((now - created).total_seconds() / 86_400, 1) if created else None
    return Member(
        name=str(instance["name"]),
        zone=zone_of(instance),
        image=resource_name(disk.get("sourceImage", "")),
        image_id=image_id,
        age_days=age,
        image_created=created,
    )
