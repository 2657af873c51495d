"""Plan the stages of a rollout. Pure.

A member is an instance with its current boot disk. The plan keeps what a roll-back needs: the disk,
its image, and how it was attached. It keeps the rules of the fleet's file too, so that an edit of
that file changes no rollout that has begun.
"""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, Field

from bakehouse.core.models import Frozen
from bakehouse.core.reasons import Reason
from bakehouse.fleet.stages import at_most, sizes
from bakehouse.images.formats import FormatRange
from bakehouse.images.labels import (
    DATA_DISK,
    FIRST_TRY,
    MEMBER,
    PREVIOUS_DISK,
    REPLACES,
    ROLE,
    users_own,
)
from bakehouse.images.links import Resource, labels_of
from bakehouse.images.selection import newest
from bakehouse.rollout.config_change import MetadataChange
from bakehouse.rollout.differences import Difference
from bakehouse.rollout.machine import Machine
from bakehouse.rollout.mig_plan import GroupPlan
from bakehouse.rollout.order import NaturalKey, natural
from bakehouse.rollout.plan_parts import Blocker, FleetRules, Forecast, GatesNow, ImageChange
from bakehouse.rollout.states import Strategy
from bakehouse.rollout.stored import Stored

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

SHORT = 300  # characters of a description, which may have 2,048
RUNS = frozenset({"RUNNING", "STAGING", "PROVISIONING"})
REFUSALS = frozenset(
    {
        Reason.MEMBER_OF_GROUP,
        Reason.MEMBER_ON_HOLD,
        Reason.BOOT_DISK_NOT_REPLACEABLE,
        Reason.DATA_DISK_IN_USE,
        Reason.CANNOT_RENDER,
    }
)


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
    id: str = Field(default="", description="empty in what rollouts of older versions have stored")
    image_id: str = Field(description="empty if it was made of a snapshot, of a disk, or blank")
    image: str = Field(description="the URL of the image it was made from")
    made_of: str = Field(default="", description="if of no image: what else it was made of")
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
    refused: Reason | None = Field(default=None, description="why no rollout may change it")
    refused_why: str = ""
    strategy: Strategy = Field(default=Strategy.SWAP, description="how it gets to an image")
    machine: Machine | None = Field(default=None, description="the instance to create")
    pinned: Machine | None = Field(default=None, description="the instance that it is")
    differs: tuple[Difference, ...] = Field(
        default=(), description="in what it differs from the fleet's template"
    )
    protected: bool = Field(default=False, description="Compute Engine refuses its deletion")
    key: str = Field(default="", description="by which the fleet's order_by sorts it")
    metadata: MetadataChange | None = Field(default=None, description="of the strategy render")


class WayBack(StrEnum):
    """What a member can go back to if the rollout fails."""

    DISK = "disk"  # its old disk is kept, and its image can make another one
    ONLY_DISK = "only_disk"  # its old disk is kept, and nothing else can make it
    IMAGE = "image"  # its old disk does not exist any more; a new one is made of its image
    CLOSED = "closed"  # neither
    METADATA = "metadata"  # its metadata, which are all that changes
    UNREADABLE = "unreadable"  # what it had cannot read its data any more
    NOTHING = "nothing"  # it does not exist yet


class Change(Frozen):
    """One member's replacement; `old` is its boot disk at the start of the run."""

    name: str
    zone: str
    id: str
    disk: str = Field(description="the name of the boot disk to be made")
    second_disk: str = Field(
        default="", description="of the fresh one, if the first try fails for the member's reason"
    )
    old: BootDisk
    strategy: Strategy = Field(default=Strategy.SWAP, description="how it gets to its goal")
    machine: Machine | None = Field(default=None, description="the instance to create")
    pinned: Machine | None = Field(default=None, description="the instance that it was")
    differs: tuple[Difference, ...] = Field(
        default=(), description="in what it differed from the fleet's template"
    )
    only_disk: str = Field(
        default="", description="why nothing can make its old disk again; empty if something can"
    )
    closed: str = Field(default="", description="why its old image cannot read its data any more")
    closes: str = Field(default="", description="what would keep its old image from reading them")
    kept: bool = Field(default=True, description="its old disk exists")
    protected: bool = Field(default=False, description="Compute Engine refuses its deletion")
    metadata: MetadataChange | None = Field(default=None, description="of the strategy render")

    @property
    def way_back(self) -> WayBack:
        """Which way back was open when the plan was made."""
        if self.strategy is Strategy.CREATE:
            return WayBack.NOTHING
        if self.metadata is not None:
            return WayBack.METADATA
        if self.closed:
            return WayBack.UNREADABLE
        if self.kept:
            return WayBack.ONLY_DISK if self.only_disk else WayBack.DISK
        return WayBack.CLOSED if self.only_disk else WayBack.IMAGE


class Skipped(Frozen):
    """A member that is not replaced."""

    name: str
    reason: Reason
    detail: str = ""
    differs: tuple[Difference, ...] = Field(
        default=(), description="in what it differs from the fleet's template"
    )


class Reported(Frozen):
    """A member that counts for `max_unavailable`, and its report when the plan was made."""

    name: str
    zone: str
    stamp: str = Field(default="", description="of the report; another one is a newer report")
    at: AwareDatetime = Field(description="when it was read, by the clock of the worker")
    ill: str = Field(default="", description="why it was ill then; empty: it was not")
    boot_id: str = Field(default="", description="of the report, by which it is given orders")
    gate: bool = Field(default=False, description="it can be asked whether it may be stopped")


