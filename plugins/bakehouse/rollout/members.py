"""Read the members of a fleet from Compute Engine: instances, boot disks and reports."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from bakehouse.core.errors import FINAL
from bakehouse.core.reasons import Reason
from bakehouse.images import labels
from bakehouse.images.links import (
    Resource,
    region_of,
    zone_of,
)
from bakehouse.rollout.config_change import change_of
from bakehouse.rollout.declared_fleet import Around, Declared, by_name, by_path
from bakehouse.rollout.health import Health, ill, parse
from bakehouse.rollout.instance_facts import boot_of, is_regional, member_of, other_project
from bakehouse.rollout.order import natural
from bakehouse.rollout.orders import Order
from bakehouse.rollout.plan import Member, Reported, Target
from bakehouse.rollout.states import Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bakehouse.cloud.compute_hook import (
        ComputeHook,  # costs a second of import, which every parse pays
    )
    from bakehouse.fleet.members import Members
    from bakehouse.fleet.model import Fleet

    Attested = Callable[[Resource], str | None]
    """Says why an image is not the one that was signed, as a sentence; None if it is."""

AT_ONCE = 100  # names in one filter, which travels in the URL
FEW = 10  # disks of a zone: as many reads say of each why it cannot be read


def instances(hook: ComputeHook, members: Members) -> tuple[list[Resource], list[str]]:
    """Return the fleet's instances in the order of the rollout, and the names without an instance.

    By label the order is that of the names, web-2 before web-10; a list's is its own. Errors are
    those of the hook.
    """
    if members.labels is not None:
        wanted = " AND ".join(f"labels.{k}={v}" for k, v in members.labels.items())
        found = [i for zone in members.zones for i in hook.instances(zone, wanted)]
        return sorted(found, key=lambda i: natural(str(i["name"]))), []
    names = members.names or ()
    by_name: dict[str, Resource] = {}
    for zone in reversed(members.zones):  # of two with one name that of the first zone counts
        by_name |= _of_names(hook, zone, names)
    there = [by_name[name] for name in names if name in by_name]
    return there, [name for name in names if name not in by_name]


def configured(
    hook: ComputeHook,
    found: Iterable[Resource],
    facts: Iterable[Member],
    wanted: Mapping[str, str | None],
    run: str,
) -> list[Member]:
    """Return the members as those that get other metadata, and nothing else."""
    by_name = {str(instance["name"]): instance for instance in found}
    every: list[Member] = []
    for member in facts:
        instance = by_name.get(member.name)
        if instance is None:
            continue
        changed: dict[str, object] = {"strategy": Strategy.RENDER, "machine": None}
        changed["metadata"] = change_of(instance, wanted, run)
        is_asked = member.status == "RUNNING" and member.refused is None
        if is_asked and (why := _cannot_render(hook, member)) is not None:
            changed["refused"], changed["refused_why"] = Reason.CANNOT_RENDER, why
        every.append(member.model_copy(update=changed))
    return every


def in_place(hook: ComputeHook, member: Member) -> Member:
    """Return a member whose metadata alone differ as one that renders, if its image can do that.

    Else it gets them with another boot disk (`at_start`), or is left if it has a local SSD or
    deletion protection.
    """
    if member.metadata is None or member.strategy is Strategy.RENDER:
        return member
    if member.status != "RUNNING" or _cannot_render(hook, member) is not None:
        return member.model_copy(update={"metadata": None})
    return member.model_copy(update={"strategy": Strategy.RENDER, "at_start": None})


def _cannot_render(hook: ComputeHook, member: Member) -> str | None:
    """Return the image of a member that runs and cannot render its files again; None: it can."""
    said = health(hook, member.zone, member.name)
    if said is None or Order.RENDER not in said.orders:
        return said.image if said else "no health report"
    return None


def standing(hook: ComputeHook, zones: Mapping[str, str]) -> dict[str, Resource]:
    """Return those of these instances that exist, by name; `zones` is name -> zone."""
    found: dict[str, Resource] = {}
    for zone in sorted(set(zones.values())):
        names = [name for name, where in zones.items() if where == zone]
        found |= _of_names(hook, zone, names)
    return found


def boot_disk_of(instance: Resource) -> str:
    """Return the name of an instance's boot disk; empty if it has none."""
    boot = boot_of(instance)
    return str(boot["name"]) if boot is not None else ""


def statuses(hook: ComputeHook, zones: Mapping[str, str]) -> dict[str, Resource]:
    """Return name and status of those of these instances that exist; `zones` is name -> zone.

    Of many one list of the zone says it with fewer calls than their names.
    """
    found: dict[str, Resource] = {}
    for zone in sorted(set(zones.values())):
        names = {name for name, where in zones.items() if where == zone}
        if len(names) <= AT_ONCE:
            found |= _of_names(hook, zone, sorted(names))
        else:
            every = hook.instance_states(zone, "")
            found |= {str(i["name"]): i for i in every if i["name"] in names}
    return found


