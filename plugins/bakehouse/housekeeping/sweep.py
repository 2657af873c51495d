"""Decide which leftovers are deleted: VMs, disks and images whose run has ended.

Pure. A resource without all labels of Bakehouse is ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.core.time import parse_timestamp
from bakehouse.images import labels
from bakehouse.images.links import Resource, labels_of, path_of, resource_name, zone_of
from bakehouse.images.provenance import run_that_made
from bakehouse.images.selection import is_in_transition
from bakehouse.lease.lease import Owner
from bakehouse.rollout.boot_disks import UNUSED_FOR

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from bakehouse.inventory.model import Inventory

Kind = Literal["instance", "disk", "image", "machine image", "template"]

MACHINE_ROLES = frozenset({labels.BUILDER, labels.SMOKE})
OURS = frozenset({labels.RECIPE, labels.RUN, labels.ROLE})
ENDED = frozenset({"success", "failed"})
A_RUN_MAY_BE_LATE = timedelta(days=1)  # beyond `expires`, while Airflow says that it goes on


class Found(Frozen):
    """A resource of Bakehouse, and the decision about it."""

    kind: Kind
    name: str
    id: str
    role: str
    recipe: str
    run: str
    sweep: bool
    reason: Reason
    zone: str = ""
    detail: str = ""
    attached: bool = False  # a disk of a machine that goes first, and takes it along or leaves it

    def __str__(self) -> str:
        what = "sweep" if self.sweep else "leave"
        more = f" ({self.detail})" if self.detail else ""
        return f"{self.kind} {self.name}: {what}, {self.reason.text}{more}"


@dataclass(frozen=True)
class SweepFacts:
    """States of runs and leases; `states` is None for a run that Airflow does not know."""

    now: datetime
    states: Mapping[Owner, str | None] = field(default_factory=dict)
    busy_fleets: Collection[str] = ()  # a run that lives holds them


def plan(inventory: Inventory, facts: SweepFacts) -> list[Found]:
    """Return the decision for each resource of a run that is not a promoted image.

    Args:
        inventory: from `read_own_inventory`; what lacks a label of Bakehouse is passed over.
        facts: of the runs that `owners` names.
    """
    machines = list(_machines(inventory.instances, facts))
    going = {path_of(i.get("selfLink")) for i, found in machines if found.sweep}
    by_name = {str(instance["name"]): instance for instance in inventory.instances}
    disks = (_of_disk(disk, by_name, going, facts) for disk in inventory.disks)
    images = (_of_image("image", image, facts) for image in inventory.images)
    whole = (_of_image("machine image", image, facts) for image in inventory.machine_images)
    every = [*(found for _, found in machines), *disks, *images, *whole]
    return [found for found in every if found is not None]


def owners(inventory: Inventory) -> set[Owner]:
    """Return the runs whose state is needed."""
    every = [*inventory.instances, *inventory.disks, *inventory.images, *inventory.machine_images]
    passing = (r for r in every if _is_passing(r))
    return {owner for r in passing if (owner := owner_of(r)) is not None}


def owner_of(resource: Resource) -> Owner | None:
    """Return the run that created it, as an owner; None if `run_that_made` finds none."""
    run = run_that_made(resource)
    return Owner(dag_id=run.dag_id, run_id=run.run_id) if run else None


def _machines(instances: Iterable[Resource], facts: SweepFacts) -> Iterator[tuple[Resource, Found]]:
    for instance in instances:
        if _has_role(instance, MACHINE_ROLES) and labels.is_runs_own(instance):
            sweep, reason, detail = _of_run(instance, facts)
            yield instance, _found("instance", instance, sweep, reason, detail)


def _of_disk(
    disk: Resource, instances: Mapping[str, Resource], going: Collection[str], facts: SweepFacts
) -> Found | None:
    if _has_role(disk, {labels.MEMBER_DISK, labels.PREVIOUS_DISK}):
        return _of_member(disk, instances, facts)
    if _has_role(disk, {labels.DATA_DISK}):
        return _of_data(disk, facts)
    if not (_has_role(disk, MACHINE_ROLES) and labels.is_runs_own(disk)):
        return None
    staying = [user for user in disk.get("users") or [] if path_of(user) not in going]
    if staying:
        who = ", ".join(map(resource_name, staying))
        return _found("disk", disk, False, Reason.ATTACHED, who)
    return _found("disk", disk, *_of_run(disk, facts))


def _of_image(kind: Kind, image: Resource, facts: SweepFacts) -> Found | None:
    """Decide about a candidate or failed image; other images are retired, not swept."""
    state = labels_of(image).get(labels.STATE)
    if not _has_role(image, {labels.IMAGE}) or state not in {labels.CANDIDATE, labels.FAILED}:
        return None
    if image.get("family"):
        return _found(kind, image, False, Reason.HALF_PROMOTED, str(image["family"]))
    if is_in_transition(image):
        return _found(kind, image, False, Reason.NOT_READY, "")
    if state == labels.FAILED:
        return _found(kind, image, *_when_expired(image, Reason.KEPT_FOR_A_LOOK, facts.now))
    return _found(kind, image, *_of_run(image, facts))


def _of_member(
    disk: Resource, instances: Mapping[str, Resource], facts: SweepFacts
) -> Found | None:
    """Decide about a boot disk that a rollout created, or has taken out.

    The next rollout may need it for a member whose swap was interrupted. So it is deleted only when
    it has been unused for a week, and never during a rollout of the fleet.
    """
    if disk.get("users"):
        return None  # in use, as it should be
    if labels.PIN in labels_of(disk):
        return _found("disk", disk, False, Reason.PINNED, "")
    fleet, member = labels_of(disk).get(labels.FLEET, ""), labels_of(disk).get(labels.MEMBER, "")
    if fleet in facts.busy_fleets:
        return _found("disk", disk, False, Reason.ROLLOUT_GOING_ON, fleet)
    instance = instances.get(member)
    if instance is not None and not any(d.get("boot") for d in instance.get("disks") or []):
        return _found("disk", disk, False, Reason.MEMBER_NEEDS_IT, member)
    until, detached = labels.expires(disk), _time(disk.get("lastDetachTimestamp"))
    if until is None and _has_role(disk, {labels.PREVIOUS_DISK}):
        return _found("disk", disk, False, Reason.ONLY_WAY_BACK, member)
    if until is None:
        return _found("disk", disk, False, Reason.UNUSED_NOT_LONG, "it has no label expires")
    until = max(until, detached + UNUSED_FOR) if detached else until
    if facts.now < until:
        return _found("disk", disk, False, Reason.UNUSED_NOT_LONG, f"until {day(until)}")
    return _found("disk", disk, True, Reason.EXPIRED, f"unused by {member or 'any member'}")


def _of_data(disk: Resource, facts: SweepFacts) -> Found | None:
    """Decide about a data disk of a declared fleet: only one that was never attached may go.

    It holds nothing. A rollout that was left before it made the instance has made it.
    """
    if disk.get("users") or disk.get("lastAttachTimestamp"):
        return None
    if labels.PIN in labels_of(disk):
        return _found("disk", disk, False, Reason.PINNED, "")
    fleet, member = labels_of(disk).get(labels.FLEET, ""), labels_of(disk).get(labels.MEMBER, "")
    if fleet in facts.busy_fleets:
        return _found("disk", disk, False, Reason.ROLLOUT_GOING_ON, fleet)
    until = labels.expires(disk)
    if until is None or facts.now < until:
        detail = f"until {day(until)}" if until else "it has no label expires"
        return _found("disk", disk, False, Reason.UNUSED_NOT_LONG, detail)
    return _found("disk", disk, True, Reason.EXPIRED, f"never attached to {member}")


def _of_run(resource: Resource, facts: SweepFacts) -> tuple[bool, Reason, str]:
    """Decide by the state of the run, or by the label `expires` if the run is unknown."""
    if labels.PIN in labels_of(resource):
        return False, Reason.PINNED, ""
    if labels.KEPT in labels_of(resource):
        return _when_expired(resource, Reason.KEPT_FOR_A_LOOK, facts.now)
    owner, until = owner_of(resource), labels.expires(resource)
    state = facts.states.get(owner) if owner else None
    who = str(owner) if owner else f"bakehouse-run={labels_of(resource)[labels.RUN]}"
    if state in ENDED:
        return True, Reason.RUN_ENDED, f"{who}: {state}"
    late = A_RUN_MAY_BE_LATE if state else timedelta(0)
    if until is not None and facts.now >= until + late:
        return True, Reason.EXPIRED, f"on {day(until)}, {who}"
    told = f"until {day(until)}, {who}" if until else f"it has no label expires, {who}"
    return False, Reason.RUN_GOING_ON if state else Reason.RUN_UNKNOWN, told


def _when_expired(resource: Resource, kept: Reason, now: datetime) -> tuple[bool, Reason, str]:
    until = labels.expires(resource)
    if labels.PIN in labels_of(resource):
        return False, Reason.PINNED, ""
    if until is not None and now >= until:
        return True, Reason.EXPIRED, f"on {day(until)}"
    return False, kept, f"until {day(until)}" if until else "it has no label expires"


def _is_passing(resource: Resource) -> bool:
    """Whether the resource belongs to one run."""
    state = labels_of(resource).get(labels.STATE)
    return _has_role(resource, MACHINE_ROLES) or (
        _has_role(resource, {labels.IMAGE}) and state == labels.CANDIDATE
    )


def _has_role(resource: Resource, roles: Collection[str]) -> bool:
    told = labels_of(resource)
    return told.keys() >= OURS and told[labels.ROLE] in roles


def _found(kind: Kind, resource: Resource, sweep: bool, reason: Reason, detail: str) -> Found:
    told = labels_of(resource)
    return Found(
        kind=kind,
        name=str(resource["name"]),
        id=str(resource["id"]),
        zone=zone_of(resource),
        role=told[labels.ROLE],
        recipe=told[labels.RECIPE],
        run=told[labels.RUN],
        sweep=sweep,
        reason=reason,
        detail=detail,
        attached=bool(resource.get("users")),
    )


def _time(text: object) -> datetime | None:
    return parse_timestamp(text) if text else None


def day(moment: datetime) -> str:
    """Return a moment as people read it here."""
    return f"{moment:%Y-%m-%d %H:%M} UTC"
