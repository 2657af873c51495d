"""Plan the stages of a rollout. Pure.

A member is an instance with its current boot disk. The plan keeps what a roll-back needs: the disk,
its image, and how it was attached.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.fleet.stages import sizes
from bakehouse.images.labels import MEMBER, REPLACES, users_own
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import newest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RUNS = frozenset({"RUNNING", "STAGING", "PROVISIONING"})


class Target(Frozen):
    """The image to roll out, pinned."""

    id: str
    name: str
    self_link: str
    recipe: str
    git_sha: str = ""
    disk_gb: int = 1


class BootDisk(Frozen):
    """A boot disk and its attachment, complete enough to create a similar one."""

    name: str
    image_id: str
    image: str = Field(description="the URL of the image it was made from")
    device_name: str
    auto_delete: bool
    type: str
    size_gb: int
    labels: dict[str, str] = Field(default={})
    policies: tuple[str, ...] = ()
    kms_key: str | None = None


class Member(Frozen):
    """One instance; `boot` is None while its boot disk is detached by a swap."""

    name: str
    zone: str
    id: str
    status: str
    boot: BootDisk | None = None


class Change(Frozen):
    """One member's replacement; `old` is its boot disk at the start of the run."""

    name: str
    zone: str
    id: str
    disk: str = Field(description="the name of the boot disk to be made")
    old: BootDisk


class Skipped(Frozen):
    """A member that is not replaced."""

    name: str
    reason: Reason
    detail: str = ""


class RolloutPlan(Frozen):
    """The plan of a rollout, with one entry for each of the fleet's stages; each may be empty."""

    fleet: str
    run: str
    image: Target
    stages: tuple[tuple[Change, ...], ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in the order of the rollout."""
        return tuple(change for stage in self.stages for change in stage)


def plan(
    fleet: str,
    run: str,
    image: Target,
    stages: Sequence[int | str],
    members: Iterable[Member],
    made: Mapping[str, Resource],
    missing: Iterable[str] = (),
) -> RolloutPlan:
    """Plan the rollout for members in the order of the fleet; `missing` do not exist.

    `made`: disks by name that rollouts of this fleet have made. A run that plans again finds its
    own in there, so members it has changed stay in the plan, first, with what they had before.
    """
    begun: list[Change] = []
    fresh: list[Change] = []
    skipped = [Skipped(name=name, reason=Reason.MEMBER_MISSING) for name in missing]
    for member in members:
        disk = disk_name(member.name, run, image.id)
        old = _old_disk(member, disk, made)
        reason = _skip(member, old, image, made, disk)
        if reason is not None:
            skipped.append(Skipped(name=member.name, reason=reason, detail=member.status))
        elif old is not None:
            change = Change(name=member.name, zone=member.zone, id=member.id, disk=disk, old=old)
            (begun if disk in made else fresh).append(change)
    changes = [*begun, *fresh]
    return RolloutPlan(
        fleet=fleet,
        run=run,
        image=image,
        stages=tuple(_divide(changes, sizes(stages, len(changes)))),
        skipped=tuple(skipped),
    )


def disk_name(member: str, run: str, image_id: str) -> str:
    """The boot disk that `run` makes for `member`, at most 63 characters.

    The same for every try, another for another image.
    """
    mark = sha256(f"{run}\n{member}\n{image_id}".encode()).hexdigest()[:8]
    return f"{member[:54].rstrip('-')}-{mark}"


def _skip(
    member: Member, old: BootDisk | None, image: Target, made: Mapping[str, Resource], disk: str
) -> Reason | None:
    if old is None:
        return Reason.MEMBER_WITHOUT_DISK
    if disk in made:
        return None
    if member.status in RUNS:
        return Reason.ALREADY_ON_IMAGE if old.image_id == image.id else None
    # A rollout that was left in the middle of this member leaves a disk that nothing uses.
    left = member.boot is None or any(not d.get("users") for d in _of(member.name, made))
    return None if left else Reason.MEMBER_NOT_RUNNING


def _old_disk(member: Member, disk: str, made: Mapping[str, Resource]) -> BootDisk | None:
    """Return the disk for a roll-back: the attached one, or the one that our disk has replaced."""
    if member.boot is not None and member.boot.name != disk:
        return member.boot
    ours = made.get(disk) or newest(_of(member.name, made))
    return recall(ours) if ours is not None else None


def _of(member: str, made: Mapping[str, Resource]) -> list[Resource]:
    return [d for d in made.values() if labels_of(d).get(MEMBER) == member]


def remember(old: BootDisk) -> str:
    """Return a new boot disk's description, which names the previous one; see `recall`."""
    return json.dumps({REPLACES: old.model_dump(mode="json", exclude={"labels"})})


def recall(disk: Resource) -> BootDisk | None:
    """Return the disk that `disk` has replaced; None if it does not name one."""
    try:
        old = json.loads(str(disk.get("description", "")))[REPLACES]
        return BootDisk.model_validate(old | {"labels": users_own(labels_of(disk))})
    except (ValueError, KeyError, TypeError):
        return None


def _divide(changes: Sequence[Change], counts: Sequence[int]) -> Iterable[tuple[Change, ...]]:
    start = 0
    for count in counts:
        yield tuple(changes[start : start + count])
        start += count