def fleet_members(
    hook: ComputeHook, found: Iterable[Resource], order_by: str | None = None
) -> list[Member]:
    """Return the members, each with its boot disk; one that cannot be read is refused alone."""
    instances = list(found)
    disks = _boot_disks(hook, instances)
    return [_member(hook, instance, order_by, disks) for instance in instances]


def disks_of_rollouts(hook: ComputeHook, fleet: Fleet) -> dict[str, Resource]:
    """Return all existing disks that rollouts of this fleet have created or taken out, by name."""
    wanted = f"labels.{labels.FLEET}={fleet.name}"
    return {str(d["name"]): d for z in fleet.members.zones for d in hook.disks(z, wanted)}


def declared_members(
    hook: ComputeHook,
    fleet: Fleet,
    run: str,
    image: Target,
    found: Sequence[Resource],
    facts: list[Member],
) -> list[Member]:
    """Return the members of a fleet with a template; of one without, `facts` as they are.

    Costs one list call for each zone and each region, and a report of each member whose metadata
    alone differ.
    """
    if fleet.template is None:
        return facts
    zones = sorted({*fleet.members.zones, *(zone_of(instance) for instance in found)})
    seen = around(hook, zones)
    declared = Declared(fleet, fleet.template, run, image, seen, datetime.now(UTC))
    return [in_place(hook, member) for member in declared.members(found, facts)]


def around(hook: ComputeHook, zones: Sequence[str]) -> Around:
    """Return the disks of zones and the reserved addresses of their regions."""
    return Around(
        disks=by_path(disk for zone in zones for disk in hook.disks(zone, "")),
        addresses={
            region: by_name(hook.addresses(region)) for region in sorted(set(map(region_of, zones)))
        },
    )


def health(hook: ComputeHook, zone: str, name: str) -> Health | None:
    """Return the last health report of a member."""
    return parse(hook.guest_attributes(zone, name).get("health"))


def reported(hook: ComputeHook, found: Iterable[Member]) -> list[Reported]:
    """Return the members that count for `max_unavailable`, with their reports.

    One that does not run is down, whoever has stopped it. One that a person holds, or that no
    rollout may change, does not count.
    """
    every: list[Reported] = []
    for member in found:
        if member.refused is not None or member.strategy is Strategy.CREATE:
            continue
        if member.status != "RUNNING":
            off = f"it is {member.status}"
            every.append(
                Reported(name=member.name, zone=member.zone, at=datetime.now(UTC), ill=off)
            )
            continue
        said, now = health(hook, member.zone, member.name), datetime.now(UTC)
        every.append(
            Reported(
                name=member.name,
                zone=member.zone,
                stamp=str(said.stamp) if said is not None else "",
                at=now,
                ill=ill(said, "", now, now),
                boot_id=said.boot_id if said is not None else "",
                gate=said is not None and Order.GATE in said.orders,
            )
        )
    return every


def _of_names(hook: ComputeHook, zone: str, names: Sequence[str]) -> dict[str, Resource]:
    """Get instances by name, a hundred with each call."""
    return _listed(names, lambda wanted: hook.instances(zone, wanted))


def _listed(
    names: Sequence[str], list_: Callable[[str], Iterable[Resource]]
) -> dict[str, Resource]:
    """List resources by name; `list_` takes a filter."""
    found: list[Resource] = []
    for start in range(0, len(names), AT_ONCE):
        any_of = "|".join(names[start : start + AT_ONCE])
        found += list_(f"name eq '{any_of}'")
    return {str(one["name"]): one for one in found}


def _boot_disks(
    hook: ComputeHook, instances: Iterable[Resource]
) -> dict[tuple[str, str], Resource]:
    """Return the boot disks of zones with many, by zone and name; the others are read one by one.

    So are those of a zone whose list is refused: then each says why it cannot be read.
    """
    of_zone: dict[str, list[str]] = {}
    for instance in instances:
        boot = boot_of(instance)
        if boot is not None and not is_regional(boot) and not other_project(instance, boot):
            of_zone.setdefault(zone_of(instance), []).append(boot["name"])
    disks: dict[tuple[str, str], Resource] = {}
    for zone, names in of_zone.items():
        if len(names) > FEW:
            with suppress(*FINAL):
                found = _listed(names, partial(hook.disks, zone))
                disks |= {(zone, name): disk for name, disk in found.items()}
    return disks


def _member(
    hook: ComputeHook,
    instance: Resource,
    order_by: str | None,
    disks: Mapping[tuple[str, str], Resource],
) -> Member:
    boot, zone = boot_of(instance), zone_of(instance)
    if boot is None or is_regional(boot) or other_project(instance, boot):
        return member_of(instance, None, order_by)
    try:
        disk = disks.get((zone, boot["name"])) or hook.disk(zone, boot["name"])
        return member_of(instance, disk, order_by)
    except FINAL as unreadable:
        refused = {"refused": Reason.BOOT_DISK_NOT_REPLACEABLE, "refused_why": str(unreadable)}
        return member_of(instance, None, order_by).model_copy(update=refused)
