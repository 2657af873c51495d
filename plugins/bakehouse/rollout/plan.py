"""Which member goes in which stage, from the facts about each; pure.

A member is the instance with the boot disk that it has now. The plan keeps what the way back
needs: the disk, the image it was made from, and how it was attached.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from pydantic import Field

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.fleet.stages import sizes
from bakehouse.images.labels import MEMBER, REPLACES, users_own
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import newest

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
    """A boot disk and the way it is attached; enough to make another like it."""

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
    """One instance as it stands; `boot` is None while a swap has its boot disk out."""

    name: str
    zone: str
    id: str
    status: str
    boot: BootDisk | None = None


class Change(Frozen):
    """One member's replacement: `old` is what it had when the run began, also on a second look."""

    name: str
    zone: str
    id: str
    disk: str = Field(description="the name of the boot disk to be made")
    old: BootDisk


class Skipped(Frozen):
    """A member that is left alone."""

    name: str
    reason: Reason
    detail: str = ""


class RolloutPlan(Frozen):
    """What a rollout will do. `stages` is as long as the fleet's, each may be empty."""

    fleet: str
    run: str
    image: Target
    stages: tuple[tuple[Change, ...], ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def changes(self) -> tuple[Change, ...]:
        """Every change in the order of the rollout."""
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
    """The plan for members in the order of the fleet; `missing` are named but not there.

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
    """The boot disk that `run` makes for `member`: the same for every try, another for another
    image. At most 63 characters."""
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
    """The disk to go back to: the attached one, or what our own disk says was there before it."""
    if member.boot is not None and member.boot.name != disk:
        return member.boot
    ours = made.get(disk) or newest(_of(member.name, made))
    return recall(ours) if ours is not None else None


def _of(member: str, made: Mapping[str, Resource]) -> list[Resource]:
    return [d for d in made.values() if labels_of(d).get(MEMBER) == member]


def remember(old: BootDisk) -> str:
    """What the description of a new boot disk says of the one before it; `recall` reads it."""
    return json.dumps({REPLACES: old.model_dump(mode="json", exclude={"labels"})})


def recall(disk: Resource) -> BootDisk | None:
    """The disk that `disk` was made to replace; None when it does not say."""
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