class RolloutPlan(Stored):
    """The plan of a rollout, with one entry for each of the fleet's stages; each may be empty."""

    fleet: str
    run: str
    image: Target
    stages: tuple[tuple[Change, ...], ...]
    skipped: tuple[Skipped, ...] = ()
    reported: tuple[Reported, ...] = ()
    group: GroupPlan | None = Field(default=None, description="of the strategy mig, and no change")
    rules: FleetRules | None = Field(
        default=None, description="None in what rollouts of older versions have stored"
    )
    plan_only: bool = Field(default=False, description="nothing is changed by this run")
    begun: tuple[str, ...] = Field(
        default=(), description="members that an earlier try of this run has changed"
    )
    leaders: tuple[str, ...] = Field(default=(), description="they come last among their like")
    formats: dict[str, int] = Field(
        default={}, description="the versions that formats of the data have for good"
    )
    reads: dict[str, tuple[FormatRange, ...]] = Field(
        default={}, description="the formats that the images can read, by name"
    )
    unreadable: str = Field(default="", description="why the image cannot read the fleet's data")
    images: tuple[ImageChange, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    forecast: Forecast | None = None
    gates: GatesNow | None = Field(
        default=None, description="None: there is none to ask, or an older version has planned"
    )

    @property
    def names_of_stages(self) -> tuple[tuple[str, ...], ...]:
        """The members of each stage; a managed instance group is one, in many stages."""
        if self.group is not None:
            return self.group.names_of_stages
        return tuple(tuple(change.name for change in stage) for stage in self.stages)

    @property
    def is_config(self) -> bool:
        """Whether all members that change get other metadata, and no other image."""
        changes = self.changes
        return bool(changes) and all(change.metadata is not None for change in changes)

    @property
    def left(self) -> dict[Reason, int]:
        """How many members are left as they are, by reason."""
        return dict(Counter(skipped.reason for skipped in self.skipped))

    def stage(self, number: int, last: int) -> tuple[Change, ...]:
        """Return the changes of a stage, counted from 1, of a run that has `last` stages.

        The file may have got more stages or fewer since. Then the plan's stages hold: those that
        the run has no tasks for belong to its last one.
        """
        stages = self.stages[number - 1 :] if number == last else self.stages[number - 1 : number]
        return tuple(change for stage in stages for change in stage)

    @property
    def changes(self) -> tuple[Change, ...]:
        """All changes in the order of the rollout."""
        return tuple(change for stage in self.stages for change in stage)

    @property
    def refused(self) -> tuple[Skipped, ...]:
        """The members that no rollout may change, if nobody else is left to move to the image."""
        reasons = {skipped.reason for skipped in self.skipped}
        on_purpose = reasons == {Reason.MEMBER_ON_HOLD}
        return () if self.changes or on_purpose or reasons - REFUSALS else self.skipped

    def judged(self, only_disk: Mapping[str, str]) -> RolloutPlan:
        """Return the plan with the members whose old disk is their only way back, and why."""
        stages = tuple(
            tuple(
                change.model_copy(update={"only_disk": only_disk.get(change.name, "")})
                for change in stage
            )
            for stage in self.stages
        )
        return self.model_copy(update={"stages": stages})

    def led_by(self, leaders: Collection[str]) -> RolloutPlan:
        """Return the plan with the leaders last among their like, which is all that moves."""
        ill = {report.name for report in self.reported if report.ill}
        ordered = sorted(
            self.changes,
            key=lambda change: (_rank(change, self.begun, ill), change.name in leaders),
        )
        counts = [len(stage) for stage in self.stages]
        named = tuple(change.name for change in ordered if change.name in leaders)
        return self.model_copy(update={"stages": tuple(_divide(ordered, counts)), "leaders": named})


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
            rank = _rank(change, begun, ill)
            key = (rank, member.name in leaders, not member.key, natural(member.key), number)
            changes.append((key, change))
    ordered = [change for _, change in sorted(changes, key=lambda pair: pair[0])]
    count = sum(member.refused is None for member in whole)
    return RolloutPlan(
        fleet=fleet,
        run=run,
        image=image,
        stages=tuple(_divide(ordered, sizes(stages, len(ordered)))),
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
    )


_Place = tuple[int, bool, bool, NaturalKey, int]


def _rank(change: Change, begun: Collection[str], ill: Collection[str]) -> int:
    """Return 0 for what is begun or does not exist, 1 for who is ill, 2 for all others."""
    if change.name in begun or change.strategy is Strategy.CREATE:
        return 0
    return 1 if change.name in ill else 2


def disk_name(member: str, run: str, image_id: str) -> str:
    """The boot disk that `run` makes for `member`, at most 63 characters.

    The same for every try, another for another image.
    """
    mark = sha256(f"{run}\n{member}\n{image_id}".encode()).hexdigest()[:8]
    return f"{member[:54].rstrip('-')}-{mark}"


def second_disk_name(member: str, run: str, image_id: str) -> str:
    """The fresh disk on which `run` tries `member` once more; the same for every try."""
    return disk_name(member, run, f"{image_id}\nsecond")


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
    is_mended = member.strategy is Strategy.RECREATE
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


def remember(old: BootDisk, first_try: str = "", before: str | None = None) -> str:
    """Return a new boot disk's description, which names the previous one; see `recall`.

    That of a second try also says how the first one ended, and which boot's report is of it; see
    `first_try_of`.
    """
    told: dict[str, Any] = {REPLACES: old.model_dump(mode="json", exclude={"labels"})}
    if first_try:
        told[FIRST_TRY] = {"why": first_try[:SHORT], "before": before}
    return json.dumps(told)


def first_try_of(disk: Resource) -> tuple[str, str | None]:
    """Return what the disk of a second try says of the first: how it ended, and its boot id."""
    try:
        told = json.loads(str(disk.get("description", "")))[FIRST_TRY]
        return str(told["why"]), told["before"]
    except (ValueError, KeyError, TypeError):
        return "it is not known how the first try ended", None


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
