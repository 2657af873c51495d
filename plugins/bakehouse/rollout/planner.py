"""Assign the members of a fleet to the stages of a rollout, or name why one is left. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bakehouse.core.reasons import Reason
from bakehouse.fleet.stages import at_most, sizes
from bakehouse.images.labels import (
    DATA_DISK,
    MEMBER,
    PREVIOUS_DISK,
    ROLE,
)
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import newest
from bakehouse.rollout.order import NaturalKey, natural
from bakehouse.rollout.plan import (
    REFUSALS,
    BootDisk,
    Change,
    Member,
    Reported,
    RolloutPlan,
    Skipped,
    Target,
    divide,
    rank,
)
from bakehouse.rollout.plan_parts import FleetRules
from bakehouse.rollout.rollout_disks import disk_name, recall, second_disk_name
from bakehouse.rollout.states import Strategy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence


RUNS = frozenset({"RUNNING", "STAGING", "PROVISIONING"})


def plan(
    fleet: str,
    run: str,
    image: Target,
    stages: Sequence[int | str],
    members: Iterable[Member],
    made: Mapping[str, Resource],
    missing: Iterable[str] = (),
    reported: Iterable[Reported] = (),
    *,
    max_unavailable: int | str = 1,
    on_failure: Literal["roll_back", "halt"] = "roll_back",
    halt_after: int | str | None = None,
    only: Collection[str] = (),
    leaders: Collection[str] = (),
) -> RolloutPlan:
    """Plan the rollout for members in the order of the fleet.

    First come members that an earlier try of this run has changed, with what they had before. Then
    those that are ill: the image may be what mends them. Of each of these groups the leaders are
    the last, and the fleet's `order_by` orders the others.

    Args:
        fleet: its name.
        run: the label of the run's disks.
        image: the goal.
        stages: of the fleet.
        members: the whole fleet.
        made: disks by name that rollouts of this fleet have made or taken out.
        missing: listed members that do not exist.
        reported: the members that count for `max_unavailable`.
        max_unavailable: of the fleet, a share of its members or their number.
        on_failure: of the fleet.
        halt_after: of the fleet.
        only: the members that are to change; empty: all.
        leaders: the members that the fleet's gate names as leaders.
    """
    whole = list(members)
    known = {report.name: report for report in reported}
    ill = {name for name, report in known.items() if report.ill}
    skipped = [Skipped(name=name, reason=Reason.MEMBER_MISSING) for name in missing]
    changes: list[tuple[_Place, Change]] = []
    begun: list[str] = []
    for number, member in enumerate(whole):
        if only and member.name not in only:
            continue
        disk = disk_name(member.name, run, image.id)
        second = second_disk_name(member.name, run, image.id)
        ours = [name for name in (second, disk) if name in made]
        old = _old_disk(member, {disk, second}, ours, made)
        reason = _skip(member, old, image, made, ours)
        if reason is not None:
            detail = member.refused_why if reason in REFUSALS else member.status
            skipped.append(
                Skipped(name=member.name, reason=reason, detail=detail, differs=member.differs)
            )
        elif old is not None:
            change = _change(member, old, disk, second, made)
            is_set = member.metadata is not None and member.metadata.begun
            begun += [member.name] if ours or is_set else []
            first = rank(change, begun, ill)
            key = (first, member.name in leaders, not member.key, natural(member.key), number)
            changes.append((key, change))
    ordered = [change for _, change in sorted(changes, key=lambda pair: pair[0])]
    count = sum(member.refused is None for member in whole)
    return RolloutPlan(
        fleet=fleet,
        run=run,
        image=image,
        stages=tuple(divide(ordered, sizes(stages, len(ordered)))),
        skipped=tuple(skipped),
        reported=tuple(known.values()),
        rules=FleetRules(
            stages=tuple(stages),
            max_unavailable=at_most(max_unavailable, count),
            on_failure=on_failure,
            halt_after=halt_after,
        ),
        begun=tuple(begun),
        leaders=tuple(change.name for change in ordered if change.name in leaders),
    )


def _change(
    member: Member, old: BootDisk, disk: str, second: str, made: Mapping[str, Resource]
) -> Change:
    renders = member.strategy is Strategy.RENDER
    return Change(
        name=member.name,
        zone=member.zone,
        id=member.id,
        disk=old.name if renders else disk,
        second_disk="" if renders else second,
        old=old,
        strategy=member.strategy,
        machine=member.machine,
        pinned=member.pinned,
        differs=member.differs,
        kept=_is_kept(member, old, made),
        protected=member.protected,
        metadata=member.metadata,
        at_start=member.at_start,
    )


_Place = tuple[int, bool, bool, NaturalKey, int]


def _skip(
    member: Member,
    old: BootDisk | None,
    image: Target,
    made: Mapping[str, Resource],
    ours: Sequence[str],
) -> Reason | None:
    if old is not None and ours:
        return None
    if member.strategy is Strategy.CREATE:
        return member.refused
    if member.strategy is Strategy.RENDER:
        return _skip_of_config(member)
    is_mended = member.strategy is Strategy.RECREATE or member.at_start is not None
    if old is not None and member.status in RUNS and old.image_id == image.id and not is_mended:
        return Reason.ALREADY_ON_IMAGE
    if member.refused is not None:
        return member.refused
    if old is None:
        return Reason.MEMBER_WITHOUT_DISK
    if member.status in RUNS:
        return None
    # A rollout that was left in the middle of this member leaves a disk that nothing uses: the new
    # one or, if the member was left on that, the old one.
    left = member.boot is None or any(not d.get("users") for d in _of(member.name, made))
    return None if left else Reason.MEMBER_NOT_RUNNING


def _skip_of_config(member: Member) -> Reason | None:
    if member.status != "RUNNING":
        return Reason.MEMBER_NOT_RUNNING
    if member.refused is not None:
        return member.refused
    return Reason.METADATA_AS_WANTED if member.metadata is None else None


def _old_disk(
    member: Member, names: Collection[str], ours: Sequence[str], made: Mapping[str, Resource]
) -> BootDisk | None:
    """Return the disk for a roll-back: the attached one, or the one that our disk has replaced.

    `names` are those of this run's disks, `ours` those of them that exist.
    """
    if member.boot is not None and member.boot.name not in names:
        return member.boot
    of_run = next((made[name] for name in ours), None)
    found = of_run or newest(d for d in _of(member.name, made) if not _is_previous(d))
    return recall(found) if found is not None else None


def _is_kept(member: Member, old: BootDisk, made: Mapping[str, Resource]) -> bool:
    if member.boot is not None and member.boot.name == old.name:
        return True
    disk = made.get(old.name)
    return disk is not None and (not old.id or str(disk.get("id", "")) == old.id)


def _of(member: str, made: Mapping[str, Resource]) -> list[Resource]:
    return [
        disk
        for disk in made.values()
        if labels_of(disk).get(MEMBER) == member and labels_of(disk).get(ROLE) != DATA_DISK
    ]


def _is_previous(disk: Resource) -> bool:
    return labels_of(disk).get(ROLE) == PREVIOUS_DISK
